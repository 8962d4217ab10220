\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- The nodes of a running group register at a new, empty monitor: each as what it is, in any order.
CREATE FUNCTION move_node(id bigint, role text, priority integer, quorum boolean)
RETURNS TABLE (node bigint, goal text) LANGUAGE sql AS $$
    SELECT assigned_node_id, assigned_group_state::text
      FROM pgautofailover.register_node('default', 'localhost', 5500 + id::integer, 'postgres', 'n' || id,
                                        7000000000000000001, id, 0, role::pgautofailover.replication_state,
                                        candidate_priority => priority, replication_quorum => quorum)
$$;
SELECT * FROM move_node(12, 'secondary', 50, true);
SELECT * FROM move_node(12, 'secondary', 50, true);
TABLE states;
SELECT report(12, 'secondary');
SELECT * FROM move_node(14, 'maintenance', 50, false);
SELECT * FROM move_node(11, 'primary', 70, true);
SELECT * FROM move_node(13, 'primary', 50, true);
SELECT * FROM move_node(13, 'apply_settings', 50, true);
SELECT * FROM move_node(13, 'catchingup', 0, true);
SELECT settle() > 0;
SELECT settle();
TABLE states;
SELECT nodename, candidatepriority, replicationquorum, sysidentifier FROM pgautofailover.node ORDER BY nodeid;
SELECT pgautofailover.synchronous_standby_names();
-- Ids go on after theirs.
SELECT join_node('new', 5599);
DROP FUNCTION move_node;
