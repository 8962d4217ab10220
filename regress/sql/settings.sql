\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT name, setting, unit, context, min_val, max_val FROM pg_settings
 WHERE name LIKE 'pgautofailover.%' ORDER BY name;

SELECT two_nodes();
SELECT * FROM pgautofailover.formation_settings();
SELECT pgautofailover.set_node_candidate_priority('default', 'n2', 70);
SELECT pgautofailover.set_node_replication_quorum('default', 'n2', false);
SELECT settle() > 0;
TABLE states;
SELECT * FROM pgautofailover.formation_settings();
SELECT pgautofailover.set_formation_number_sync_standbys('default', 1);
SELECT pgautofailover.set_node_replication_quorum('default', 'n2', true);
SELECT settle() > 0;
SELECT pgautofailover.set_formation_number_sync_standbys('default', 1);
SELECT settle() > 0;
SELECT * FROM pgautofailover.formation_settings();
TABLE states;

SELECT pgautofailover.set_node_candidate_priority('default', 'n2', 101);
SELECT pgautofailover.set_node_candidate_priority('default', 'nobody', 10);
SELECT pgautofailover.set_node_candidate_priority('nowhere', 'n2', 10);
SELECT pgautofailover.set_node_replication_quorum('default', 'n2', false);
SELECT pgautofailover.set_formation_number_sync_standbys('default', -1);
SELECT pgautofailover.set_formation_number_sync_standbys('default', 2);
SELECT pgautofailover.set_formation_number_sync_standbys('nowhere', 0);
SELECT * FROM pgautofailover.formation_settings('nowhere');
