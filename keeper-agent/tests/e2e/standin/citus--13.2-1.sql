-- What a keeper needs of Citus: the node table, the functions that change it, their refusals in Citus's words, and
-- their locks. There are no shards: a "distributed" table is a plain one of the coordinator, but whoever writes to it
-- waits for the locks that citus_update_node takes. There is no maintenance daemon either: nothing is sent to workers
-- behind anybody's back.

DO $$
BEGIN
    IF current_setting('shared_preload_libraries') !~ '^\s*"?citus"?\s*(,|$)' THEN
        RAISE EXCEPTION 'Citus has to be loaded first' USING HINT = 'Place citus at the beginning of shared_preload_libraries.';
    END IF;
END
$$;

CREATE SCHEMA citus;
CREATE TYPE pg_catalog.noderole AS ENUM ('primary', 'secondary', 'unavailable');

CREATE TABLE citus.pg_dist_local_group (groupid int PRIMARY KEY);
INSERT INTO citus.pg_dist_local_group VALUES (0);

CREATE TABLE citus.pg_dist_node (
    nodeid serial PRIMARY KEY,
    groupid int NOT NULL,
    nodename text NOT NULL,
    nodeport int NOT NULL DEFAULT 5432,
    noderack text NOT NULL DEFAULT 'default',
    hasmetadata boolean NOT NULL DEFAULT false,
    isactive boolean NOT NULL DEFAULT true,
    noderole noderole NOT NULL DEFAULT 'primary',
    nodecluster name NOT NULL DEFAULT 'default',
    metadatasynced boolean DEFAULT false,
    shouldhaveshards boolean NOT NULL DEFAULT true,
    nodeisclone boolean NOT NULL DEFAULT false,
    nodeprimarynodeid int NOT NULL DEFAULT 0,
    UNIQUE (nodename, nodeport)
);
CREATE TABLE citus.pg_dist_poolinfo (nodeid int PRIMARY KEY, poolinfo text NOT NULL);
CREATE TABLE citus.pg_dist_transaction (groupid int NOT NULL, gid text NOT NULL, outer_xid xid8);
ALTER TABLE citus.pg_dist_local_group SET SCHEMA pg_catalog;
ALTER TABLE citus.pg_dist_node SET SCHEMA pg_catalog;
ALTER TABLE citus.pg_dist_poolinfo SET SCHEMA pg_catalog;
ALTER TABLE citus.pg_dist_transaction SET SCHEMA pg_catalog;
GRANT SELECT ON pg_dist_local_group, pg_dist_node, pg_dist_transaction TO PUBLIC;

-- Other servers

CREATE FUNCTION citus.run(conninfo text, statement text) RETURNS text
    AS 'MODULE_PATHNAME', 'dblink_exec' LANGUAGE c STRICT;
CREATE FUNCTION citus.query(conninfo text, statement text) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'dblink_record' LANGUAGE c STRICT;

CREATE FUNCTION citus.conninfo(nodename text, nodeport int) RETURNS text LANGUAGE sql AS $$
    SELECT format('host=%s port=%s dbname=%s user=%s %s', nodename, nodeport, current_database(), current_user,
                  coalesce(current_setting('citus.node_conninfo', true), 'sslmode=require'))
$$;

CREATE FUNCTION citus.run_on(nodename text, nodeport int, statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    reason text;
BEGIN
    PERFORM citus.run(citus.conninfo(nodename, nodeport), statement);
EXCEPTION WHEN sqlclient_unable_to_establish_sqlconnection THEN
    GET STACKED DIAGNOSTICS reason = PG_EXCEPTION_DETAIL;
    RAISE EXCEPTION 'connection to the remote node %@%:% failed with the following error: %',
        current_user, nodename, nodeport, reason USING ERRCODE = 'connection_failure';
END
$$;

-- The node table of a worker becomes the coordinator's.
CREATE FUNCTION citus.send_metadata(node pg_dist_node) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    node_rows text := (SELECT string_agg(format('(%L::pg_catalog.pg_dist_node)', n), ', ') FROM pg_dist_node n);
BEGIN
    PERFORM citus.run_on(node.nodename, node.nodeport,
        'UPDATE pg_catalog.pg_dist_local_group SET groupid = ' || node.groupid
        || '; DELETE FROM pg_catalog.pg_dist_node; INSERT INTO pg_catalog.pg_dist_node SELECT (r).* FROM (VALUES '
        || node_rows || ') AS v(r)');
END
$$;

-- The newest first: one that cannot be reached is refused before the others have heard of it.
CREATE FUNCTION citus.send_to_all() RETURNS void LANGUAGE sql AS $$
    SELECT citus.send_metadata(n) FROM pg_dist_node n
     WHERE groupid > 0 AND noderole = 'primary' AND isactive ORDER BY nodeid DESC
$$;

-- Refusals

CREATE FUNCTION citus.ensure_coordinator() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT groupid FROM pg_dist_local_group) <> 0 THEN
        RAISE EXCEPTION 'operation is not allowed on this node' USING ERRCODE = 'internal_error',
            HINT = 'Connect to the coordinator and run it again.';
    END IF;
