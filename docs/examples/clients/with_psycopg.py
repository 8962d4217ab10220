#!/usr/bin/env python3
"""Writes through failovers with psycopg 3, which is libpq, and prints each number once it is committed.

Usage: with_psycopg.py HOST,HOST WRITER
"""

import asyncio
import itertools
import sys

import psycopg

PATIENCE_S = 1
hosts, writer = sys.argv[1:]
conninfo = (
    "dbname=postgres user=postgres target_session_attrs=read-write tcp_user_timeout=1000 "
    "keepalives_idle=1 keepalives_interval=1 keepalives_count=2"
)


async def connect():
    # psycopg 3 has one connect_timeout for all hosts together before version 3.1.13: each gets its own here.
    for host in hosts.split(","):
        try:
            connecting = psycopg.AsyncConnection.connect(f"{conninfo} host={host}", autocommit=True)
            return await asyncio.wait_for(connecting, PATIENCE_S)
        except (psycopg.Error, asyncio.TimeoutError) as error:
            print(f"{host}: {error or 'no answer'}", file=sys.stderr, flush=True)
    await asyncio.sleep(0.02)
    return None


async def main():
    connection = None
    for number in itertools.count():
        while connection is None:
            connection = await connect()
        try:
            insert = connection.execute("insert into ledger (writer, value) values (%s, %s)", (int(writer), number))
            # A frozen host acknowledges what is sent to it: only a deadline of the application helps.
            await asyncio.wait_for(insert, PATIENCE_S)
            print(number, flush=True)
        except (psycopg.Error, asyncio.TimeoutError) as error:
            print(f"{number}: {error or 'no answer'}", file=sys.stderr, flush=True)
            connection.pgconn.finish()
            connection = None
        await asyncio.sleep(0.01)


asyncio.run(main())
