\echo Use "ALTER EXTENSION pgautofailover UPDATE" to load this file. \quit

-- From the tables of 2.x to those of pgautofailover--3.0-tables.sql. Every row stays. The functions of 2.x go; Postgres
-- runs pgautofailover--3.0-tables--3.0.sql next, which makes ours.
--
-- A keeper that reports meanwhile waits, and is answered by our functions.
LOCK TABLE pgautofailover.formation, pgautofailover.node, pgautofailover.event IN ACCESS EXCLUSIVE MODE;

--
-- What 2.x had and we have in another way
--

DROP TRIGGER disable_secondary_check ON pgautofailover.formation;

DO $$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN
        SELECT p.oid
          FROM pg_catalog.pg_proc AS p
         WHERE p.pronamespace = 'pgautofailover'::regnamespace
           AND EXISTS (SELECT
                         FROM pg_catalog.pg_depend AS d
                        WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('DROP FUNCTION %s', old);
    END LOOP;
END
$$;

--
-- Tables
--

ALTER TABLE pgautofailover.node
    ADD COLUMN goalepoch         bigint  NOT NULL DEFAULT 0,
    ADD COLUMN reportedepoch     bigint  NOT NULL DEFAULT 0,
    ADD COLUMN reportclock       bigint,
    ADD COLUMN reportserverstart timestamptz,
    ADD COLUMN reportdetail      jsonb,
    ADD COLUMN reportedhistory   jsonb,
    ADD COLUMN iscomplete        boolean NOT NULL DEFAULT false,
    ADD COLUMN toldtowrite       boolean NOT NULL DEFAULT false,
    ADD COLUMN reportpid         integer,
    ADD COLUMN hangupclock       bigint,
    ADD COLUMN isrefusing        boolean NOT NULL DEFAULT false,
    ADD COLUMN registration      uuid    NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    ADD COLUMN restartid         uuid,
    ADD COLUMN restartepoch      bigint;

ALTER TABLE pgautofailover.node
    SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

CREATE INDEX node_formationid_groupid_nodeid_idx ON pgautofailover.node (formationid, groupid, nodeid);

ALTER TABLE pgautofailover.event
    SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);

CREATE TABLE pgautofailover.group_status (
    formationid       text    NOT NULL REFERENCES pgautofailover.formation (formationid),
    groupid           integer NOT NULL,
    commitrules       jsonb   NOT NULL DEFAULT '[]',
    rejectedtimelines jsonb   NOT NULL DEFAULT '[]',
    waitsfor          text,

    PRIMARY KEY (formationid, groupid)
);

CREATE TABLE pgautofailover.timeline (
    formationid    text    NOT NULL REFERENCES pgautofailover.formation (formationid),
    groupid        integer NOT NULL,
    timeline       integer NOT NULL CHECK (timeline > 0),
    forklsn        pg_lsn  NOT NULL,
    parenttimeline integer,
    nodeid         bigint,
    seentime       timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (formationid, groupid, timeline, forklsn)
);

--
-- What was not recorded
--

-- The rule that a primary of 2.x follows: one acknowledgement, or number_sync_standbys, of all other nodes of the quorum;
-- in a group of two only while the other node is secondary. A primary that is between two states may follow either rule,
-- and one that waits for nobody follows none.
INSERT INTO pgautofailover.group_status (formationid, groupid, commitrules)
SELECT writer.formationid, writer.groupid,
       CASE WHEN quorum.standbys IS NULL OR writer.reportedstate IN ('single', 'wait_primary')
            THEN '[]'::jsonb
            ELSE jsonb_build_array(jsonb_build_object('standbys', quorum.standbys,
                                                      'acks', greatest(f.number_sync_standbys, 1)))
       END
       || CASE WHEN quorum.standbys IS NOT NULL
                    AND writer.reportedstate = writer.goalstate
                    AND writer.reportedstate IN ('primary', 'join_primary')
               THEN '[]'::jsonb
               ELSE '[{"standbys": [], "acks": 0}]'::jsonb
          END
  FROM pgautofailover.node AS writer
  JOIN pgautofailover.formation AS f USING (formationid)
 CROSS JOIN LATERAL (
       SELECT jsonb_agg(other.nodeid ORDER BY other.nodeid) AS standbys
         FROM pgautofailover.node AS other
        WHERE other.formationid = writer.formationid
          AND other.groupid = writer.groupid
          AND other.nodeid <> writer.nodeid
          AND other.replicationquorum
          AND (other.goalstate = 'secondary'
               OR (SELECT count(*)
                     FROM pgautofailover.node AS n
                    WHERE n.formationid = writer.formationid AND n.groupid = writer.groupid) > 2)
       ) AS quorum
 WHERE writer.goalstate IN ('single', 'wait_primary', 'primary', 'join_primary', 'apply_settings');

--
-- Keepers of 2.x ask the monitor for its version before each report, and work with no other than their own
--

CREATE VIEW pgautofailover_2x.pg_available_extensions AS
SELECT name, default_version,
       CASE WHEN name = 'pgautofailover' THEN pgautofailover_2x.version() ELSE installed_version END AS installed_version,
       comment
  FROM pg_catalog.pg_available_extensions;

GRANT USAGE ON SCHEMA pgautofailover_2x TO autoctl_node;
GRANT SELECT ON pgautofailover_2x.pg_available_extensions TO autoctl_node;

DO $$
BEGIN
    EXECUTE format('ALTER ROLE autoctl_node IN DATABASE %I SET search_path = pgautofailover_2x, pg_catalog, "$user", public',
                   current_database());
END
$$;
