\echo Use "CREATE EXTENSION pgautofailover CASCADE" to load this file. \quit

-- What is the same in a new database and in one that comes from 2.x: tables that 2.x does not have and that no row of its
-- fills, functions, the trigger, and who may do what. Postgres runs it after pgautofailover--3.0-tables.sql in a new database,
-- and after pgautofailover--2.x--3.0-tables.sql in one that is updated.

--
-- Tables and indexes
--

-- The last ones of a formation and of a group, however many others there are; and the oldest, which go first.
CREATE INDEX event_formationid_eventid_idx ON pgautofailover.event (formationid, eventid);
CREATE INDEX event_formationid_groupid_eventid_idx ON pgautofailover.event (formationid, groupid, eventid);
CREATE INDEX event_eventtime_idx ON pgautofailover.event (eventtime);

-- Formations whose automatic failover a person has paused.
CREATE TABLE pgautofailover.failover_pause (
    formationid text        NOT NULL REFERENCES pgautofailover.formation (formationid) ON DELETE CASCADE,
    pausetime   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    -- when it ends by itself
    endtime     timestamptz,
    pausedby    text        NOT NULL,

    PRIMARY KEY (formationid)
);

-- Switchovers that the monitor carries out when their time has come. One that cannot be carried out until expirytime is
-- forgotten.
CREATE TABLE pgautofailover.scheduled_switchover (
    formationid    text        NOT NULL REFERENCES pgautofailover.formation (formationid) ON DELETE CASCADE,
    groupid        integer     NOT NULL,
    switchovertime timestamptz NOT NULL,
    expirytime     timestamptz NOT NULL,
    scheduledby    text        NOT NULL,

    PRIMARY KEY (formationid, groupid)
);

-- Settings of Postgres that all nodes of a formation have.
CREATE TABLE pgautofailover.postgres_setting (
    formationid text        NOT NULL REFERENCES pgautofailover.formation (formationid) ON DELETE CASCADE,
    name        text        NOT NULL,
    value       text        NOT NULL,
    settime     timestamptz NOT NULL DEFAULT pg_catalog.now(),
    setby       text        NOT NULL,

    PRIMARY KEY (formationid, name)
);

-- Which monitor this is. Nodes keep it, and other monitors do not. A restored dump brings the row of the monitor that was
-- dumped, which is older than the row that this script makes: the oldest counts.
CREATE TABLE pgautofailover.monitor (
    identity   uuid        NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    createtime timestamptz NOT NULL DEFAULT pg_catalog.now(),

    PRIMARY KEY (identity)
);

INSERT INTO pgautofailover.monitor DEFAULT VALUES;

-- Nodes that were removed. A node that has no row here and none in table node was registered at another monitor, or after
-- the backup that this monitor was restored from.
CREATE TABLE pgautofailover.removed_node (
    nodeid     bigint      NOT NULL,
    removetime timestamptz NOT NULL DEFAULT pg_catalog.now(),

    PRIMARY KEY (nodeid)
);

-- Where the servers of the monitors are, when there are several; empty when there is one. Their agents write it, and nodes
-- keep it: so a monitor can be replaced by one on another host, and no node has to be told.
CREATE TABLE pgautofailover.monitor_server (
    nodeid bigint  NOT NULL,
    host   text    NOT NULL,
    port   integer NOT NULL,

    PRIMARY KEY (nodeid)
);

-- The password of the replication role of a formation whose nodes were not told how to authenticate. Nobody reads this table
-- but its owner; nodes are given the password by replication_password().
CREATE TABLE pgautofailover.formation_password (
    formationid text NOT NULL REFERENCES pgautofailover.formation (formationid) ON DELETE CASCADE,
    password    text NOT NULL,

    PRIMARY KEY (formationid)
);

-- A logical dump of the monitor keeps what it knows. The formation "default" is made with the extension, so a dump leaves it
-- out.
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.formation', $$WHERE formationid <> 'default'$$);
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.node', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.node_nodeid_seq', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.group_status', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.timeline', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.monitor', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.removed_node', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.failover_pause', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.scheduled_switchover', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.postgres_setting', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.formation_password', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.event', '');
SELECT pg_catalog.pg_extension_config_dump('pgautofailover.event_eventid_seq', '');

--
-- What keepers call: registration and reports
--

