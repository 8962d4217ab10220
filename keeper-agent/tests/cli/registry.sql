-- A monitor that lets nodes come and go, and assigns them nothing.
ALTER TABLE pgautofailover.node
    ADD COLUMN IF NOT EXISTS candidatepriority integer,
    ADD COLUMN IF NOT EXISTS replicationquorum boolean,
    ALTER COLUMN reportedlsn SET DEFAULT '0/0';
DELETE FROM pgautofailover.node;

CREATE DOMAIN pgautofailover.replication_state AS text;

CREATE FUNCTION pgautofailover.register_node(
    formation_id text, node_host text, node_port integer, dbname name, node_name text, sysidentifier bigint,
    desired_node_id bigint, desired_group_id integer, initial_group_role pgautofailover.replication_state,
    node_kind text, candidate_priority integer, replication_quorum boolean, node_cluster text,
    OUT assigned_node_id bigint, OUT assigned_group_id integer, OUT assigned_group_state text,
    OUT assigned_node_name text)
RETURNS record LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO pgautofailover.node
                (formationid, nodeid, groupid, nodename, nodehost, nodeport, goalstate, reportedstate,
                 sysidentifier, candidatepriority, replicationquorum)
         VALUES (formation_id, desired_node_id, 0, node_name, node_host, node_port, initial_group_role,
                 initial_group_role, sysidentifier, candidate_priority, replication_quorum);
    SELECT desired_node_id, 0, initial_group_role, node_name
      INTO assigned_node_id, assigned_group_id, assigned_group_state, assigned_node_name;
END
$$;

CREATE FUNCTION pgautofailover.remove_node(node_id bigint, force boolean)
RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM pgautofailover.node WHERE nodeid = node_id AND goalstate <> 'primary';
    UPDATE pgautofailover.node SET goalstate = 'dropped' WHERE nodeid = node_id;
    SELECT true
$$;

-- Only to a node that agrees to be dropped there is something to say.
CREATE FUNCTION pgautofailover.node_active(
    formation_id text, node_id bigint, group_id integer, current_group_role pgautofailover.replication_state,
    current_pg_is_running boolean, current_tli integer, current_lsn pg_lsn, current_rep_state text,
    report_detail jsonb, OUT assignment jsonb)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM pgautofailover.node WHERE nodeid = node_id AND goalstate = 'dropped';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this monitor assigns nothing';
    END IF;
END
$$;

CREATE FUNCTION pgautofailover.current_state(
    formation text, groupnumber integer,
    OUT formation_kind text, OUT nodename text, OUT nodehost text, OUT nodeport integer, OUT group_id integer,
    OUT node_id bigint, OUT current_group_state text, OUT assigned_group_state text,
    OUT candidate_priority integer, OUT replication_quorum boolean, OUT reported_tli integer,
    OUT reported_lsn pg_lsn, OUT health integer, OUT nodecluster text)
RETURNS SETOF record LANGUAGE sql AS $$
    SELECT 'pgsql', nodename, nodehost, nodeport, groupid, nodeid, reportedstate, goalstate, candidatepriority,
           replicationquorum, reportedtli, reportedlsn, 1, 'default'
      FROM pgautofailover.node WHERE formationid = $1 AND groupid = $2 ORDER BY nodeid
$$;
GRANT SELECT ON ALL TABLES IN SCHEMA pgautofailover TO autoctl_node;
