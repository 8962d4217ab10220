\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- The library says what to do when the extension is not of its version.
SELECT two_nodes();
\x on
UPDATE pg_extension SET extversion = '2.2' WHERE extname = 'pgautofailover';
SELECT * FROM refusal($$SELECT pgautofailover.node_active('default', 1, 0, 'primary')$$);
UPDATE pg_extension SET extversion = '10.0' WHERE extname = 'pgautofailover';
SELECT * FROM refusal('SELECT pgautofailover.perform_failover()');
UPDATE pg_extension SET extversion = '3.0' WHERE extname = 'pgautofailover';
\x off
TABLE states;

-- From each released version there is a way to this one, and none back.
ALTER EXTENSION pgautofailover UPDATE;
SELECT source, target, path FROM pg_extension_update_paths('pgautofailover')
 WHERE path IS NOT NULL AND source ~ '^\d+\.\d+$' AND target ~ '^\d+\.\d+$' ORDER BY source, target;
