\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- A monitor says who it is, and takes no report for another one.
SELECT two_nodes();
CREATE FUNCTION report_to(node bigint, monitor text) RETURNS text LANGUAGE sql AS $$
    SELECT assignment ->> 'monitor'
      FROM pgautofailover.node_active('default', node, 0, 'secondary', true, 1, '0/3000060', '',
                                      pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('monitor', monitor)))
$$;
SELECT count(*) FROM pgautofailover.monitor;
SELECT identity::text AS me FROM pgautofailover.monitor \gset
SELECT report_to(2, NULL) = :'me' AS is_told;
SELECT report_to(2, :'me') = :'me' AS is_taken;
SELECT code, replace(message, :'me', 'ME') AS message, hint
  FROM refusal($$SELECT report_to(2, '00000000-0000-0000-0000-000000000001')$$);
-- A node that was not removed here is not told that it was.
SELECT * FROM refusal($$SELECT report_to(7, NULL)$$);
SELECT pgautofailover.remove_node(2, force => true);
SELECT nodeid FROM pgautofailover.removed_node;
SELECT * FROM refusal($$SELECT report_to(2, NULL)$$);
-- A restored monitor may give the number of a node to another one: a report says which registration it is of.
CREATE FUNCTION registration_told(node bigint, registration text) RETURNS text LANGUAGE sql AS $$
    SELECT assignment ->> 'registration'
      FROM pgautofailover.node_active('default', node, 0, 'single', true, 1, '0/3000060', '',
                                      pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('registration', registration)))
$$;
SELECT registration::text AS mine FROM pgautofailover.node WHERE nodeid = 1 \gset
SELECT registration_told(1, NULL) = :'mine' AS is_told;
SELECT registration_told(1, :'mine') = :'mine' AS is_taken;
SELECT * FROM refusal($$SELECT registration_told(1, '00000000-0000-0000-0000-000000000001')$$);
-- A monitor without identity says so, and how it gets it back.
BEGIN;
DELETE FROM pgautofailover.monitor;
SELECT * FROM refusal($$SELECT report_to(1, NULL)$$);
ROLLBACK;
-- The oldest of several rows counts: that of a dump which was restored.
INSERT INTO pgautofailover.monitor VALUES ('00000000-0000-0000-0000-000000000002', '2020-01-01');
SELECT report_to(1, NULL);
