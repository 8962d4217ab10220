\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT two_nodes();
CREATE TABLE before AS SELECT nodeid, to_jsonb(node) AS "row" FROM pgautofailover.node;
CREATE TABLE before_events AS SELECT count(*) FROM pgautofailover.event;

\x on
-- Reports that cannot be true, or are not about this node.
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 99, 0)$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 7)$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('nowhere', 1, 0)$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 0, 'unknown')$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 0, 'primary', true, -1)$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 0, 'primary', true, 1, '0/0', '', '{"epoch": "x"}')$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 0, 'primary', true, 1, '0/0', '', '{"epoch": 1e400}')$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 0, 'primary', true, 1, '0/0', '', '{"epoch": 9223372036854775807}')$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 0, 'primary', true, 1, '0/0', '', '{"epoch": -1}')$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 0, 'primary', true, 1, '0/0', '', '{"number": {"start": 9223372036854775807, "sequence": 1}}')$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 0, 'primary', true, 1, '0/0', '', '{"number": 7}')$$);
SELECT * FROM refusal($$SELECT * FROM pgautofailover.node_active('default', 1, 0, 'leader')$$);

-- Commands for what is not there, or not possible.
SELECT * FROM refusal($$SELECT pgautofailover.perform_failover('nowhere')$$);
SELECT * FROM refusal($$SELECT pgautofailover.perform_failover('default', 7)$$);
SELECT * FROM refusal($$SELECT pgautofailover.perform_failover('default', 7, true)$$);
SELECT * FROM refusal($$SELECT pgautofailover.accept_timeline('nowhere', 0, 2)$$);
SELECT * FROM refusal($$SELECT pgautofailover.accept_timeline('default', 0, 0)$$);
SELECT * FROM refusal($$SELECT pgautofailover.remove_node(99)$$);
SELECT * FROM refusal($$SELECT pgautofailover.remove_node('elsewhere', 5501)$$);
SELECT * FROM refusal($$SELECT pgautofailover.update_node_metadata(NULL, 'a', 'b', 1)$$);
SELECT * FROM refusal($$SELECT pgautofailover.update_node_metadata(99, 'a', 'b', 1)$$);
SELECT * FROM refusal($$SELECT pgautofailover.update_node_metadata(1, 'n2', NULL, NULL)$$);
SELECT * FROM refusal($$SELECT pgautofailover.update_node_metadata(1, NULL, NULL, 5502)$$);
SELECT * FROM refusal($$SELECT pgautofailover.update_node_metadata(1, '', NULL, NULL)$$);
SELECT * FROM refusal($$SELECT pgautofailover.update_node_metadata(1, NULL, 'a,b', NULL)$$);
SELECT * FROM refusal($$SELECT pgautofailover.update_node_metadata(1, NULL, NULL, 70000)$$);

\x off

-- A NULL is no command: the functions are strict, as those of 2.2 are.
SELECT pgautofailover.perform_failover('default', NULL) IS NULL AS nothing;
SELECT * FROM pgautofailover.node_active('default', NULL, 0);

-- Rows that are older than the lock would be decided on.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pgautofailover.perform_failover();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM pgautofailover.node_active('default', 1, 0, 'primary');
ROLLBACK;

-- A node without a system identifier has no data yet.
SELECT pgautofailover.remove_node(2, force => true);
SELECT join_node('n3', 5503);
SELECT * FROM pgautofailover.node_active('default', 3, 0, 'secondary', true, 1);
SELECT pgautofailover.remove_node(3, force => true);

-- No row has changed but those of the last lines.
SELECT nodeid FROM before JOIN pgautofailover.node USING (nodeid)
 WHERE "row" - '{goalstate,goalepoch,statechangetime}'::text[]
    <> to_jsonb(node) - '{goalstate,goalepoch,statechangetime}'::text[];
DROP TABLE before, before_events;
