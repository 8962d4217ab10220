\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT two_nodes();

-- Its Postgres is down: the primary goes on alone, and waits again when it is back.
SELECT report(2, 'secondary', running => false);
TABLE states;
SELECT report(1, 'wait_primary');
SELECT pgautofailover.synchronous_standby_names();
SELECT commitrules FROM pgautofailover.group_status;
-- Nobody may be promoted now: it could lack commits.
SELECT pgautofailover.perform_failover();
SELECT settle() > 0;
TABLE states;
SELECT pgautofailover.synchronous_standby_names();
SELECT commitrules FROM pgautofailover.group_status;