END
$$;

CREATE FUNCTION citus.ensure_synced() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    node pg_dist_node;
BEGIN
    IF coalesce(current_setting('citus.enable_metadata_sync', true), 'on') IN ('off', 'false') THEN
        RETURN;
    END IF;
    SELECT * INTO node FROM pg_dist_node WHERE hasmetadata AND NOT metadatasynced LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%:% is a metadata node, but is out of sync', node.nodename, node.nodeport
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'If the node is up, wait until metadata gets synced to it and try again.';
    END IF;
END
$$;

-- The functions of Citus

CREATE FUNCTION pg_catalog.citus_version() RETURNS text LANGUAGE sql AS
    $$SELECT 'Citus 13.2 (stand-in)'$$;

CREATE FUNCTION pg_catalog.citus_is_coordinator() RETURNS boolean LANGUAGE sql AS $$
    SELECT groupid = 0 AND EXISTS (SELECT FROM pg_dist_node WHERE noderole = 'primary') FROM pg_dist_local_group
$$;

CREATE FUNCTION pg_catalog.citus_get_active_worker_nodes(OUT node_name text, OUT node_port bigint)
    RETURNS SETOF record LANGUAGE sql AS $$
    SELECT nodename, nodeport FROM pg_dist_node
     WHERE groupid > 0 AND noderole = 'primary' AND nodecluster = 'default' AND isactive
$$;

CREATE FUNCTION pg_catalog.citus_set_coordinator_host(
    host text, port int DEFAULT current_setting('port')::int,
    node_role noderole DEFAULT 'primary', node_cluster name DEFAULT 'default')
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT groupid FROM pg_dist_local_group) <> 0 THEN
        RAISE EXCEPTION 'canceling the transaction since it was involved in a distributed deadlock'
            USING ERRCODE = 'deadlock_detected';
    END IF;
    PERFORM citus.ensure_synced();
    -- An existing row is overwritten, whatever role was asked for.
    UPDATE pg_dist_node SET nodename = host, nodeport = port WHERE groupid = 0 AND noderole = 'primary';
    IF NOT FOUND THEN
        INSERT INTO pg_dist_node (groupid, nodename, nodeport, hasmetadata, metadatasynced, shouldhaveshards,
                                  noderole, nodecluster)
        VALUES (0, host, port, true, true, false, node_role, node_cluster);
    END IF;
    PERFORM citus.send_to_all();
END
$$;

CREATE FUNCTION pg_catalog.citus_add_inactive_node(
    nodename text, nodeport int, groupid int DEFAULT -1, noderole noderole DEFAULT 'primary',
    nodecluster name DEFAULT 'default')
    RETURNS int LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    to_add ALIAS FOR $1;
    at_port ALIAS FOR $2;
    to_group int := $3;
    as_role ALIAS FOR $4;
    of_cluster ALIAS FOR $5;
    id int := (SELECT nodeid FROM pg_dist_node n WHERE n.nodename = to_add AND n.nodeport = at_port);
BEGIN
    PERFORM citus.ensure_coordinator();
    PERFORM citus.ensure_synced();
    IF id IS NOT NULL THEN
        RETURN id;
    END IF;
    IF EXISTS (SELECT FROM pg_dist_node n WHERE n.groupid = 0 AND n.nodename = 'localhost') THEN
        RAISE EXCEPTION 'cannot add a worker node when the coordinator hostname is set to localhost'
            USING ERRCODE = 'internal_error';
    END IF;
    IF to_group = -1 THEN
        to_group := (SELECT coalesce(max(n.groupid), 0) + 1 FROM pg_dist_node n);
    END IF;
    IF as_role = 'primary' AND EXISTS
        (SELECT FROM pg_dist_node n WHERE n.groupid = to_group AND n.noderole = 'primary') THEN
        RAISE EXCEPTION 'group % already has a primary node', to_group USING ERRCODE = 'internal_error';
    END IF;
    IF as_role = 'primary' AND of_cluster <> 'default' THEN
        RAISE EXCEPTION 'primaries must be added to the default cluster' USING ERRCODE = 'internal_error';
    END IF;
    INSERT INTO pg_dist_node (groupid, nodename, nodeport, noderole, nodecluster, isactive, hasmetadata,
                              metadatasynced, shouldhaveshards)
    VALUES (to_group, to_add, at_port, as_role, of_cluster, as_role <> 'primary' OR to_group = 0, to_group = 0,
            to_group = 0 AND as_role = 'primary', to_group > 0)
    RETURNING nodeid INTO id;
    -- One that has to be activated is sent then.
    IF as_role <> 'primary' OR to_group = 0 THEN
        PERFORM citus.send_to_all();
    END IF;
    RETURN id;
