\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- The third node joins: the primary waits for one of two, and everybody knows everybody.
SELECT two_nodes();
SELECT join_node('n3', 5503);
TABLE states;
SELECT settle() > 0;
SELECT settle();
TABLE states;
SELECT number_sync_standbys FROM pgautofailover.formation;
SELECT pgautofailover.synchronous_standby_names();
SELECT n.nodeid, assignment #>> '{upstream,name}' AS upstream, jsonb_path_query_array(assignment::jsonb, '$.peers[*].name') AS peers,
       assignment -> 'positions' AS positions
  FROM pgautofailover.node AS n,
       pgautofailover.node_active('default', n.nodeid, 0, n.reportedstate, true, 1, '0/3000000', '',
                                  n.reportdetail)
 ORDER BY n.nodeid;

-- The primary dies: its standbys are counted. The one that is preferred fetches what it lacks.
SELECT pgautofailover.set_node_candidate_priority('default', 'n3', 80);
SELECT settle() > 0;
SELECT report(1, 'primary', running => false);
TABLE states;
SELECT report(2, 'report_lsn', '0/4000000');
SELECT report(3, 'report_lsn', '0/3800000');
TABLE states;
SELECT nodename, iscomplete FROM pgautofailover.node ORDER BY nodeid;
SELECT assignment ->> 'goal' AS goal, assignment #>> '{upstream,name}' AS upstream, assignment ->> 'fetch_up_to' AS fetch_up_to
  FROM pgautofailover.node AS n,
       pgautofailover.node_active('default', 3, 0, 'report_lsn', true, 1, '0/3800000', '', n.reportdetail)
 WHERE n.nodeid = 3;
SELECT report(3, 'fast_forward', '0/4000000');
TABLE states;
SELECT nodename, iscomplete FROM pgautofailover.node ORDER BY nodeid;
SELECT report(1, 'demoted');
SELECT report(3, 'prepare_promotion', '0/4000000');
TABLE states;
SELECT settle() > 0;
SELECT settle();
TABLE states;
SELECT nodename, iscomplete FROM pgautofailover.node ORDER BY nodeid;
SELECT pgautofailover.waits_for();

-- One leaves, and fewer acknowledgements are left to wait for.
SELECT pgautofailover.remove_node(1);
SELECT settle() > 0;
SELECT settle();
TABLE states;
SELECT number_sync_standbys FROM pgautofailover.formation;
SELECT pgautofailover.synchronous_standby_names();
