-- Three nodes on three branches, one of them busy, and what is decided about them.
DELETE FROM pgautofailover.node;
INSERT INTO pgautofailover.node
            (formationid, nodeid, groupid, nodename, nodehost, nodeport, goalstate, reportedstate, reportedtli,
             reportedlsn, reportedhistory, reportdetail)
     VALUES ('default', 1, 0, 'n1', '192.0.2.2', 5432, 'primary', 'primary', 2, '0/30419F0',
             '{"timeline": 2, "ancestors": [[1, "0/3000000"]]}', '{}'),
            ('default', 2, 0, 'n2', '192.0.2.3', 5432, 'secondary', 'secondary', 1, '0/3000000', NULL,
             '{"progress": "copying, 42 %"}'),
            ('default', 3, 0, 'n3', '192.0.2.4', 5432, 'maintenance', 'maintenance', 3, '0/3000100',
             '{"timeline": 3, "ancestors": [[1, "0/2000000"]]}', '{}');
INSERT INTO pgautofailover.group_status VALUES ('default', 0, 'group 0 waits until node 3 is back');

CREATE FUNCTION pgautofailover.is_writer(goal text) RETURNS boolean LANGUAGE sql AS $$ SELECT goal = 'primary' $$;

CREATE FUNCTION pgautofailover.timelines(
    formation_id text, group_id integer,
    OUT timeline integer, OUT parent_timeline integer, OUT fork_lsn pg_lsn, OUT is_rejected boolean,
    OUT first_seen timestamptz, OUT first_node_id bigint, OUT node_ids bigint[])
RETURNS SETOF record LANGUAGE sql AS $$
    VALUES (1, NULL::integer, '0/0'::pg_lsn, false, '2026-11-23 13:34:11+00'::timestamptz, 1::bigint, '{2}'::bigint[]),
           (2, 1, '0/3000000', false, '2026-11-23 14:34:11.5+00', 1, '{1}'),
           (3, 1, '0/2000000', true, '2026-11-23 15:34:11+00', 3, '{3}')
$$;

CREATE FUNCTION pgautofailover.accept_timeline(formation_id text, group_id integer, timeline integer)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF timeline > 3 THEN
        RAISE EXCEPTION 'no node of group % is on timeline %', group_id, timeline USING HINT = 'Look at the timelines.';
    END IF;
    RETURN timeline <> 1;
END
$$;

CREATE FUNCTION pgautofailover.perform_failover(formation_id text, group_id integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no standby can be promoted' USING HINT = 'Wait for one.';
END
$$;

CREATE FUNCTION pgautofailover.perform_failover(formation_id text, group_id integer, allow_data_loss boolean)
RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO pgautofailover.event
    SELECT 15, eventtime, formationid, nodeid, groupid, nodename, nodehost, nodeport, reportedstate, goalstate,
           reportedrepstate, reportedtli, reportedlsn, candidatepriority, replicationquorum,
           'Setting goal state of node 2 "n2" (h:5432) to report_lsn because bob allowed to lose commits that only '
           'node 1 "n1" (h:5432) may have [failover_with_data_loss]'
      FROM pgautofailover.event
     WHERE allow_data_loss
$$;

CREATE FUNCTION pgautofailover.last_events(formation_id text, group_id integer, count integer)
RETURNS SETOF pgautofailover.event LANGUAGE sql AS $$ SELECT * FROM pgautofailover.event ORDER BY eventid $$;

CREATE FUNCTION pgautofailover.current_state(
    formation text, groupnumber integer,
    OUT formation_kind text, OUT nodename text, OUT nodehost text, OUT nodeport integer, OUT group_id integer,
    OUT node_id bigint, OUT current_group_state text, OUT assigned_group_state text,
    OUT candidate_priority integer, OUT replication_quorum boolean, OUT reported_tli integer,
    OUT reported_lsn pg_lsn, OUT health integer, OUT nodecluster text)
RETURNS SETOF record LANGUAGE sql AS $$
    SELECT 'pgsql', nodename, nodehost, nodeport, groupid, nodeid, reportedstate, goalstate, 50, true,
           reportedtli, reportedlsn, 1, 'default'
      FROM pgautofailover.node WHERE formationid = $1 AND groupid = $2 ORDER BY nodeid
$$;
GRANT SELECT ON ALL TABLES IN SCHEMA pgautofailover TO autoctl_node;
