# A client that stays up, to be entered with `docker compose exec app psql`, and the tutorial's sample data.
FROM debian:12
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl postgresql-client \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --shell /bin/bash docker
COPY companies.csv /usr/share/pg_auto_failover/companies.csv
USER docker
# A first process that does not ask for signals gets none.
CMD ["sh", "-c", "trap exit TERM; sleep infinity & wait"]
