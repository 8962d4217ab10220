-- A monitor that decides nothing: two nodes, and what happened to one of them.
CREATE SCHEMA pgautofailover;
GRANT USAGE ON SCHEMA pgautofailover TO autoctl_node;

CREATE TABLE pgautofailover.formation (formationid text, number_sync_standbys integer DEFAULT 0);
INSERT INTO pgautofailover.formation VALUES ('default');

CREATE TABLE pgautofailover.node (
    formationid text DEFAULT 'default', nodeid bigint, groupid integer DEFAULT 0, nodename text, nodehost text,
    nodeport integer DEFAULT 5432, goalstate text, reportedstate text, sysidentifier bigint,
    candidatepriority integer DEFAULT 50, replicationquorum boolean DEFAULT true, reportedtli integer DEFAULT 1,
    reportedlsn pg_lsn, reporttime timestamptz DEFAULT now(), health integer DEFAULT 1);
INSERT INTO pgautofailover.node (nodeid, nodename, nodehost, goalstate, reportedstate, reportedlsn)
     VALUES (1, 'n1', '192.0.2.2', 'primary', 'primary', '0/30419F0'),
            (2, 'n2', '192.0.2.3', 'secondary', 'secondary', '0/304EC80');

CREATE TABLE pgautofailover.monitor_server (nodeid bigint, host text, port integer);

CREATE FUNCTION pgautofailover.current_state(
    formation_id text,
    OUT formation_kind text, OUT nodename text, OUT nodehost text, OUT nodeport integer, OUT group_id integer,
    OUT node_id bigint, OUT current_group_state text, OUT assigned_group_state text,
    OUT candidate_priority integer, OUT replication_quorum boolean, OUT reported_tli integer,
    OUT reported_lsn pg_lsn, OUT health integer, OUT nodecluster text)
RETURNS SETOF record LANGUAGE sql AS $$
    SELECT 'pgsql', nodename, nodehost, nodeport, groupid, nodeid, reportedstate, goalstate, candidatepriority,
           replicationquorum, reportedtli, reportedlsn, health, 'default'
      FROM pgautofailover.node WHERE formationid = $1 ORDER BY groupid, nodeid
$$;

CREATE TABLE pgautofailover.event (
    eventid bigint, eventtime timestamptz, formationid text, nodeid bigint, groupid integer, nodename text,
    nodehost text, nodeport integer, reportedstate text, goalstate text, reportedrepstate text,
    reportedtli integer, reportedlsn pg_lsn, candidatepriority integer, replicationquorum boolean,
    description text);
INSERT INTO pgautofailover.event
     VALUES (14, '2026-11-23 13:34:11.56265+00', 'default', 1, 0, 'n1', '192.0.2.2', 5432, 'primary', 'primary',
             'quorum', 1, '0/30000D8', 50, true,
             'New state is reported by node 1 "n1" (192.0.2.2:5432): "primary"');

CREATE FUNCTION pgautofailover.last_events(formation_id text, count integer)
RETURNS SETOF pgautofailover.event LANGUAGE sql AS $$
    SELECT * FROM pgautofailover.event WHERE formationid = $1 ORDER BY eventid
$$;

CREATE FUNCTION pgautofailover.formation_settings(
    formation_id text,
    OUT context text, OUT group_id integer, OUT node_id bigint, OUT nodename text, OUT setting text, OUT value text)
RETURNS SETOF record LANGUAGE sql AS $$
    VALUES ('formation', NULL::integer, NULL::bigint, 'default', 'number_sync_standbys', '0'),
           ('primary', 0, 1, 'n1', 'synchronous_standby_names', '''ANY 1 (pgautofailover_standby_2)'''),
           ('node', 0, 1, 'n1', 'candidate priority', '50'),
           ('node', 0, 1, 'n1', 'replication quorum', 'true')
$$;

CREATE FUNCTION pgautofailover.formation_uri(
    formation_id text, cluster_name text, sslmode text, sslrootcert text, sslcrl text)
RETURNS text LANGUAGE sql AS $$
    SELECT 'postgres://192.0.2.2:5432,192.0.2.3:5432/postgres?target_session_attrs=read-write&sslmode=' || sslmode
$$;

CREATE FUNCTION pgautofailover.synchronous_standby_names(formation_id text, group_id integer)
RETURNS text LANGUAGE sql AS $$ SELECT 'ANY 1 (pgautofailover_standby_2)' $$;

-- What nodes are busy with, and what their group waits for: nothing.
ALTER TABLE pgautofailover.node
    ADD COLUMN IF NOT EXISTS reportdetail jsonb,
    ADD COLUMN IF NOT EXISTS reportedhistory jsonb,
    ADD COLUMN IF NOT EXISTS reportedtli integer DEFAULT 1,
    ADD COLUMN IF NOT EXISTS reportedlsn pg_lsn DEFAULT '0/0';
CREATE TABLE pgautofailover.group_status (formationid text, groupid integer, waitsfor text);
CREATE FUNCTION pgautofailover.waits_for(formation_id text, group_id integer)
RETURNS text LANGUAGE sql AS $$
    SELECT waitsfor FROM pgautofailover.group_status WHERE formationid = $1 AND groupid = $2
$$;

-- Nothing is paused or scheduled.
CREATE TABLE pgautofailover.failover_pause (
    formationid text, pausetime timestamptz, endtime timestamptz, pausedby text);
CREATE FUNCTION pgautofailover.arrangements(formation_id text, group_id integer)
RETURNS SETOF text LANGUAGE sql AS $$ SELECT NULL::text WHERE false $$;

-- One setting for all nodes.
CREATE TABLE pgautofailover.scheduled_switchover (
    formationid text, groupid integer, switchovertime timestamptz, expirytime timestamptz, scheduledby text);
CREATE FUNCTION pgautofailover.set_postgres_settings(formation_id text, settings jsonb)
RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE FUNCTION pgautofailover.postgres_settings(
    formation_id text, OUT name text, OUT value text, OUT set_by text, OUT set_time timestamptz,
    OUT pending_restart text[], OUT not_applied jsonb)
RETURNS SETOF record LANGUAGE sql AS $$
    SELECT 'work_mem', '64MB', 'postgres', '2026-11-23 13:34:11+00'::timestamptz, ARRAY['n2'], '{}'::jsonb
$$;

-- No node is restarted.
CREATE FUNCTION pgautofailover.restart_node(node_id bigint)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'group 0 of formation "default" is not whole' USING ERRCODE = '55000';
END
$$;
CREATE FUNCTION pgautofailover.cancel_restart(node_id bigint)
RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;

-- Nodes have their own passwords.
CREATE FUNCTION pgautofailover.replication_password(formation_id text, is_wanted boolean)
RETURNS text LANGUAGE sql AS $$ SELECT NULL::text $$;

GRANT SELECT ON ALL TABLES IN SCHEMA pgautofailover TO autoctl_node;
ALTER DATABASE pg_auto_failover SET timezone = 'UTC';
