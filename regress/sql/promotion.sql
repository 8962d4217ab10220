\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT two_nodes();
SELECT pgautofailover.perform_promotion('default', 'n1');
TABLE states;
SELECT pgautofailover.perform_promotion('default', 'nobody');
SELECT pgautofailover.perform_promotion('nowhere', 'n2');
-- A node of priority 0 is never promoted.
SELECT pgautofailover.set_node_candidate_priority('default', 'n2', 0);
SELECT settle() > 0;
SELECT pgautofailover.perform_promotion('default', 'n2');
SELECT pgautofailover.perform_failover();
SELECT pgautofailover.set_node_candidate_priority('default', 'n2', 50);
SELECT settle() > 0;
SELECT pgautofailover.perform_promotion('default', 'n2');
TABLE states;
SELECT settle() > 0;
TABLE states;