CREATE FUNCTION pgautofailover.register_node(
    formation_id         text,
    node_host            text,
    node_port            integer,
    dbname               name,
    node_name            text    DEFAULT '',
    sysidentifier        bigint  DEFAULT 0,
    desired_node_id      bigint  DEFAULT -1,
    desired_group_id     integer DEFAULT -1,
    initial_group_role   pgautofailover.replication_state DEFAULT 'init',
    node_kind            text    DEFAULT 'standalone',
    candidate_priority   integer DEFAULT 100,
    replication_quorum   boolean DEFAULT true,
    node_cluster         text    DEFAULT 'default',
    OUT assigned_node_id            bigint,
    OUT assigned_group_id           integer,
    OUT assigned_group_state        pgautofailover.replication_state,
    OUT assigned_candidate_priority integer,
    OUT assigned_replication_quorum boolean,
    OUT assigned_node_name          text
)
RETURNS record LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'register_node_wrapper';

CREATE FUNCTION pgautofailover.node_active(
    formation_id          text,
    node_id               bigint,
    group_id              integer,
    current_group_role    pgautofailover.replication_state DEFAULT 'init',
    current_pg_is_running boolean DEFAULT true,
    current_tli           integer DEFAULT 1,
    current_lsn           pg_lsn  DEFAULT '0/0',
    current_rep_state     text    DEFAULT '',
    OUT assigned_node_id            bigint,
    OUT assigned_group_id           integer,
    OUT assigned_group_state        pgautofailover.replication_state,
    OUT assigned_candidate_priority integer,
    OUT assigned_replication_quorum boolean
)
RETURNS record LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'node_active_wrapper';

-- The same with all that our own keeper has to say, and all that it has to know.
CREATE FUNCTION pgautofailover.node_active(
    formation_id          text,
    node_id               bigint,
    group_id              integer,
    current_group_role    pgautofailover.replication_state,
    current_pg_is_running boolean,
    current_tli           integer,
    current_lsn           pg_lsn,
    current_rep_state     text,
    report_detail         jsonb,
    OUT assigned_node_id            bigint,
    OUT assigned_group_id           integer,
    OUT assigned_group_state        pgautofailover.replication_state,
    OUT assigned_candidate_priority integer,
    OUT assigned_replication_quorum boolean,
    OUT assignment                  json
)
RETURNS record LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'node_active_with_detail_wrapper';

CREATE FUNCTION pgautofailover.set_node_system_identifier(
    node_id            bigint,
    node_sysidentifier bigint,
    OUT node_id   bigint,
    OUT node_name text,
    OUT node_host text,
    OUT node_port integer
)
RETURNS record LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_node_system_identifier_wrapper';

CREATE FUNCTION pgautofailover.set_group_system_identifier(
    group_id           bigint,
    node_sysidentifier bigint,
    OUT node_id   bigint,
    OUT node_name text,
    OUT node_host text,
    OUT node_port integer
)
RETURNS SETOF record LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    formations integer;
BEGIN
    -- It changes rows of several nodes, whose keepers report meanwhile.
    LOCK TABLE pgautofailover.node IN SHARE ROW EXCLUSIVE MODE;

    SELECT count(DISTINCT formationid) INTO formations FROM pgautofailover.node WHERE groupid = $1;

    IF formations = 0 THEN
        RAISE EXCEPTION 'group % does not exist', $1
              USING ERRCODE = 'undefined_object',
                    HINT = 'SELECT formationid, groupid FROM pgautofailover.node shows the groups that have nodes.';
    ELSIF formations > 1 THEN
        RAISE EXCEPTION 'group % exists in % formations', $1, formations
              USING ERRCODE = 'ambiguous_parameter',
                    HINT = 'Call pgautofailover.set_node_system_identifier for each node of the group you mean.';
    END IF;

    RETURN QUERY
      UPDATE pgautofailover.node
         SET sysidentifier = node_sysidentifier
       WHERE groupid = $1
   RETURNING nodeid, nodename, nodehost, nodeport;
END
$$;

CREATE FUNCTION pgautofailover.remove_node(node_id bigint, force boolean DEFAULT false)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'remove_node_wrapper';

CREATE FUNCTION pgautofailover.remove_node(node_host text, node_port integer DEFAULT 5432, force boolean DEFAULT false)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'remove_node_by_address_wrapper';

CREATE FUNCTION pgautofailover.update_node_metadata(node_id bigint, node_name text, node_host text, node_port integer)
RETURNS boolean LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'update_node_metadata_wrapper';

--
-- What operators call
--

