FROM pg_auto_failover:citus
COPY rows.csv /usr/share/pg_auto_failover/rows.csv
# A first process that does not ask for signals gets none.
CMD ["sh", "-c", "trap exit TERM; sleep infinity & wait"]
