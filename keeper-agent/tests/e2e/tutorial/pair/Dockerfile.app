FROM debian:12
COPY rows.csv /usr/share/pg_auto_failover/rows.csv
CMD ["sleep", "infinity"]