CREATE FUNCTION pgautofailover.perform_failover(formation_id text DEFAULT 'default', group_id integer DEFAULT 0)
RETURNS void LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'perform_failover_wrapper';

-- The same, and with allow_data_loss even when nobody certainly has every acknowledged commit: whoever can be heard
-- takes over. The event says who allowed it.
CREATE FUNCTION pgautofailover.perform_failover(formation_id text, group_id integer, allow_data_loss boolean)
RETURNS void LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'perform_failover_with_data_loss_wrapper';

CREATE FUNCTION pgautofailover.perform_promotion(formation_id text, node_name text)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'perform_promotion_wrapper';

CREATE FUNCTION pgautofailover.start_maintenance(node_id bigint)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'start_maintenance_wrapper';

CREATE FUNCTION pgautofailover.stop_maintenance(node_id bigint)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'stop_maintenance_wrapper';

-- Has the Postgres of a node restarted, a standby's or that of the only node of a group, and gives the name of this restart:
-- "restarted" of the node's reportdetail has it when it is done.
CREATE FUNCTION pgautofailover.restart_node(node_id bigint)
RETURNS text LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'restart_node_wrapper';

-- Does not want that any more: a node that has not begun does not restart.
CREATE FUNCTION pgautofailover.cancel_restart(node_id bigint)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cancel_restart_wrapper';

-- Says which of two branches of the log is right: the one with this timeline. False when nothing had to change.
CREATE FUNCTION pgautofailover.accept_timeline(formation_id text, group_id integer, timeline integer)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'accept_timeline_wrapper';

CREATE FUNCTION pgautofailover.set_node_candidate_priority(
    formation_id       text,
    node_name          text,
    candidate_priority integer
)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_node_candidate_priority_wrapper';

CREATE FUNCTION pgautofailover.set_node_replication_quorum(
    formation_id       text,
    node_name          text,
    replication_quorum boolean
)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_node_replication_quorum_wrapper';

CREATE FUNCTION pgautofailover.set_formation_number_sync_standbys(formation_id text, number_sync_standbys integer)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_formation_number_sync_standbys_wrapper';

CREATE FUNCTION pgautofailover.enable_secondary(formation_id text)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'enable_secondary_wrapper';

CREATE FUNCTION pgautofailover.disable_secondary(formation_id text)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'disable_secondary_wrapper';

-- Nobody takes over automatically in this formation until then, or until it is resumed: a person still can have it done.
CREATE FUNCTION pgautofailover.pause_failover(formation_id text, end_time timestamptz DEFAULT NULL)
RETURNS void LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pause_failover_wrapper';

-- False when it was not paused.
CREATE FUNCTION pgautofailover.resume_failover(formation_id text)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'resume_failover_wrapper';

-- Gives all nodes of a formation these settings of Postgres: an object with names and values, and null for a setting that
-- they shall have no longer. False when nothing had to change.
CREATE FUNCTION pgautofailover.set_postgres_settings(formation_id text, settings jsonb)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'set_postgres_settings_wrapper';

-- Has the primary of a group hand over at that time, or within the time allowed after it. There is one schedule a group.
CREATE FUNCTION pgautofailover.schedule_switchover(
    formation_id    text,
    group_id        integer,
    switchover_time timestamptz,
    allowed_delay   interval DEFAULT '5 minutes'
)
RETURNS void LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pgautofailover.keep_schedule($1, $2, $3, $3 + $4);
END
$$;

CREATE FUNCTION pgautofailover.keep_schedule(
    formation_id    text,
    group_id        integer,
    switchover_time timestamptz,
    expiry_time     timestamptz
)
RETURNS void LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'keep_schedule_wrapper';

-- False when none was scheduled.
CREATE FUNCTION pgautofailover.cancel_switchover(formation_id text, group_id integer)
RETURNS boolean LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'cancel_switchover_wrapper';

CREATE FUNCTION pgautofailover.create_formation(
    formation_id         text,
    kind                 text,
    dbname               name,
    opt_secondary        boolean,
    number_sync_standbys integer,
    OUT formation_id         text,
    OUT kind                 text,
    OUT dbname               name,
    OUT opt_secondary        boolean,
    OUT number_sync_standbys integer
)
RETURNS record LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'create_formation_wrapper';

CREATE FUNCTION pgautofailover.drop_formation(formation_id text)
RETURNS void LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'drop_formation_wrapper';

