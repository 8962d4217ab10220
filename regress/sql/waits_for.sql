\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- The primary and one of its two standbys are lost: the other one may lack what that one has acknowledged.
SELECT three_nodes();
SELECT pgautofailover.waits_for();
SELECT pgautofailover.perform_failover('default', 0, true);
SELECT lose(3);
SELECT lose(1);
SELECT report(2, 'secondary', detail => '{"upstream": {"is_streaming": false, "silent_ms": 60000}}');
TABLE states;
SELECT pgautofailover.waits_for();
SELECT groupid, waitsfor FROM pgautofailover.group_status;
SELECT nodename, description FROM pgautofailover.last_events(1);
-- It is said once.
SELECT count(*) AS events FROM pgautofailover.event \gset
SELECT report(2, 'secondary', detail => '{"upstream": {"is_streaming": false, "silent_ms": 61000}}');
SELECT count(*) - :events AS more FROM pgautofailover.event;
SELECT pgautofailover.perform_failover();
SELECT pgautofailover.perform_failover('default', 0, false);

-- A person goes on without them, and the event says who.
SELECT pgautofailover.perform_failover('default', 0, true);
SELECT nodename, regexp_replace(description, ' at 127.0.0.1', '') AS description
  FROM pgautofailover.last_events(3);
TABLE states;
SELECT pgautofailover.waits_for();
SELECT report(2, 'report_lsn');
SELECT settle() > 0;
SELECT name, reported, goal FROM states;

-- Those that were lost come back to the new primary.
UPDATE pgautofailover.node SET health = 1;
SELECT report(1, 'primary', detail => '{"epoch": 1}');
SELECT settle() > 0;
SELECT settle();
TABLE states;
SELECT pgautofailover.waits_for();
