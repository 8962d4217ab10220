\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT two_nodes();
SELECT pgautofailover.stop_maintenance(2);
SELECT pgautofailover.start_maintenance(99);
SELECT pgautofailover.start_maintenance(2);
SELECT settle() > 0;
TABLE states;
SELECT pgautofailover.start_maintenance(1);
SELECT pgautofailover.stop_maintenance(2);
SELECT settle() > 0;
TABLE states;