END
$$;

CREATE FUNCTION pg_catalog.citus_activate_node(nodename text, nodeport int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    node pg_dist_node;
BEGIN
    PERFORM citus.ensure_coordinator();
    SELECT * INTO node FROM pg_dist_node n WHERE n.nodename = $1 AND n.nodeport = $2;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'node at "%:%" does not exist', $1, $2 USING ERRCODE = 'internal_error';
    END IF;
    IF NOT node.isactive THEN
        UPDATE pg_dist_node n SET isactive = true, hasmetadata = true, metadatasynced = true
         WHERE n.nodeid = node.nodeid;
        PERFORM citus.send_to_all();
    END IF;
    RETURN node.nodeid;
END
$$;

CREATE FUNCTION pg_catalog.citus_add_node(
    nodename text, nodeport int, groupid int DEFAULT -1, noderole noderole DEFAULT 'primary',
    nodecluster name DEFAULT 'default')
    RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM citus_add_inactive_node($1, $2, $3, $4, $5);
    RETURN citus_activate_node($1, $2);
END
$$;

CREATE FUNCTION pg_catalog.citus_add_secondary_node(
    nodename text, nodeport int, primaryname text, primaryport int, nodecluster name DEFAULT 'default')
    RETURNS int LANGUAGE sql AS $$
    SELECT citus_add_node($1, $2, (SELECT n.groupid FROM pg_dist_node n WHERE n.nodename = $3 AND n.nodeport = $4),
                          'secondary', $5)
$$;

CREATE FUNCTION pg_catalog.citus_remove_node(nodename text, nodeport int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM citus.ensure_coordinator();
    PERFORM citus.ensure_synced();
    DELETE FROM pg_dist_node n WHERE n.nodename = $1 AND n.nodeport = $2;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'node at "%:%" does not exist', $1, $2 USING ERRCODE = 'internal_error';
    END IF;
    IF coalesce(current_setting('citus.enable_metadata_sync', true), 'on') NOT IN ('off', 'false') THEN
        PERFORM citus.send_to_all();
    END IF;
END
$$;

-- The locks of all shards of a group are one advisory lock.
CREATE FUNCTION citus.lock_class() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 13004';

CREATE FUNCTION citus.terminate_writers(of_group int) RETURNS void LANGUAGE sql AS $$
    SELECT pg_terminate_backend(pid, 1000) FROM pg_locks
     WHERE locktype = 'advisory' AND classid = citus.lock_class() AND objid = of_group AND granted
       AND pid <> pg_backend_pid()
$$;

CREATE FUNCTION pg_catalog.citus_update_node(
    node_id int, new_node_name text, new_node_port int, force boolean DEFAULT false, lock_cooldown int DEFAULT 10000)
    RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    node pg_dist_node;
BEGIN
    SELECT * INTO node FROM pg_dist_node WHERE nodeid = node_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'node % not found', node_id USING ERRCODE = 'no_data_found';
    END IF;
    IF node.nodename = new_node_name AND node.nodeport = new_node_port THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_dist_node WHERE nodename = new_node_name AND nodeport = new_node_port) THEN
        RAISE EXCEPTION 'there is already another node with the specified hostname and port'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF node.groupid > 0 AND node.noderole = 'primary' THEN
        IF force THEN
            PERFORM pg_sleep(lock_cooldown / 1000.0);
            PERFORM citus.terminate_writers(node.groupid);
        END IF;
        PERFORM pg_advisory_xact_lock(citus.lock_class(), node.groupid);
    END IF;
    LOCK TABLE pg_dist_node IN EXCLUSIVE MODE;
    UPDATE pg_dist_node SET nodename = new_node_name, nodeport = new_node_port WHERE nodeid = node_id;
    UPDATE pg_dist_node SET metadatasynced = false WHERE hasmetadata AND groupid > 0;
END
$$;

CREATE FUNCTION pg_catalog.start_metadata_sync_to_all_nodes() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM citus.ensure_coordinator();
    UPDATE pg_dist_node SET metadatasynced = true WHERE hasmetadata AND groupid > 0;
    PERFORM citus.send_to_all();
    RETURN true;
END
$$;

-- Prepared on a worker and not known to the coordinator as committed: rolled back.
CREATE FUNCTION pg_catalog.recover_prepared_transactions() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    found record;
    recovered int := 0;
BEGIN
    FOR found IN
        SELECT n.nodename, n.nodeport, p.gid FROM pg_dist_node n,
               LATERAL citus.query(citus.conninfo(n.nodename, n.nodeport),
                   $q$SELECT gid FROM pg_prepared_xacts WHERE gid LIKE 'citus\_0\_%'$q$) AS p(gid text)
         WHERE n.groupid > 0 AND n.noderole = 'primary' AND n.isactive
    LOOP
        PERFORM citus.run_on(found.nodename, found.nodeport, format('ROLLBACK PREPARED %L', found.gid));
        recovered := recovered + 1;
    END LOOP;
    RETURN recovered;
END
$$;

-- Its transactions are decided within one statement.
CREATE FUNCTION pg_catalog.get_all_active_transactions(
    OUT datid oid, OUT process_id int, OUT initiator_node_identifier int, OUT worker_query bool,
    OUT transaction_number bigint, OUT transaction_stamp timestamptz, OUT global_pid bigint)
    RETURNS SETOF record LANGUAGE sql AS 'SELECT 0::oid, 0, 0, false, 0::bigint, now(), 0::bigint WHERE false';

CREATE FUNCTION pg_catalog.master_run_on_worker(
    worker_name text[], port int[], command text[], parallel boolean,
    OUT node_name text, OUT node_port int, OUT success boolean, OUT result text)
    RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. cardinality(worker_name) LOOP
        node_name := worker_name[i];
        node_port := port[i];
        BEGIN
            result := citus.run(citus.conninfo(node_name, node_port), command[i]);
            success := true;
        EXCEPTION WHEN OTHERS THEN
            result := SQLERRM;
            success := false;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;

CREATE FUNCTION citus.wait_for_nodes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(citus.lock_class(), of_group)
       FROM (SELECT groupid FROM pg_dist_node WHERE groupid > 0 AND noderole = 'primary' ORDER BY groupid)
            AS nodes(of_group);
    RETURN NULL;
END
$$;

CREATE FUNCTION pg_catalog.create_distributed_table(
    table_name regclass, distribution_column text, colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM citus.ensure_coordinator();
    EXECUTE format('CREATE TRIGGER waits_for_nodes BEFORE INSERT OR UPDATE OR DELETE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION citus.wait_for_nodes()', table_name);
END
$$;

-- Old names

CREATE FUNCTION pg_catalog.master_add_inactive_node(
    nodename text, nodeport int, groupid int DEFAULT -1, noderole noderole DEFAULT 'primary',
    nodecluster name DEFAULT 'default')
    RETURNS int LANGUAGE sql AS 'SELECT citus_add_inactive_node($1, $2, $3, $4, $5)';
CREATE FUNCTION pg_catalog.master_add_node(
    nodename text, nodeport int, groupid int DEFAULT -1, noderole noderole DEFAULT 'primary',
    nodecluster name DEFAULT 'default')
    RETURNS int LANGUAGE sql AS 'SELECT citus_add_node($1, $2, $3, $4, $5)';
CREATE FUNCTION pg_catalog.master_activate_node(nodename text, nodeport int) RETURNS int LANGUAGE sql AS
    'SELECT citus_activate_node($1, $2)';
CREATE FUNCTION pg_catalog.master_remove_node(nodename text, nodeport int) RETURNS void LANGUAGE sql AS
    'SELECT citus_remove_node($1, $2)';
CREATE FUNCTION pg_catalog.master_update_node(
    node_id int, new_node_name text, new_node_port int, force boolean DEFAULT false, lock_cooldown int DEFAULT 10000)
    RETURNS void LANGUAGE sql AS 'SELECT citus_update_node($1, $2, $3, $4, $5)';
CREATE FUNCTION pg_catalog.master_get_active_worker_nodes(OUT node_name text, OUT node_port bigint)
    RETURNS SETOF record LANGUAGE sql AS 'SELECT * FROM citus_get_active_worker_nodes()';

DO $$
DECLARE
    changes regprocedure;
BEGIN
    FOR changes IN
        SELECT oid FROM pg_proc
         WHERE proname ~ '^(citus|master)_(add|activate|remove|update|set|run)_'
            OR proname IN ('start_metadata_sync_to_all_nodes', 'recover_prepared_transactions')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', changes);
    END LOOP;
END
$$;
