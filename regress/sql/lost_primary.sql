\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- Postgres of the primary dies, its keeper says so: the secondary takes over at once.
SELECT two_nodes();
SELECT report(1, 'primary', running => false);
TABLE states;
SELECT report(2, 'prepare_promotion');
TABLE states;
SELECT settle() > 0;
TABLE states;

-- The same when the host is gone: silence and failed probes, both, and no standby that hears it.
CREATE FUNCTION silence(who bigint, milliseconds bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE pgautofailover.node SET reportclock = reportclock - milliseconds WHERE nodeid = who
$$;
SELECT silence(2, 6000);
SELECT report(1, 'secondary');
UPDATE pgautofailover.node SET health = 0 WHERE nodeid = 2;
SELECT report(1, 'secondary');
SELECT report(1, 'secondary', detail => '{"upstream": {"is_streaming": false, "silent_ms": 6000}}');
TABLE states;
SELECT report(1, 'prepare_promotion', detail => '{"upstream": {"is_streaming": false, "silent_ms": 7000}}');
TABLE states;

-- The old primary is back, as a primary: it is told that it is none any more.
UPDATE pgautofailover.node SET health = 1 WHERE nodeid = 2;
SELECT report(2, 'primary', detail => '{"epoch": 1}');
SELECT settle() > 0;
TABLE states;
DROP FUNCTION silence;
