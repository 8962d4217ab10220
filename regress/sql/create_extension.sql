\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- Everything that scripts of 2.2 use is there, under the same names.
SELECT p.proname || '(' || pg_get_function_arguments(p.oid) || ') returns ' || pg_get_function_result(p.oid)
       || CASE WHEN proisstrict THEN ' strict' ELSE '' END
       || CASE WHEN prosecdef THEN ' security definer' ELSE '' END AS function
  FROM pg_proc AS p
 WHERE pronamespace = 'pgautofailover'::regnamespace
 ORDER BY p.proname, pg_get_function_arguments(p.oid) COLLATE "C";

-- A function that runs with its owner's rights chooses what its names mean.
SELECT proname FROM pg_proc
 WHERE pronamespace = 'pgautofailover'::regnamespace AND prosecdef
   AND NOT coalesce(proconfig::text LIKE '%search_path=pg_catalog, pg_temp%', false);

SELECT enum_range(NULL::pgautofailover.replication_state);
\d pgautofailover.formation
\d pgautofailover.node
\d pgautofailover.event
\d pgautofailover.group_status
\d pgautofailover.timeline
TABLE pgautofailover.formation;

SELECT extversion FROM pg_extension WHERE extname = 'pgautofailover';

-- A dump has what the monitor knows.
SELECT unnest(extconfig)::regclass AS dumped FROM pg_extension WHERE extname = 'pgautofailover';

-- Nothing is left behind, and it can be made again.
DROP VIEW states;
DROP EXTENSION pgautofailover;
SELECT FROM pg_namespace WHERE nspname = 'pgautofailover';
CREATE EXTENSION pgautofailover;
SELECT count(*) FROM pgautofailover.node;