CREATE FUNCTION pgautofailover.update_secondary_check()
RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.opt_secondary OR NOT OLD.opt_secondary THEN
        RETURN NEW;
    END IF;

    IF EXISTS (SELECT
                 FROM pgautofailover.node
                WHERE formationid = NEW.formationid
             GROUP BY groupid
               HAVING count(*) > 1)
    THEN
        RAISE EXCEPTION 'formation "%" has standby nodes', NEW.formationid
              USING ERRCODE = 'object_in_use', HINT = 'Drop its standby nodes first, with "pg_autoctl drop node".';
    END IF;

    RETURN NEW;
END
$$;

CREATE TRIGGER disable_secondary_check
       BEFORE UPDATE ON pgautofailover.formation
       FOR EACH ROW EXECUTE FUNCTION pgautofailover.update_secondary_check();

--
-- What everybody reads
--

-- Raises the one error for a formation that is not there. The functions of 2.2 that only read give no rows for one.
CREATE FUNCTION pgautofailover.require_formation(formation_id text)
RETURNS void LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF formation_id IS NULL THEN
        RAISE EXCEPTION 'the name of the formation is NULL'
              USING ERRCODE = 'null_value_not_allowed',
                    HINT = 'The formation that every monitor has is called "default".';
    ELSIF NOT EXISTS (SELECT FROM pgautofailover.formation WHERE formationid = formation_id) THEN
        RAISE EXCEPTION 'formation "%" does not exist', formation_id
              USING ERRCODE = 'undefined_object',
                    HINT = 'SELECT formationid FROM pgautofailover.formation shows the formations there are.';
    END IF;
END
$$;

-- Raises the one error for a node that is not there.
CREATE FUNCTION pgautofailover.require_node(node_id bigint)
RETURNS void LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pgautofailover.node WHERE nodeid = node_id) THEN
        RAISE EXCEPTION 'node % does not exist', node_id
              USING ERRCODE = 'no_data_found',
                    HINT = 'SELECT nodeid, nodename FROM pgautofailover.node shows the nodes that are registered.';
    END IF;
END
$$;

-- The password of the replication role in this formation; NULL when its nodes were given their own. The first node that asks
-- for one (is_wanted) has it made. It is told over an encrypted connection, or within this machine.
CREATE FUNCTION pgautofailover.replication_password(formation_id text, is_wanted boolean)
RETURNS text LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_password text;
BEGIN
    PERFORM pgautofailover.require_formation(formation_id);
    IF is_wanted THEN
        -- One node at a time makes it.
        PERFORM FROM pgautofailover.formation AS f WHERE f.formationid = formation_id FOR UPDATE;
    END IF;
    SELECT p.password INTO found_password FROM pgautofailover.formation_password AS p WHERE p.formationid = formation_id;
    IF found_password IS NULL AND NOT is_wanted THEN
        RETURN NULL;
    END IF;
    IF found_password IS NULL AND EXISTS (SELECT FROM pgautofailover.node AS n WHERE n.formationid = formation_id) THEN
        RAISE EXCEPTION 'the nodes of formation "%" do not have their replication password from the monitor', formation_id
              USING ERRCODE = 'object_not_in_prerequisite_state',
                    HINT = 'Give --auth with the method of the other nodes.';
    END IF;
    IF coalesce(NOT inet_client_addr() <<= inet '127.0.0.0/8' AND inet_client_addr() <> inet '::1', false)
       AND NOT EXISTS (SELECT FROM pg_stat_ssl AS s WHERE s.pid = pg_backend_pid() AND s.ssl) THEN
        RAISE EXCEPTION 'the replication password of formation "%" is not sent over a connection without encryption',
                        formation_id
              USING ERRCODE = 'insufficient_privilege',
                    HINT = 'Use TLS on the monitor and sslmode=require in its URI, or give --auth.';
    END IF;
    IF found_password IS NULL THEN
        -- 244 random bits, of a strong source.
        INSERT INTO pgautofailover.formation_password AS p (formationid, password)
        VALUES (formation_id, replace(concat(gen_random_uuid(), gen_random_uuid()), '-', ''))
        RETURNING p.password INTO found_password;
    END IF;
    RETURN found_password;
END
$$;

-- A node with this goal is the one that accepts writes, or is about to.
CREATE FUNCTION pgautofailover.is_writer(goal pgautofailover.replication_state)
RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT goal IN ('single', 'wait_primary', 'primary', 'join_primary', 'apply_settings')
$$;

