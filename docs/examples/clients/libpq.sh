#!/bin/sh
# Writes through failovers with psql, which is libpq, one connection a row, and prints each number once it is committed.
#
# Usage: libpq.sh HOST,HOST WRITER
export PGCONNECT_TIMEOUT=2
conninfo="host=$1 dbname=postgres user=postgres target_session_attrs=read-write tcp_user_timeout=1000"
number=0
while :; do
    # A frozen host acknowledges what is sent to it: only a deadline of the application helps.
    if timeout 3 psql -qX -d "$conninfo" -c "insert into ledger (writer, value) values ($2, $number)" >&2; then
        echo "$number"
    fi
    number=$((number + 1))
    sleep 0.02
done
