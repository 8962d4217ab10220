\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- A standby leaves when it says that it has; then its primary is single.
SELECT two_nodes();
SELECT pgautofailover.remove_node(2);
TABLE states;
SELECT report(2, 'dropped');
TABLE states;
SELECT settle() > 0;
TABLE states;
SELECT commitrules FROM pgautofailover.group_status;
-- A keeper whose node is gone hears so.
SELECT * FROM refusal($$SELECT pgautofailover.node_active('default', 2, 0)$$);
SELECT pgautofailover.remove_node(2);
SELECT pgautofailover.remove_node('localhost', 5502);

-- With force at once.
SELECT join_node('n2', 5502);
SELECT settle() > 0;
SELECT settle();
SELECT pgautofailover.remove_node('localhost', 5502, force => true);
TABLE states;

-- The primary hands over before it leaves.
SELECT settle() > 0;
SELECT join_node('n3', 5503);
SELECT settle() > 0;
SELECT settle();
TABLE states;
SELECT pgautofailover.remove_node(1);
TABLE states;
SELECT settle() > 0;
TABLE states;

-- The last one.
SELECT pgautofailover.remove_node(nodeid, force => true) FROM pgautofailover.node;
SELECT settle();
TABLE states;
SELECT commitrules FROM pgautofailover.group_status;
