\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- What our keepers hear: all that is needed to reach the goal.
SELECT two_nodes();
SELECT assigned_group_state, jsonb_pretty(assignment::jsonb - 'epoch' - 'monitor' - 'registration') AS assignment
  FROM pgautofailover.node AS n,
       pgautofailover.node_active('default', 1, 0, 'primary', true, 1, '0/3000000', 'quorum',
                                  jsonb_build_object('epoch', n.goalepoch))
 WHERE n.nodeid = 1;
SELECT assigned_group_state, jsonb_pretty(assignment::jsonb - 'epoch' - 'monitor' - 'registration') AS assignment
  FROM pgautofailover.node AS n,
       pgautofailover.node_active('default', 2, 0, 'secondary', true, 1, '0/3000000', '',
                                  jsonb_build_object('epoch', n.goalepoch, 'upstream', '{"is_streaming": true, "silent_ms": 3}'::jsonb))
 WHERE n.nodeid = 2;
SELECT reportdetail - 'epoch' AS detail FROM pgautofailover.node ORDER BY nodeid;

-- A report under an older assignment confirms nothing.
SELECT pgautofailover.set_node_candidate_priority('default', 'n2', 60);
SELECT report(2, 'secondary', detail => '{"epoch": 1}');
SELECT name, confirmed FROM states;
SELECT report(2, 'secondary');
SELECT name, confirmed FROM states;

-- A report that comes after one which its keeper has sent later is answered, and not recorded: it has no say any more.
SELECT report(1, 'primary', '0/3000200', detail => '{"number": {"start": 2, "sequence": 7}}');
SELECT assigned_group_state, assignment::jsonb -> 'overtaken_by' AS overtaken_by
  FROM pgautofailover.node_active('default', 1, 0, 'primary', false, 1, '0/3000100', '', '{"epoch": 1, "number": {"start": 2, "sequence": 6}}');
SELECT reportedpgisrunning, reportedlsn, reportdetail ->> 'number' AS number FROM pgautofailover.node WHERE nodeid = 1;
SELECT report(1, 'primary', '0/3000300', detail => '{"number": {"start": 3, "sequence": 1}}');
SELECT reportedpgisrunning, reportedlsn, reportdetail ->> 'number' AS number FROM pgautofailover.node WHERE nodeid = 1;
TABLE states;

-- The monitor was restored from an older copy: a node that knows more is believed, and nobody is promoted when it fails.
SELECT report(1, 'primary', detail => '{"epoch": 1000}');
TABLE states;
SELECT goalepoch FROM pgautofailover.node WHERE nodeid = 1;
SELECT report(1, 'wait_primary', running => false);
TABLE states;
SELECT report(1, 'wait_primary');
SELECT settle() > 0;
TABLE states;
