\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT two_nodes();
SELECT relname, privilege_type FROM pg_class, aclexplode(relacl)
 WHERE relnamespace = 'pgautofailover'::regnamespace AND grantee = 'autoctl_node'::regrole ORDER BY 1, 2;
SELECT relname FROM pg_class, aclexplode(relacl)
 WHERE relnamespace = 'pgautofailover'::regnamespace AND grantee NOT IN ('autoctl_node'::regrole, relowner) ORDER BY 1;

-- autoctl_node calls every function and writes no table.
SELECT proname FROM pg_proc
 WHERE pronamespace = 'pgautofailover'::regnamespace AND NOT has_function_privilege('autoctl_node', oid, 'EXECUTE');
GRANT SELECT ON states TO autoctl_node;
SET ROLE autoctl_node;
SELECT count(*) FROM pgautofailover.node;
SELECT nodename, current_group_state FROM pgautofailover.current_state();
SELECT pgautofailover.synchronous_standby_names();
SELECT pgautofailover.formation_uri();
SELECT assigned_group_state FROM pgautofailover.node_active('default', 2, 0, 'secondary', true, 1, '0/3000000');
SELECT pgautofailover.set_node_candidate_priority('default', 'n2', 60);
SELECT pgautofailover.waits_for();
SELECT count(*) FROM pgautofailover.timelines();
SELECT pgautofailover.accept_timeline('default', 0, 1);
UPDATE pgautofailover.timeline SET nodeid = 1;
DELETE FROM pgautofailover.group_status;
UPDATE pgautofailover.node SET goalstate = 'single';
DELETE FROM pgautofailover.event;
INSERT INTO pgautofailover.formation VALUES ('mine');
SELECT nextval('pgautofailover.node_nodeid_seq');
RESET ROLE;

-- Nobody else gets in.
CREATE ROLE stranger;
SET ROLE stranger;
SELECT pgautofailover.perform_failover();
SELECT pgautofailover.perform_failover('default', 0, true);
SELECT pgautofailover.accept_timeline('default', 0, 1);
SELECT * FROM pgautofailover.node;
SELECT * FROM pgautofailover.timeline;
RESET ROLE;
DROP ROLE stranger;

-- The replication password of a formation: for a node that asks, when no other node has one of its own.
SET ROLE autoctl_node;
SELECT * FROM pgautofailover.formation_password;
UPDATE pgautofailover.formation_password SET password = 'mine';
SELECT pgautofailover.replication_password('default', false);
SELECT pgautofailover.replication_password('default', true);
SELECT pgautofailover.replication_password('nowhere', true);
SELECT count(*) FROM pgautofailover.create_formation('fresh', 'pgsql', 'postgres', true, 0);
SELECT pgautofailover.replication_password('fresh', false);
CREATE TEMPORARY TABLE given AS SELECT pgautofailover.replication_password('fresh', true) AS password;
SELECT length(password) FROM given;
SELECT pgautofailover.replication_password('fresh', true) = password,
       pgautofailover.replication_password('fresh', false) = password FROM given;
DROP TABLE given;
SELECT pgautofailover.drop_formation('fresh');
RESET ROLE;
SELECT count(*) FROM pgautofailover.formation_password;
SET ROLE pg_read_all_data;
SELECT pgautofailover.replication_password('default', true);
RESET ROLE;
