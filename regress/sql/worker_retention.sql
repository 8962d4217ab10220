\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- Nothing that is kept for less than a day would be there on the next morning.
SHOW pgautofailover.event_retention;
ALTER SYSTEM SET pgautofailover.event_retention = '1h';
\set VERBOSITY sqlstate
ALTER SYSTEM SET pgautofailover.event_retention = '-1';
\set VERBOSITY default
ALTER SYSTEM SET pgautofailover.event_retention = '1d';
ALTER SYSTEM SET pgautofailover.event_retention = '0';
ALTER SYSTEM RESET pgautofailover.event_retention;

SELECT add_events(5000, 'busy', '10 days');
-- The worker deletes what is too old, some thousand rows a second, and nothing else.
SELECT count(*) AS old FROM pgautofailover.event WHERE eventtime < now() - interval '5 days';
SELECT count(*) AS young FROM pgautofailover.event WHERE eventtime >= now() - interval '5 days' \gset
ALTER SYSTEM SET pgautofailover.monitor_database = 'regression';
ALTER SYSTEM SET pgautofailover.event_retention = '5d';
SELECT pg_reload_conf();
DO $$
BEGIN
    FOR attempt IN 1..600 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pgautofailover.event WHERE eventtime < now() - interval '5 days');
        PERFORM pg_sleep(0.05);
    END LOOP;
END
$$;
SELECT count(*) AS old FROM pgautofailover.event WHERE eventtime < now() - interval '5 days';
SELECT count(*) - :young AS young_lost FROM pgautofailover.event;

ALTER SYSTEM RESET pgautofailover.event_retention;
ALTER SYSTEM RESET pgautofailover.monitor_database;
SELECT pg_reload_conf();
DROP EXTENSION pgautofailover CASCADE;
