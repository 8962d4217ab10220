\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- What nodes tell of their timelines is kept, each timeline by where it begins.
CREATE FUNCTION told(who bigint, state text, tli integer, ancestors jsonb) RETURNS text LANGUAGE sql AS $$
    SELECT report(who, state, '0/5000000', tli,
                  detail => jsonb_build_object('history', jsonb_build_object('timeline', tli, 'ancestors', ancestors)))
$$;
CREATE VIEW branches AS
    SELECT timeline, parent_timeline, fork_lsn, is_rejected, first_node_id, node_ids, first_seen <= clock_timestamp() AS seen
      FROM pgautofailover.timelines();
SELECT two_nodes();
TABLE branches;
SELECT told(1, 'primary', 1, '[]');
TABLE branches;
SELECT told(1, 'primary', 3, '[[1, "0/3000000"], [2, "0/4000000"]]');
SELECT told(2, 'secondary', 2, '[[1, "0/3000000"]]');
TABLE branches;
SELECT nodename, reportedhistory FROM pgautofailover.node ORDER BY nodeid;

-- Not every report carries it: then it stays.
SELECT report(1, 'primary', tli => 3);
SELECT nodename, reportedhistory FROM pgautofailover.node ORDER BY nodeid;

-- Another branch of the same number, and a node that is gone.
SELECT told(2, 'secondary', 2, '[[1, "0/2800000"]]');
TABLE branches;
SELECT pgautofailover.remove_node(2, force => true);
TABLE branches;

-- A history that cannot be is not kept.
SELECT told(1, 'primary', 3, '[[2, "0/3000000"], [1, "0/4000000"]]');
SELECT told(1, 'primary', 3, '[[0, "0/3000000"]]');
SELECT told(1, 'primary', 3, '[[3000000000, "0/3000000"]]');
TABLE branches;

-- Two branches, and nobody but a person can say which one is right.
SELECT pgautofailover.remove_node(1, force => true);
SELECT report(1, 'dropped');
SELECT two_nodes();
SELECT nodeid AS n1 FROM pgautofailover.node WHERE nodename = 'n1' \gset
SELECT nodeid AS n2 FROM pgautofailover.node WHERE nodename = 'n2' \gset
SELECT told(:n1, 'primary', 3, '[[1, "0/3000000"]]');
SELECT told(:n2, 'secondary', 2, '[[1, "0/2800000"]]');
SELECT report(:n2, 'maintenance', tli => 2);
SELECT report(:n1, 'wait_primary', tli => 3);
TABLE states;
SELECT pgautofailover.accept_timeline('default', 0, 7);
SELECT pgautofailover.accept_timeline('default', 0, 3);
SELECT timeline, fork_lsn, is_rejected FROM branches;
SELECT nodename, regexp_replace(description, ' at 127.0.0.1', '') AS description
  FROM pgautofailover.last_events(3);
TABLE states;
SELECT pgautofailover.accept_timeline('default', 0, 3);

-- Nothing is known of a group that nobody is in, or that is not there.
SELECT pgautofailover.remove_node(:n2, force => true);
SELECT pgautofailover.remove_node(:n1, force => true);
SELECT report(:n1, 'dropped');
TABLE branches;
SELECT * FROM pgautofailover.timelines('default', 7);
SELECT * FROM pgautofailover.timelines('nowhere', 0);
DROP VIEW branches;
DROP FUNCTION told;
