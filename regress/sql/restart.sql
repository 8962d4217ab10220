\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- A standby is told to restart until it has, and the primary is not.
SELECT three_nodes();
CREATE FUNCTION asked_to_restart(node bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT (a.assignment ->> 'restart')::uuid IS NOT DISTINCT FROM n.restartid
      FROM pgautofailover.node AS n,
   LATERAL pgautofailover.node_active(
               n.formationid, node, n.groupid, n.reportedstate, true, n.reportedtli, n.reportedlsn, '',
               n.reportdetail || jsonb_build_object('epoch', n.goalepoch)) AS a
     WHERE n.nodeid = node AND n.restartid IS NOT NULL
$$;
SELECT pgautofailover.restart_node(2) ~ '^[0-9a-f-]{36}$' AS is_named;
SELECT asked_to_restart(1), asked_to_restart(2), asked_to_restart(3);
-- One at a time.
SELECT * FROM refusal('SELECT pgautofailover.restart_node(3)');
SELECT report(2, 'secondary', detail => jsonb_build_object('restarted', restartid))
  FROM pgautofailover.node WHERE nodeid = 2;
SELECT asked_to_restart(2) AS asked_again;
SELECT pgautofailover.restart_node(3) IS NOT NULL AS is_named;
-- One that is cancelled is asked no more.
SELECT pgautofailover.cancel_restart(3);
SELECT pgautofailover.cancel_restart(3);
SELECT asked_to_restart(3);
SELECT regexp_replace(description, '^\S+( at \S+)? ', 'SOMEBODY ') AS description, nodename
  FROM pgautofailover.event WHERE description LIKE '%estart%' ORDER BY eventid;

-- Who is not restarted.
SELECT * FROM refusal('SELECT pgautofailover.restart_node(1)');
SELECT * FROM refusal('SELECT pgautofailover.restart_node(99)');
SELECT pgautofailover.pause_failover('default');
SELECT * FROM refusal('SELECT pgautofailover.restart_node(2)');
SELECT pgautofailover.resume_failover('default');
SELECT lose(3);
SELECT * FROM refusal('SELECT pgautofailover.restart_node(2)');

-- Under another assignment a restart does not count.
SELECT report(3, 'secondary');
SELECT pgautofailover.restart_node(2) IS NOT NULL AS is_named;
SELECT pgautofailover.start_maintenance(2);
SELECT asked_to_restart(2);
