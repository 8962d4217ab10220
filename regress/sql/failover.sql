\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT two_nodes();
TABLE states;

-- An operator asks for another primary.
SELECT pgautofailover.perform_failover();
TABLE states;
SELECT pgautofailover.perform_failover();
SELECT report(2, 'prepare_promotion');
SELECT report(1, 'draining');
TABLE states;
SELECT report(2, 'wait_primary', tli => 2);
TABLE states;
SELECT report(1, 'demoted');
TABLE states;
SELECT settle() > 0;
TABLE states;