CREATE FUNCTION pgautofailover.current_state(
    formation_id text DEFAULT 'default',
    OUT formation_kind       text,
    OUT nodename             text,
    OUT nodehost             text,
    OUT nodeport             integer,
    OUT group_id             integer,
    OUT node_id              bigint,
    OUT current_group_state  pgautofailover.replication_state,
    OUT assigned_group_state pgautofailover.replication_state,
    OUT candidate_priority   integer,
    OUT replication_quorum   boolean,
    OUT reported_tli         integer,
    OUT reported_lsn         pg_lsn,
    OUT health               integer,
    OUT nodecluster          text
)
RETURNS SETOF record LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
    RETURN QUERY
      SELECT f.kind, n.nodename, n.nodehost, n.nodeport, n.groupid, n.nodeid,
             n.reportedstate, n.goalstate, n.candidatepriority, n.replicationquorum,
             n.reportedtli, n.reportedlsn, n.health, n.nodecluster
        FROM pgautofailover.node AS n
        JOIN pgautofailover.formation AS f USING (formationid)
       WHERE n.formationid = $1
    ORDER BY n.groupid, n.nodeid;
END
$$;

CREATE FUNCTION pgautofailover.current_state(
    formation_id text,
    group_id     integer,
    OUT formation_kind       text,
    OUT nodename             text,
    OUT nodehost             text,
    OUT nodeport             integer,
    OUT group_id             integer,
    OUT node_id              bigint,
    OUT current_group_state  pgautofailover.replication_state,
    OUT assigned_group_state pgautofailover.replication_state,
    OUT candidate_priority   integer,
    OUT replication_quorum   boolean,
    OUT reported_tli         integer,
    OUT reported_lsn         pg_lsn,
    OUT health               integer,
    OUT nodecluster          text
)
RETURNS SETOF record LANGUAGE sql STABLE STRICT
AS $$
    SELECT * FROM pgautofailover.current_state($1) AS s WHERE s.group_id = $2
$$;

CREATE FUNCTION pgautofailover.get_nodes(
    formation_id text    DEFAULT 'default',
    group_id     integer DEFAULT NULL,
    OUT node_id         bigint,
    OUT node_name       text,
    OUT node_host       text,
    OUT node_port       integer,
    OUT node_lsn        pg_lsn,
    OUT node_is_primary boolean
)
RETURNS SETOF record LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF $1 IS NULL THEN
        PERFORM pgautofailover.require_formation($1);
    END IF;

    RETURN QUERY
      SELECT n.nodeid, n.nodename, n.nodehost, n.nodeport, n.reportedlsn, pgautofailover.is_writer(n.goalstate)
        FROM pgautofailover.node AS n
       WHERE n.formationid = $1 AND ($2 IS NULL OR n.groupid = $2)
    ORDER BY n.groupid, n.nodeid;
END
$$;

CREATE FUNCTION pgautofailover.get_other_nodes(
    nodeid bigint,
    OUT node_id         bigint,
    OUT node_name       text,
    OUT node_host       text,
    OUT node_port       integer,
    OUT node_lsn        pg_lsn,
    OUT node_is_primary boolean
)
RETURNS SETOF record LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
    PERFORM pgautofailover.require_node($1);

    RETURN QUERY
      SELECT n.nodeid, n.nodename, n.nodehost, n.nodeport, n.reportedlsn, pgautofailover.is_writer(n.goalstate)
        FROM pgautofailover.node AS n
        JOIN pgautofailover.node AS me USING (formationid, groupid)
       WHERE me.nodeid = $1 AND n.nodeid <> $1
    ORDER BY n.nodeid;
END
$$;

CREATE FUNCTION pgautofailover.get_other_nodes(
    nodeid        bigint,
    current_state pgautofailover.replication_state,
    OUT node_id         bigint,
    OUT node_name       text,
    OUT node_host       text,
    OUT node_port       integer,
    OUT node_lsn        pg_lsn,
    OUT node_is_primary boolean
)
RETURNS SETOF record LANGUAGE sql STABLE STRICT
AS $$
    SELECT o.*
      FROM pgautofailover.get_other_nodes($1) AS o
      JOIN pgautofailover.node AS n ON n.nodeid = o.node_id
     WHERE n.reportedstate = $2
$$;

