\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- A node that brings no name is called by what it is: kind, group, and the first letter that is free.
SELECT join_citus('worker', '', 5511);
SELECT join_citus('coordinator', '', 5500);
SELECT join_citus('worker', '', 5512);
SELECT join_citus('coordinator', '', 5501);
SELECT join_citus('worker', '', 5513, 3);
SELECT join_citus('worker', 'worker3b', 5514, 3);
SELECT join_citus('worker', '', 5515, 3);
SELECT nodename, groupid, nodeport FROM pgautofailover.node ORDER BY nodeid;
