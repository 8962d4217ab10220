\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- Before there are nodes.
SELECT * FROM pgautofailover.current_state();
SELECT * FROM pgautofailover.get_primary();
SELECT pgautofailover.formation_uri();
SELECT pgautofailover.synchronous_standby_names();

SELECT two_nodes();
SELECT * FROM pgautofailover.current_state();
SELECT nodename FROM pgautofailover.current_state('default', 0);
SELECT nodename FROM pgautofailover.current_state('default', 1);
SELECT * FROM pgautofailover.get_nodes();
SELECT * FROM pgautofailover.get_nodes('default', 0);
SELECT * FROM pgautofailover.get_nodes('default', 1);
SELECT * FROM pgautofailover.get_other_nodes(1);
SELECT * FROM pgautofailover.get_other_nodes(1, 'secondary');
SELECT * FROM pgautofailover.get_other_nodes(1, 'primary');
SELECT * FROM pgautofailover.get_primary();
SELECT * FROM pgautofailover.get_coordinator();
SELECT * FROM pgautofailover.get_most_advanced_standby();
SELECT pgautofailover.formation_uri();
SELECT pgautofailover.formation_uri('default', 'default', 'verify-full', '/etc/ssl/my root.crt', '/etc/ssl/a&b.crl');
SELECT pgautofailover.formation_uri('default', 'replicas');
SELECT pgautofailover.waits_for();
SELECT pgautofailover.waits_for('default', 7);
SELECT eventid, nodename, reportedstate, goalstate FROM pgautofailover.last_events(3);
SELECT count(*) FROM pgautofailover.last_events('default'::text, 2);
SELECT count(*) FROM pgautofailover.last_events('default', 0, 4);
SELECT count(*) FROM pgautofailover.last_events('default', 1, 4);
SELECT count(*) FROM pgautofailover.last_events(-1);

-- What is not there.
SELECT * FROM pgautofailover.current_state('nowhere');
SELECT * FROM pgautofailover.get_nodes('nowhere');
SELECT * FROM pgautofailover.get_nodes(NULL);
SELECT * FROM pgautofailover.get_other_nodes(99);
SELECT * FROM pgautofailover.get_primary('nowhere');
SELECT * FROM pgautofailover.get_primary('default', 7);
SELECT * FROM pgautofailover.get_coordinator('nowhere');
SELECT pgautofailover.formation_uri('nowhere');
SELECT pgautofailover.synchronous_standby_names('nowhere');
SELECT pgautofailover.waits_for('nowhere', 0);
SELECT * FROM pgautofailover.last_events('nowhere'::text, 3);