CREATE FUNCTION pgautofailover.get_primary(
    formation_id text    DEFAULT 'default',
    group_id     integer DEFAULT 0,
    OUT primary_node_id bigint,
    OUT primary_name    text,
    OUT primary_host    text,
    OUT primary_port    integer
)
RETURNS record LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pgautofailover.require_formation($1);

      SELECT nodeid, nodename, nodehost, nodeport
        INTO primary_node_id, primary_name, primary_host, primary_port
        FROM pgautofailover.node
       WHERE formationid = $1 AND groupid = $2 AND pgautofailover.is_writer(goalstate)
    ORDER BY nodeid
       LIMIT 1;

    IF NOT FOUND THEN
        RAISE EXCEPTION 'group % of formation "%" has no primary right now', $2, $1
              USING ERRCODE = 'object_not_in_prerequisite_state',
                    HINT = 'pgautofailover.current_state() shows what each node is and should become.';
    END IF;
END
$$;

CREATE FUNCTION pgautofailover.get_coordinator(
    formation_id text DEFAULT 'default',
    OUT node_host text,
    OUT node_port integer
)
RETURNS SETOF record LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
    RETURN QUERY
      SELECT n.nodehost, n.nodeport
        FROM pgautofailover.node AS n
        JOIN pgautofailover.formation AS f USING (formationid)
       WHERE f.formationid = $1 AND f.kind = 'citus' AND n.groupid = 0 AND pgautofailover.is_writer(n.goalstate)
    ORDER BY n.nodeid
       LIMIT 1;
END
$$;

CREATE FUNCTION pgautofailover.get_most_advanced_standby(
    formationid text    DEFAULT 'default',
    groupid     integer DEFAULT 0,
    OUT node_id         bigint,
    OUT node_name       text,
    OUT node_host       text,
    OUT node_port       integer,
    OUT node_lsn        pg_lsn,
    OUT node_is_primary boolean
)
RETURNS SETOF record LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
    RETURN QUERY
      SELECT n.nodeid, n.nodename, n.nodehost, n.nodeport, n.reportedlsn, false
        FROM pgautofailover.node AS n
       WHERE n.formationid = $1 AND n.groupid = $2 AND n.reportedstate = 'report_lsn'
    ORDER BY n.reportedtli DESC, n.reportedlsn DESC, n.nodeid
       LIMIT 1;
END
$$;

CREATE FUNCTION pgautofailover.synchronous_standby_names(
    formation_id text    DEFAULT 'default',
    group_id     integer DEFAULT 0
)
RETURNS text LANGUAGE c STABLE STRICT
AS 'MODULE_PATHNAME', 'synchronous_standby_names_wrapper';

-- What a group waits for before it can have a primary again; NULL when it waits for nothing.
CREATE FUNCTION pgautofailover.waits_for(formation_id text DEFAULT 'default', group_id integer DEFAULT 0)
RETURNS text LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
    PERFORM pgautofailover.require_formation($1);

    RETURN (SELECT s.waitsfor FROM pgautofailover.group_status AS s WHERE s.formationid = $1 AND s.groupid = $2);
END
$$;

