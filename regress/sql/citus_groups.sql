\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT three_pairs();
SELECT formation_kind, group_id, node_id, nodename, current_group_state, assigned_group_state FROM pgautofailover.current_state();
SELECT nodename FROM pgautofailover.current_state('default', 2);
SELECT node_id, node_name, node_is_primary FROM pgautofailover.get_nodes();
SELECT node_id, node_name, node_is_primary FROM pgautofailover.get_nodes('default', 1);
SELECT node_name FROM pgautofailover.get_other_nodes(5);
SELECT * FROM pgautofailover.get_primary('default', 2);
SELECT * FROM pgautofailover.get_coordinator();
SELECT pgautofailover.formation_uri();
SELECT pgautofailover.synchronous_standby_names('default', g) FROM generate_series(0, 3) AS g;
SELECT * FROM pgautofailover.formation_settings() WHERE setting NOT LIKE 'candidate%';

-- What the keeper of a Citus node reads with each report: every row of its formation.
SET ROLE autoctl_node;
SELECT nodeid, nodename, nodehost, nodeport, groupid, goalstate, reportedstate, nodecluster, candidatepriority
  FROM pgautofailover.node
 WHERE formationid = 'default'
 ORDER BY groupid, nodeid;
RESET ROLE;

-- A failover concerns its own group.
CREATE VIEW groups AS
    SELECT groupid AS "group", nodename AS name, reportedstate AS reported, goalstate AS goal
      FROM pgautofailover.node ORDER BY groupid, nodeid;
SELECT pgautofailover.perform_failover('default', 2);
SELECT DISTINCT "group" FROM groups WHERE reported <> goal;
SELECT * FROM refusal($$SELECT pgautofailover.perform_failover('default', 2)$$);
SELECT pgautofailover.perform_failover('default', 0);
SELECT settle() > 0;
TABLE groups;
SELECT * FROM pgautofailover.get_coordinator();
SELECT pgautofailover.perform_promotion('default', 'w3');
SELECT pgautofailover.perform_promotion('default', 'w1');
SELECT settle() > 0;
SELECT p.* FROM generate_series(0, 2) AS g, pgautofailover.get_primary('default', g) AS p;
SELECT * FROM refusal($$SELECT pgautofailover.perform_failover('default', 3)$$);
SELECT * FROM refusal($$SELECT pgautofailover.get_primary('default', 3)$$);
SELECT nodename, groupid FROM pgautofailover.last_events('default', 1, 100) GROUP BY 1, 2 ORDER BY 1;
SELECT count(*) FROM pgautofailover.last_events('default', 3, 100);

-- A lost primary of workers is succeeded, and the coordinator stays as it is.
SELECT lose(3);
SELECT report(4, 'secondary', detail => '{"upstream": {"is_streaming": false, "silent_ms": 60000}}');
SELECT settle() > 0;
SELECT * FROM pgautofailover.get_primary('default', 1);
TABLE groups;

-- Maintenance and settings, of workers.
SELECT pgautofailover.start_maintenance(6);
SELECT settle() > 0;
SELECT pgautofailover.start_maintenance(5);
SELECT pgautofailover.stop_maintenance(6);
SELECT settle() > 0;
SELECT pgautofailover.start_maintenance(5);
SELECT settle() > 0;
TABLE groups;
SELECT pgautofailover.stop_maintenance(5);
SELECT settle() > 0;
SELECT pgautofailover.set_node_candidate_priority('default', 'w4', 0);
SELECT pgautofailover.set_node_replication_quorum('default', 'w3', false);
SELECT settle() > 0;
SELECT * FROM refusal($$SELECT pgautofailover.set_node_candidate_priority('default', 'w3', 0)$$);
SELECT pgautofailover.synchronous_standby_names('default', g) FROM generate_series(0, 2) AS g;
SELECT pgautofailover.update_node_metadata(5, 'w3', '127.0.0.1', 6013);
SELECT settle() > 0;
SELECT pgautofailover.set_node_replication_quorum('default', 'w3', true);
SELECT settle() > 0;
SELECT * FROM pgautofailover.get_nodes('default', 2);
SELECT * FROM pgautofailover.set_group_system_identifier(2, 7000000000000000002) ORDER BY node_id;

-- A group goes with its last node, the formation with its last group.
SELECT pgautofailover.remove_node(5);
SELECT settle() > 0;
SELECT pgautofailover.remove_node(6, true);
SELECT settle() > 0;
TABLE groups;
SELECT groupid FROM pgautofailover.group_status ORDER BY groupid;
SELECT * FROM refusal($$SELECT pgautofailover.drop_formation('default')$$);
SELECT pgautofailover.remove_node(1), pgautofailover.remove_node(3);
SELECT settle() > 0;
SELECT pgautofailover.remove_node(2);
SELECT settle() > 0;
SELECT * FROM pgautofailover.get_coordinator();
SELECT pgautofailover.formation_uri();
SELECT pgautofailover.remove_node(4);
SELECT settle() > 0;
TABLE groups;
SELECT pgautofailover.drop_formation('default');
DROP VIEW groups;
