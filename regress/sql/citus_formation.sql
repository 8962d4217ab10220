\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- Whoever starts first makes an empty formation one of Citus, and says which database it serves. A group of workers is
-- filled before the next one begins.
SELECT join_citus('worker', 'w1', 5511);
SELECT join_citus('coordinator', 'ca', 5500);
SELECT join_citus('worker', 'w2', 5512);
SELECT join_citus('worker', 'w3', 5513);
SELECT join_citus('coordinator', 'cb', 5501, 0);
SELECT join_citus('worker', 'w4', 5514);
SELECT kind, dbname FROM pgautofailover.formation;
SELECT description FROM pgautofailover.last_events(100) WHERE description LIKE '%joins%';

-- A worker that did not hear in which group it is asks again, with its name or without.
SELECT join_citus('worker', 'w3', 5513);
SELECT join_citus('worker', '', 5513);
SELECT join_citus('worker', 'w3', 5513, 2);
SELECT join_citus('coordinator', 'ca', 5500);
SELECT join_citus('worker', 'w3', 5513, 1);
SELECT settle() > 0;
SELECT join_citus('worker', 'w3', 5513);

-- A group that is asked for is taken, complete or not; gaps are not filled.
SELECT join_citus('worker', 'w7', 5517, 7);
SELECT join_citus('worker', 'w8', 5518);
SELECT join_citus('worker', 'w9', 5519);
SELECT join_citus('worker', 'w10', 5520, 1);
SELECT settle() > 0;
SELECT nodeid, nodename, groupid, goalstate FROM pgautofailover.node ORDER BY groupid, nodeid;

-- A node that leaves makes room, before its row is gone.
SELECT pgautofailover.remove_node('localhost', 5514);
SELECT goalstate FROM pgautofailover.node WHERE nodename = 'w4';
SELECT join_citus('worker', 'w11', 5521);

-- A copy of another cluster does not fill a group: it begins one, or is told where it does not belong.
SELECT assigned_group_id
  FROM pgautofailover.register_node('default', 'localhost', 5522, 'citus', 'w12', sysidentifier => 5, node_kind => 'worker');
SELECT * FROM refusal($$SELECT pgautofailover.register_node('default', 'localhost', 5523, 'citus', sysidentifier => 5,
                                                            node_kind => 'worker', desired_group_id => 2)$$);

-- Nodes that are only read from: one of each cluster in each group, never the first node of it.
SELECT join_citus('worker', 'r1', 5531, cluster => 'readers');
SELECT join_citus('worker', 'r2', 5532, cluster => 'readers');
SELECT join_citus('worker', 'r2', 5532, cluster => 'readers');
SELECT join_citus('coordinator', 'rc', 5530, cluster => 'readers');
SELECT nodename, groupid, goalstate, candidatepriority FROM pgautofailover.node WHERE nodecluster = 'readers' ORDER BY nodeid;
SELECT pgautofailover.formation_uri('default', 'readers');
SELECT * FROM refusal($$SELECT join_citus('worker', 'r10', 5539, 10, 'readers')$$);
SELECT * FROM refusal($$SELECT join_citus('coordinator', 'ra', 5539, cluster => 'readers', formation => 'nowhere')$$);
SELECT * FROM refusal($$SELECT pgautofailover.set_node_candidate_priority('default', 'r1', 1)$$);
SELECT pgautofailover.set_node_candidate_priority('default', 'r1', 0);
SELECT * FROM refusal($$SELECT pgautofailover.register_node('default', 'localhost', 5539, 'citus', node_kind => 'worker',
                                                            node_cluster => 'readers')$$);
SELECT * FROM refusal($$SELECT pgautofailover.register_node('default', 'localhost', 5539, 'citus', node_kind => 'worker',
                                                            node_cluster => '', candidate_priority => 0)$$);
