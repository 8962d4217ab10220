\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- One setting for all groups: what each of them can do.
CREATE VIEW rules AS
    SELECT number_sync_standbys AS number, g AS "group", pgautofailover.synchronous_standby_names(formationid, g) AS names
      FROM pgautofailover.formation, generate_series(0, 2) AS g ORDER BY g;
SELECT join_citus('coordinator', 'ca', 5500);
SELECT * FROM refusal($$SELECT pgautofailover.set_formation_number_sync_standbys('default', 1)$$);
SELECT join_citus('coordinator', 'cb', 5501);
SELECT join_citus('worker', 'w1', 5511);
SELECT settle() > 0;
SELECT * FROM refusal($$SELECT pgautofailover.set_formation_number_sync_standbys('default', 1)$$);
SELECT number_sync_standbys FROM pgautofailover.formation;
SELECT join_citus('worker', 'w2', 5512);
SELECT settle() > 0;
SELECT pgautofailover.set_formation_number_sync_standbys('default', 1);
SELECT settle() > 0;
TABLE rules;
SELECT pgautofailover.set_formation_number_sync_standbys('default', 0);

-- A third node in one group does not make the other wait for its only standby; in both it does.
SELECT join_citus('coordinator', 'cc', 5502);
SELECT settle() > 0;
TABLE rules;
SELECT lose(4);
SELECT report(3, 'primary');
SELECT settle() > 0;
TABLE states;
SELECT report(4, 'secondary');
SELECT settle() > 0;
SELECT join_citus('worker', 'w3', 5513, 1);
SELECT settle() > 0;
TABLE rules;
SELECT description FROM pgautofailover.last_events(100) WHERE description LIKE '%becomes 1%';

-- A change of it reaches every group at once.
SELECT pgautofailover.set_formation_number_sync_standbys('default', 2);
SELECT name, goal FROM states WHERE NOT confirmed;
SELECT settle() > 0;
TABLE rules;

-- A new group begins with what it can, and asks for nothing when it goes as a whole.
SELECT join_citus('worker', 'w4', 5514);
SELECT settle() > 0;
SELECT pgautofailover.remove_node('localhost', 5514);
SELECT settle() > 0;
TABLE rules;
SELECT join_citus('worker', 'w4', 5514), join_citus('worker', 'w5', 5515);
SELECT settle() > 0;
TABLE rules;
SELECT * FROM refusal($$SELECT pgautofailover.set_formation_number_sync_standbys('default', 2)$$);

-- With a node fewer in one group, every group does with fewer acknowledgements, at once.
SELECT pgautofailover.remove_node('localhost', 5512);
SELECT name, goal FROM states WHERE NOT confirmed;
SELECT settle() > 0;
TABLE rules;
DROP VIEW rules;
