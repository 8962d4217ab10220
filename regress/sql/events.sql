\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- Every change says what was decided, and by which rule.
SELECT two_nodes();
SELECT pgautofailover.perform_failover();
SELECT settle() > 0;
SELECT nodename, reportedstate, goalstate, description FROM pgautofailover.event ORDER BY eventid;
-- A report that changes nothing leaves no trace.
SELECT count(*) AS events FROM pgautofailover.event \gset
SELECT report(1, 'secondary');
SELECT count(*) - :events AS more FROM pgautofailover.event;
