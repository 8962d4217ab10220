\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
SELECT * FROM pgautofailover.create_formation('app', 'pgsql', 'appdb', true, 0);
SELECT * FROM pgautofailover.create_formation('app', 'pgsql', 'appdb', true, 0);
SELECT * FROM pgautofailover.create_formation('', 'pgsql', 'appdb', true, 0);
SELECT * FROM pgautofailover.create_formation('b', 'oracle', 'appdb', true, 0);
SELECT * FROM pgautofailover.create_formation('b', 'citus', 'appdb', true, 0);
SELECT * FROM pgautofailover.create_formation('b', 'pgsql', '', true, 0);
SELECT * FROM pgautofailover.create_formation('b', 'pgsql', 'appdb', true, -1);
SELECT * FROM pgautofailover.create_formation('b', 'pgsql', 'appdb', true, NULL);
TABLE pgautofailover.formation;

-- Secondaries can be disabled while there are none.
SELECT pgautofailover.disable_secondary('app');
SELECT opt_secondary FROM pgautofailover.formation WHERE formationid = 'app';
SELECT pgautofailover.enable_secondary('app');
SELECT opt_secondary FROM pgautofailover.formation WHERE formationid = 'app';
SELECT two_nodes();
SELECT pgautofailover.disable_secondary('default');
SELECT opt_secondary FROM pgautofailover.formation WHERE formationid = 'default';
SELECT pgautofailover.disable_secondary('nowhere');

-- A formation goes when it is empty.
SELECT pgautofailover.drop_formation('default');
SELECT pgautofailover.drop_formation('app');
SELECT pgautofailover.drop_formation('app');
SELECT formationid FROM pgautofailover.formation;