SELECT * FROM refusal($$SELECT pgautofailover.register_node('default', 'localhost', 5539, 'citus', node_kind => 'worker',
                                                            node_cluster => 'readers', candidate_priority => 0,
                                                            initial_group_role => 'single', sysidentifier => 7)$$);
-- One that moves here is a standby already, whoever comes first.
SELECT assigned_group_id, assigned_group_state
  FROM pgautofailover.register_node('default', 'localhost', 5533, 'citus', node_kind => 'worker', node_cluster => 'readers',
                                    candidate_priority => 0, initial_group_role => 'secondary', sysidentifier => 7,
                                    desired_group_id => 20);

-- What does not fit is refused, with nothing written.
CREATE TEMPORARY TABLE before AS SELECT count(*) FROM pgautofailover.node;
SELECT * FROM refusal($$SELECT join_citus('coordinator', 'x', 5599, 1)$$);
SELECT * FROM refusal($$SELECT join_citus('worker', 'x', 5599, 0)$$);
SELECT * FROM refusal($$SELECT join_citus('worker', 'x', 5599, -2)$$);
SELECT * FROM refusal($$SELECT join_citus('arbiter', 'x', 5599)$$);
SELECT * FROM refusal($$SELECT join_citus('standalone', 'x', 5599)$$);
SELECT * FROM refusal($$SELECT join_citus('worker', 'w1', 5599)$$);
SELECT * FROM refusal($$SELECT join_citus('worker', 'x', 5511, 4)$$);
SELECT * FROM refusal($$SELECT pgautofailover.register_node('default', 'localhost', 5599, 'other', node_kind => 'worker')$$);
SELECT * FROM refusal($$SELECT join_citus('worker', 'x', 5599, formation => 'nowhere')$$);
TABLE before EXCEPT SELECT count(*) FROM pgautofailover.node;
SELECT join_citus('worker', 'last', 5598, 2147483647);
SELECT join_citus('worker', 'beside', 5597, 2147483647);
SELECT join_citus('worker', 'w13', 5523), join_citus('worker', 'w14', 5524);
SELECT * FROM refusal($$SELECT join_citus('worker', 'x', 5599)$$);

-- A formation can be made for Citus; one with nodes of plain Postgres stays what it is.
SELECT * FROM pgautofailover.create_formation('lake', 'citus', 'citus', false, 0);
SELECT * FROM refusal($$SELECT join_citus('standalone', 'x', 5599, formation => 'lake')$$);
SELECT * FROM pgautofailover.create_formation('plain', 'pgsql', 'citus', true, 0);
SELECT join_citus('standalone', 'p', 5540, formation => 'plain');
SELECT * FROM refusal($$SELECT join_citus('worker', 'x', 5599, formation => 'plain')$$);
SELECT * FROM refusal($$SELECT join_citus('coordinator', 'x', 5599, formation => 'plain')$$);
SELECT * FROM refusal($$SELECT join_citus('standalone', 'x', 5599, 1, formation => 'plain')$$);

-- Without secondaries every worker is a group; with them the next one joins the first.
SELECT join_citus('worker', 'l1', 5551, formation => 'lake');
SELECT join_citus('worker', 'l2', 5552, formation => 'lake');
SELECT join_citus('coordinator', 'l0', 5550, formation => 'lake');
SELECT * FROM refusal($$SELECT join_citus('coordinator', 'x', 5599, formation => 'lake')$$);
SELECT * FROM refusal($$SELECT join_citus('worker', 'x', 5599, 1, formation => 'lake')$$);
SELECT pgautofailover.enable_secondary('lake');
SELECT join_citus('worker', 'l3', 5553, formation => 'lake');
SELECT * FROM refusal($$SELECT pgautofailover.disable_secondary('lake')$$);
SELECT pgautofailover.remove_node('localhost', 5553, true);
SELECT pgautofailover.disable_secondary('lake');
SELECT join_citus('worker', 'l4', 5554, formation => 'lake');
