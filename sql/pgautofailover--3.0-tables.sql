\echo Use "CREATE EXTENSION pgautofailover CASCADE" to load this file. \quit

-- The role that keepers and the command line connect as. It may exist already: roles belong to the server, and the
-- extension may be dropped and made again.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'autoctl_node') THEN
        CREATE ROLE autoctl_node WITH LOGIN;
    END IF;
END
$$;

CREATE SCHEMA pgautofailover;

--
-- Types and tables
--

CREATE TYPE pgautofailover.replication_state AS ENUM (
    'unknown',
    'init',
    'single',
    'wait_primary',
    'primary',
    'draining',
    'demote_timeout',
    'demoted',
    'catchingup',
    'secondary',
    'prepare_promotion',
    'stop_replication',
    'wait_standby',
    'maintenance',
    'join_primary',
    'apply_settings',
    'prepare_maintenance',
    'wait_maintenance',
    'report_lsn',
    'fast_forward',
    'join_secondary',
    'dropped'
);

CREATE TABLE pgautofailover.formation (
    formationid          text    NOT NULL DEFAULT 'default',
    kind                 text    NOT NULL DEFAULT 'pgsql',
    dbname               name    NOT NULL DEFAULT 'postgres',
    opt_secondary        boolean NOT NULL DEFAULT true,
    number_sync_standbys integer NOT NULL DEFAULT 0,

    PRIMARY KEY (formationid),
    CHECK (kind IN ('pgsql', 'citus'))
);

INSERT INTO pgautofailover.formation (formationid) VALUES ('default');

-- One row a node. Every report rewrites the row of its node and touches no indexed column: the free half of each
-- page keeps these updates inside it.
CREATE TABLE pgautofailover.node (
    formationid         text        NOT NULL DEFAULT 'default',
    nodeid              bigserial   NOT NULL,
    groupid             integer     NOT NULL,
    nodename            text        NOT NULL,
    nodehost            text        NOT NULL,
    nodeport            integer     NOT NULL,
    sysidentifier       bigint,
    goalstate           pgautofailover.replication_state NOT NULL DEFAULT 'init',
    reportedstate       pgautofailover.replication_state NOT NULL,
    reportedpgisrunning boolean     DEFAULT true,
    reportedrepstate    text        DEFAULT 'async',
    reporttime          timestamptz NOT NULL DEFAULT now(),
    reportedtli         integer     NOT NULL DEFAULT 1 CHECK (reportedtli > 0),
    reportedlsn         pg_lsn      NOT NULL DEFAULT '0/0',
    walreporttime       timestamptz NOT NULL DEFAULT now(),
    health              integer     NOT NULL DEFAULT -1,
    healthchecktime     timestamptz NOT NULL DEFAULT now(),
    statechangetime     timestamptz NOT NULL DEFAULT now(),
    candidatepriority   integer     NOT NULL DEFAULT 100,
    replicationquorum   boolean     NOT NULL DEFAULT true,
    nodecluster         text        NOT NULL DEFAULT 'default',

    -- which assignment the goal is, and which one the last report answers
    goalepoch           bigint      NOT NULL DEFAULT 0,
    reportedepoch       bigint      NOT NULL DEFAULT 0,
    -- when the last report came: milliseconds of the boot-time clock, in this run of the monitor's server
    reportclock         bigint,
    reportserverstart   timestamptz,
    -- what the last report said beyond the plain arguments
    reportdetail        jsonb,
    -- the history of its timeline, as it was last told
    reportedhistory     jsonb,
    -- it has every acknowledged commit, as long as nobody has been told to write since
    iscomplete          boolean     NOT NULL DEFAULT false,
    -- the answer to its last report was to accept writes
    toldtowrite         boolean     NOT NULL DEFAULT false,
    -- the process of the session in which it last reported
    reportpid           integer,
    -- when that session ended, if its keeper hung up without a word; on the clock of reportclock
    hangupclock         bigint,
    -- since its last report its port has refused connections, and accepted none
    isrefusing          boolean     NOT NULL DEFAULT false,
    -- which registration this row is of: a monitor that was restored may give the number of a node to another one
    registration        uuid        NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    -- the newest restart of its Postgres that a person has asked for, and the assignment under which
    restartid           uuid,
    restartepoch        bigint,

    PRIMARY KEY (nodeid),
    UNIQUE (formationid, nodename),
    UNIQUE (nodehost, nodeport),
    FOREIGN KEY (formationid) REFERENCES pgautofailover.formation (formationid),
    CONSTRAINT same_system_identifier_within_group
        EXCLUDE USING gist (formationid WITH =, groupid WITH =, sysidentifier WITH <>)
        DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT system_identifier_is_null_at_init_only
        CHECK (sysidentifier IS NULL AND reportedstate IN ('init', 'wait_standby', 'catchingup', 'dropped')
               OR sysidentifier IS NOT NULL)
)
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

CREATE INDEX node_formationid_groupid_nodeid_idx ON pgautofailover.node (formationid, groupid, nodeid);

-- What is known of a group as a whole. It is read with every report: one row, and a group that has none is as new.
CREATE TABLE pgautofailover.group_status (
    formationid       text    NOT NULL REFERENCES pgautofailover.formation (formationid),
    groupid           integer NOT NULL,
    -- The rules under which its commits may have been acknowledged since the last rule was confirmed, the newest last:
    -- an election has to satisfy every one of them.
    commitrules       jsonb   NOT NULL DEFAULT '[]',
    -- timelines that a person has said to be wrong, each with where it begins
    rejectedtimelines jsonb   NOT NULL DEFAULT '[]',
    -- what it waits for before it can have a primary again
    waitsfor          text,

    PRIMARY KEY (formationid, groupid)
);

-- The timelines that nodes of a group have told of, each by where it begins. Two with the same number are two branches.
-- Rows outlive their node, which is the one that told of the timeline first.
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

-- What happened and why, one row a change. Rows outlive their node and their formation.
CREATE TABLE pgautofailover.event (
    eventid           bigserial   NOT NULL,
    eventtime         timestamptz NOT NULL DEFAULT now(),
    formationid       text        NOT NULL,
    nodeid            bigint      NOT NULL,
    groupid           integer     NOT NULL,
    nodename          text        NOT NULL,
    nodehost          text        NOT NULL,
    nodeport          integer     NOT NULL,
    reportedstate     pgautofailover.replication_state NOT NULL,
    goalstate         pgautofailover.replication_state NOT NULL,
    reportedrepstate  text,
    reportedtli       integer     NOT NULL DEFAULT 1 CHECK (reportedtli > 0),
    reportedlsn       pg_lsn      NOT NULL DEFAULT '0/0',
    candidatepriority integer,
    replicationquorum boolean,
    description       text,

    PRIMARY KEY (eventid)
)
WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);
