\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- While automatic failover is paused, nobody takes over from a primary that is gone.
SELECT two_nodes();
SELECT pgautofailover.pause_failover('default');
SELECT regexp_replace(arrangements, 'by .*:', 'by SOMEBODY:') FROM pgautofailover.arrangements();
SELECT lose(1);
SELECT report(2, 'secondary', detail => '{"upstream": {"is_streaming": false, "silent_ms": 60000}}');
TABLE states;
SELECT pgautofailover.waits_for();
-- A person has it done all the same.
SELECT pgautofailover.perform_failover();
TABLE states;
SELECT pgautofailover.resume_failover('default');
SELECT pgautofailover.resume_failover('default');
SELECT count(*) FROM pgautofailover.arrangements();
SELECT regexp_replace(description, '^\S+( at \S+)? ', 'SOMEBODY ') AS description
  FROM pgautofailover.event WHERE description LIKE '% automatic failover' ORDER BY eventid;

SELECT pgautofailover.pause_failover('default', now() - interval '1 second');
SELECT pgautofailover.pause_failover('nowhere');
SELECT pgautofailover.pause_failover(NULL);
SELECT pgautofailover.resume_failover('nowhere');

-- A switchover at a time.
SELECT pgautofailover.schedule_switchover('default', 0, '2999-12-01 03:00+01');
SELECT groupid, switchovertime AT TIME ZONE 'UTC', expirytime - switchovertime FROM pgautofailover.scheduled_switchover;
SELECT pgautofailover.cancel_switchover('default', 0);
SELECT pgautofailover.cancel_switchover('default', 0);
SELECT pgautofailover.schedule_switchover('default', 0, '2026-01-01 03:00+01');
SELECT pgautofailover.schedule_switchover('default', 0, '2999-12-01 03:00+01', '-1 minute');
SELECT pgautofailover.schedule_switchover('default', 7, '2999-12-01 03:00+01');
SELECT pgautofailover.schedule_switchover('nowhere', 0, '2999-12-01 03:00+01');
