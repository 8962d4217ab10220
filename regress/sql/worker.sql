\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- Waits until a query says true, at most 20 seconds.
CREATE FUNCTION wait_until(condition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    holds boolean;
BEGIN
    FOR attempt IN 1..400 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXECUTE 'SELECT ' || condition INTO holds;
        EXIT WHEN holds;
        PERFORM pg_sleep(0.05);
    END LOOP;
    RETURN holds;
END
$$;
CREATE VIEW workers AS SELECT * FROM pg_stat_activity WHERE backend_type LIKE 'pgautofailover %';

-- There is no database of the configured name: the launcher waits for it.
SELECT wait_until($$(SELECT count(*) = 1 FROM workers WHERE datname IS NULL)$$);
SELECT count(*) FROM workers WHERE datname IS NOT NULL;

-- Now there is one, with the extension and without nodes; and it can be dropped, and made again.
ALTER SYSTEM SET pgautofailover.monitor_database = 'regress_monitor';
ALTER SYSTEM SET pgautofailover.health_check_period = '100ms';
ALTER SYSTEM SET pgautofailover.health_check_retry_delay = '10ms';
ALTER SYSTEM SET pgautofailover.node_considered_unhealthy_timeout = '4s';
SELECT pg_reload_conf();
CREATE DATABASE regress_monitor;
SELECT wait_until($$(SELECT count(*) = 1 FROM workers WHERE datname = 'regress_monitor')$$);
DROP DATABASE regress_monitor;
SELECT count(*) FROM workers WHERE datname = 'regress_monitor';
CREATE DATABASE regress_monitor;
SELECT wait_until($$(SELECT count(*) = 1 FROM workers WHERE datname = 'regress_monitor')$$);
SELECT wait_until($$(SELECT pg_terminate_backend(pid) FROM workers WHERE datname = 'regress_monitor')$$);
SELECT wait_until($$(SELECT count(*) = 1 FROM workers WHERE datname = 'regress_monitor')$$);
DROP DATABASE regress_monitor;

-- Probes: any answer is good, none is bad. The first node is this server, nobody is at the port of the second.
SELECT two_nodes();
UPDATE pgautofailover.node SET nodeport = 1 WHERE nodeid = 1;
UPDATE pgautofailover.node SET nodeport = current_setting('port')::integer WHERE nodeid = 2;
ALTER SYSTEM SET pgautofailover.monitor_database = 'regression';
SELECT pg_reload_conf();
SELECT wait_until($$(SELECT array_agg(health ORDER BY nodeid) = '{0,1}' FROM pgautofailover.node)$$);
SELECT nodename, health FROM pgautofailover.node ORDER BY nodeid;

-- A row that cannot be read stops the decisions about its group, and no others.
SELECT formation_id FROM pgautofailover.create_formation('broken', 'pgsql', 'postgres', true, 0);
INSERT INTO pgautofailover.node (formationid, nodeid, groupid, nodename, nodehost, nodeport, reportedstate, reportdetail)
     VALUES ('broken', 100, 0, 'broken', 'localhost', 2, 'init', '{"epoch": "x"}');

-- Time: the primary is silent and its standby does not stream; a second later it has heard nothing for too long,
-- and it is the worker that notices.
SELECT report(2, 'secondary', detail => '{"upstream": {"is_streaming": false, "silent_ms": 3000}}');
UPDATE pgautofailover.node SET reportclock = reportclock - 5000 WHERE nodeid = 1;
TABLE states;
SELECT wait_until($$(SELECT goalstate = 'prepare_promotion' FROM pgautofailover.node WHERE nodeid = 2)$$);
TABLE states;

-- The extension can be dropped while the worker runs.
DROP FUNCTION wait_until CASCADE;
DROP VIEW workers;
ALTER SYSTEM RESET pgautofailover.monitor_database;
ALTER SYSTEM RESET pgautofailover.health_check_period;
ALTER SYSTEM RESET pgautofailover.health_check_retry_delay;
ALTER SYSTEM RESET pgautofailover.node_considered_unhealthy_timeout;
SELECT pg_reload_conf();
DROP EXTENSION pgautofailover CASCADE;
