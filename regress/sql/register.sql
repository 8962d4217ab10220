\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- The monitor chooses what is left open.
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5501, 'postgres');
SELECT nodename, nodehost, nodeport, sysidentifier, goalstate, reportedstate, health FROM pgautofailover.node;

-- A node that did not hear the answer asks again, and gets the same one.
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5501, 'postgres');

-- What is taken is refused, with nothing written.
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5501, 'postgres', 'other');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', 'node_1');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', desired_node_id => 1);
-- So is what cannot be.
SELECT * FROM pgautofailover.register_node('nowhere', 'localhost', 5502, 'postgres');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'other');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', desired_group_id => 1);
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', node_kind => 'worker');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', initial_group_role => 'primary');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', initial_group_role => 'single');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', initial_group_role => 'single', sysidentifier => 7);
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', initial_group_role => 'primary', sysidentifier => 7);
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', initial_group_role => 'draining', sysidentifier => 7);
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', initial_group_role => 'unknown', sysidentifier => 7);
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', candidate_priority => 101);
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', desired_node_id => -2);
SELECT * FROM pgautofailover.register_node('default', 'localhost', 0, 'postgres');
SELECT * FROM pgautofailover.register_node('default', '', 5502, 'postgres');
SELECT * FROM pgautofailover.register_node('default', 'a b', 5502, 'postgres');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', E'a\nb');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', repeat('x', 64));
SELECT count(*) FROM pgautofailover.node;
SELECT count(*) FROM pgautofailover.event WHERE nodeid <> 1;

-- A copy of another cluster does not join.
SELECT * FROM pgautofailover.set_node_system_identifier(1, 7000000000000000001);
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', sysidentifier => 7000000000000000002);
SELECT settle() > 0;
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5501, 'postgres');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', 'second', desired_node_id => 20);
SELECT * FROM pgautofailover.set_node_system_identifier(20, 7000000000000000002);
SELECT * FROM pgautofailover.set_group_system_identifier(0, 7000000000000000001);
TABLE states;

-- Ids go on after the highest that somebody wished for.
SELECT * FROM pgautofailover.create_formation('second', 'pgsql', 'postgres', true, 0);
SELECT * FROM pgautofailover.register_node('second', 'localhost', 5504, 'app', 'node', sysidentifier => 7, initial_group_role => 'single');
SELECT formationid, dbname FROM pgautofailover.formation ORDER BY formationid;
SELECT * FROM pgautofailover.set_group_system_identifier(0, 8);
SELECT * FROM pgautofailover.set_group_system_identifier(5, 8);
SELECT * FROM pgautofailover.set_node_system_identifier(99, 8);
