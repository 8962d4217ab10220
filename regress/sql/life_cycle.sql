\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- Two nodes join, the first one becomes primary and the second one its secondary.
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5501, 'postgres', 'n1', candidate_priority => 50);
SELECT report(1, 'init');
SELECT * FROM pgautofailover.set_node_system_identifier(1, 7000000000000000001);
SELECT report(1, 'single');
SELECT * FROM pgautofailover.register_node('default', 'localhost', 5502, 'postgres', 'n2', candidate_priority => 50);
TABLE states;
SELECT report(1, 'wait_primary');
SELECT report(2, 'wait_standby');
SELECT * FROM pgautofailover.set_node_system_identifier(2, 7000000000000000001);
SELECT report(2, 'catchingup');
SELECT report(2, 'secondary');
SELECT report(1, 'primary');
TABLE states;
SELECT pgautofailover.synchronous_standby_names();
SELECT groupid, commitrules FROM pgautofailover.group_status;

-- The same as a keeper of 2.2 says it.
SELECT * FROM pgautofailover.node_active('default', 1, 0, 'primary', true, 1, '0/3000100', 'quorum');
SELECT * FROM pgautofailover.node_active('default', 2, 0, 'secondary', true, 1, '0/3000100');
SELECT nodename, reportedlsn, reportedrepstate FROM pgautofailover.node ORDER BY nodeid;
TABLE states;
