\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT two_nodes();
-- A NULL leaves a property as it is.
SELECT pgautofailover.update_node_metadata(2, NULL, NULL, NULL);
SELECT pgautofailover.update_node_metadata(2, 'second', '127.0.0.1', 5512);
SELECT nodename, nodehost, nodeport FROM pgautofailover.node ORDER BY nodeid;
SELECT settle() > 0;
TABLE states;
-- The other node hears of it with its next report.
SELECT assignment -> 'peers' AS peers
  FROM pgautofailover.node AS n,
       pgautofailover.node_active('default', 1, 0, 'primary', true, 1, '0/3000000', '',
                                  jsonb_build_object('epoch', n.goalepoch))
 WHERE n.nodeid = 1;
