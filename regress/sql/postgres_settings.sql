\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- Settings of Postgres for all nodes of a formation: kept, told with each answer, taken back.
SELECT two_nodes();
CREATE FUNCTION told_settings(node bigint) RETURNS json LANGUAGE sql AS $$
    SELECT a.assignment -> 'postgres_settings'
      FROM pgautofailover.node AS n,
   LATERAL pgautofailover.node_active(
               n.formationid, node, n.groupid, n.reportedstate, true, n.reportedtli, n.reportedlsn, '',
               n.reportdetail || jsonb_build_object('epoch', n.goalepoch)) AS a
     WHERE n.nodeid = node
$$;
SELECT told_settings(1);
SELECT pgautofailover.set_postgres_settings('default', '{"work_mem": "64MB", "max_connections": "163"}');
SELECT pgautofailover.set_postgres_settings('default', '{"work_mem": "64MB"}');
SELECT told_settings(1), told_settings(2);
SELECT name, value, pending_restart, not_applied FROM pgautofailover.postgres_settings();
-- Nodes say what they have made of them.
SELECT report(2, 'secondary', detail =>
           '{"settings": {"pending_restart": ["max_connections"], "not_applied": {"work_mem": "it is set elsewhere"}}}');
SELECT name, value, pending_restart, not_applied FROM pgautofailover.postgres_settings();
SELECT pgautofailover.arrangements();
SELECT pgautofailover.set_postgres_settings('default', '{"work_mem": null, "never_set": null}');
SELECT pgautofailover.set_postgres_settings('default', '{"work_mem": null}');
SELECT told_settings(2);
SELECT regexp_replace(description, '^\S+( at \S+)? ', 'SOMEBODY ') AS description
  FROM pgautofailover.event WHERE description LIKE '% set %' ORDER BY eventid;

-- What cannot be.
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '{"work_men": "1MB"}') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '{"work_mem": "lots"}') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '{"max_connections": "-1"}') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '{"synchronous_commit": "off"}') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '{"archive_command": "rm"}') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '{"Work_mem": "1MB"}') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '{"role": "postgres"}') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '{"block_size": "4096"}') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '{"a.b": "1\nfsync = off"}') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('default', '[]') $$);
SELECT message FROM refusal($$ SELECT pgautofailover.set_postgres_settings('nowhere', '{"work_mem": "1MB"}') $$);
SELECT message FROM refusal($$ SELECT * FROM pgautofailover.postgres_settings('nowhere') $$);
SELECT name, value FROM pgautofailover.postgres_settings();