-- What persons have arranged for a formation, one sentence each: a pause of automatic failover, and switchovers to come.
CREATE FUNCTION pgautofailover.arrangements(formation_id text DEFAULT 'default', group_id integer DEFAULT NULL)
RETURNS SETOF text LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN QUERY
      SELECT format('automatic failover is paused%s, by %s: nobody is promoted until a person says so',
                    ' until ' || p.endtime, p.pausedby)
        FROM pgautofailover.failover_pause AS p
       WHERE p.formationid = $1 AND coalesce(p.endtime > clock_timestamp(), true);

    RETURN QUERY
      SELECT format('switchover of group %s is scheduled for %s, by %s', s.groupid, s.switchovertime, s.scheduledby)
        FROM pgautofailover.scheduled_switchover AS s
       WHERE s.formationid = $1 AND ($2 IS NULL OR s.groupid = $2)
    ORDER BY s.groupid;

    RETURN QUERY
      SELECT format('node %s "%s" has to be restarted for %s: see pg_autoctl perform restart', n.nodeid, n.nodename,
                    (SELECT string_agg(name, ', ' ORDER BY name)
                       FROM jsonb_array_elements_text(n.reportdetail #> '{settings,pending_restart}') AS name))
        FROM pgautofailover.node AS n
       WHERE n.formationid = $1 AND ($2 IS NULL OR n.groupid = $2)
         AND n.reportdetail #> '{settings,pending_restart}' IS NOT NULL
    ORDER BY n.nodeid;

    RETURN QUERY
      SELECT format('node %s "%s" does not have the setting %s of the formation: %s', n.nodeid, n.nodename, s.key, s.value)
        FROM pgautofailover.node AS n,
     LATERAL jsonb_each_text(n.reportdetail #> '{settings,not_applied}') AS s
       WHERE n.formationid = $1 AND ($2 IS NULL OR n.groupid = $2)
    ORDER BY n.nodeid, s.key;
END
$$;

-- The settings of Postgres that all nodes of a formation have, and the nodes that do not follow one: because it needs a
-- restart, or by name with the reason.
CREATE FUNCTION pgautofailover.postgres_settings(
    formation_id text DEFAULT 'default',
    OUT name            text,
    OUT value           text,
    OUT set_by          text,
    OUT set_time        timestamptz,
    OUT pending_restart text[],
    OUT not_applied     jsonb
)
RETURNS SETOF record LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
    PERFORM pgautofailover.require_formation($1);

    RETURN QUERY
      SELECT s.name, s.value, s.setby, s.settime,
             ARRAY(SELECT n.nodename
                     FROM pgautofailover.node AS n
                    WHERE n.formationid = s.formationid
                      AND n.reportdetail #> '{settings,pending_restart}' ? s.name
                 ORDER BY n.nodeid),
             coalesce((SELECT jsonb_object_agg(n.nodename, n.reportdetail #>> ARRAY['settings', 'not_applied', s.name])
                         FROM pgautofailover.node AS n
                        WHERE n.formationid = s.formationid
                          AND n.reportdetail #> '{settings,not_applied}' ? s.name), '{}')
        FROM pgautofailover.postgres_setting AS s
       WHERE s.formationid = $1
    ORDER BY s.name;
END
$$;

-- The timelines of a group, with the nodes that have last told of them as their own.
CREATE FUNCTION pgautofailover.timelines(
    formation_id text    DEFAULT 'default',
    group_id     integer DEFAULT 0,
    OUT timeline        integer,
    OUT parent_timeline integer,
    OUT fork_lsn        pg_lsn,
    OUT is_rejected     boolean,
    OUT first_seen      timestamptz,
    OUT first_node_id   bigint,
    OUT node_ids        bigint[]
)
RETURNS SETOF record LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
    PERFORM pgautofailover.require_formation($1);

    RETURN QUERY
      SELECT t.timeline, t.parenttimeline, t.forklsn,
             EXISTS (SELECT
                       FROM pgautofailover.group_status AS s
                      WHERE s.formationid = t.formationid AND s.groupid = t.groupid
                        AND s.rejectedtimelines @> jsonb_build_array(jsonb_build_array(t.timeline, t.forklsn))),
             t.seentime, t.nodeid,
             ARRAY(SELECT n.nodeid
                     FROM pgautofailover.node AS n
                    WHERE n.formationid = t.formationid AND n.groupid = t.groupid
                      AND (n.reportedhistory ->> 'timeline')::integer = t.timeline
                      AND coalesce(n.reportedhistory #>> '{ancestors,-1,1}', '0/0')::pg_lsn = t.forklsn
                 ORDER BY n.nodeid)
        FROM pgautofailover.timeline AS t
       WHERE t.formationid = $1 AND t.groupid = $2
    ORDER BY t.timeline, t.forklsn;
END
$$;

CREATE FUNCTION pgautofailover.formation_settings(
    formation_id text DEFAULT 'default',
    OUT context  text,
    OUT group_id integer,
    OUT node_id  bigint,
    OUT nodename text,
    OUT setting  text,
    OUT value    text
)
RETURNS SETOF record LANGUAGE plpgsql STABLE STRICT
AS $$
BEGIN
    RETURN QUERY
      SELECT 'formation', NULL::integer, NULL::bigint, f.formationid,
             'number_sync_standbys', f.number_sync_standbys::text
        FROM pgautofailover.formation AS f
       WHERE f.formationid = $1;

    RETURN QUERY
      SELECT 'primary', n.groupid, n.nodeid, n.nodename,
             'synchronous_standby_names',
             quote_literal(pgautofailover.synchronous_standby_names(n.formationid, n.groupid))
        FROM pgautofailover.node AS n
       WHERE n.formationid = $1 AND pgautofailover.is_writer(n.goalstate)
    ORDER BY n.groupid, n.nodeid;

    RETURN QUERY
      SELECT 'node', n.groupid, n.nodeid, n.nodename, 'candidate priority', n.candidatepriority::text
        FROM pgautofailover.node AS n
       WHERE n.formationid = $1
    ORDER BY n.groupid, n.nodeid;

    RETURN QUERY
      SELECT 'node', n.groupid, n.nodeid, n.nodename, 'replication quorum', n.replicationquorum::text
        FROM pgautofailover.node AS n
       WHERE n.formationid = $1
    ORDER BY n.groupid, n.nodeid;
END
$$;

-- Percent-encodes what has a meaning of its own in a URI.
CREATE FUNCTION pgautofailover.uri_component(value text)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT coalesce(string_agg(
               CASE WHEN letter ~ '^[A-Za-z0-9._~/-]$' THEN letter
                    ELSE upper(regexp_replace(encode(convert_to(letter, 'UTF8'), 'hex'), '(..)', '%\1', 'g'))
               END, '' ORDER BY position), '')
      FROM regexp_split_to_table(value, '') WITH ORDINALITY AS letters (letter, position)
$$;

CREATE FUNCTION pgautofailover.formation_uri(
    formation_id text DEFAULT 'default',
    cluster_name text DEFAULT 'default',
    sslmode      text DEFAULT 'prefer',
    sslrootcert  text DEFAULT '',
    sslcrl       text DEFAULT ''
)
RETURNS text LANGUAGE plpgsql STABLE STRICT
AS $$
DECLARE
    database name;
    hosts    text;
BEGIN
    SELECT dbname INTO database FROM pgautofailover.formation WHERE formationid = $1;

    SELECT string_agg(format(CASE WHEN nodehost LIKE '%:%' THEN '[%s]:%s' ELSE '%s:%s' END, nodehost, nodeport),
                      ',' ORDER BY nodeid)
      INTO hosts
      FROM pgautofailover.node
     WHERE formationid = $1 AND groupid = 0 AND nodecluster = cluster_name;

    -- without hosts the text would lead to a server of the client's machine
    IF hosts IS NULL THEN
        RETURN NULL;
    END IF;

    -- a cluster other than "default" holds read replicas: any of them will do
    RETURN format('postgres://%s/%s?%ssslmode=%s', hosts, pgautofailover.uri_component(database::text),
                  CASE cluster_name WHEN 'default' THEN 'target_session_attrs=read-write&' ELSE '' END, sslmode)
        || CASE sslrootcert WHEN '' THEN '' ELSE '&sslrootcert=' || pgautofailover.uri_component(sslrootcert) END
        || CASE sslcrl WHEN '' THEN '' ELSE '&sslcrl=' || pgautofailover.uri_component(sslcrl) END;
END
$$;

-- Planned for its arguments each time: what is rare in the table must not be looked for from its end, and a plan for any
-- number of events would be compiled first.
CREATE FUNCTION pgautofailover.last_events(count integer DEFAULT 10)
RETURNS SETOF pgautofailover.event LANGUAGE plpgsql STABLE STRICT SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
      SELECT *
        FROM (SELECT *
                FROM pgautofailover.event AS e
            ORDER BY e.eventid DESC
               LIMIT greatest($1, 0)) AS newest
    ORDER BY newest.eventid;
END
$$;

CREATE FUNCTION pgautofailover.last_events(formation_id text DEFAULT 'default', count integer DEFAULT 10)
RETURNS SETOF pgautofailover.event LANGUAGE plpgsql STABLE STRICT SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
      SELECT *
        FROM (SELECT *
                FROM pgautofailover.event AS e
               WHERE e.formationid = $1
            ORDER BY e.eventid DESC
               LIMIT greatest($2, 0)) AS newest
    ORDER BY newest.eventid;
END
$$;

CREATE FUNCTION pgautofailover.last_events(formation_id text, group_id integer, count integer DEFAULT 10)
RETURNS SETOF pgautofailover.event LANGUAGE plpgsql STABLE STRICT SET plan_cache_mode = force_custom_plan
AS $$
BEGIN
    RETURN QUERY
      SELECT *
        FROM (SELECT *
                FROM pgautofailover.event AS e
               WHERE e.formationid = $1 AND e.groupid = $2
            ORDER BY e.eventid DESC
               LIMIT greatest($3, 0)) AS newest
    ORDER BY newest.eventid;
END
$$;

--
-- Who may do what: autoctl_node reads the tables and calls the functions; nobody else gets in
--

GRANT USAGE ON SCHEMA pgautofailover TO autoctl_node;
GRANT SELECT ON ALL TABLES IN SCHEMA pgautofailover TO autoctl_node;
REVOKE SELECT ON pgautofailover.formation_password FROM autoctl_node;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pgautofailover FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgautofailover TO autoctl_node;
