\set ECHO none
\set helpers `echo "$PG_ABS_SRCDIR/sql/helpers.psql"`
\i :helpers
\set ECHO all
-- 200,000 events of ten days, nearly all of formation "busy".
SELECT add_events(10, 'quiet', '10 days');
SELECT add_events(200000, 'busy', '10 days');
SELECT add_events(10, 'lone', '1 day');
ANALYZE pgautofailover.event;

-- The pages that a query reads.
CREATE FUNCTION pages(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || query INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END
$$;

-- What is asked for is found without a look at the rest, also the seventh time in a session.
DO $$
DECLARE
    query text;
    most  bigint;
BEGIN
    FOREACH query IN ARRAY ARRAY[
        'last_events(10)', 'last_events(formation_id => ''busy'', count => 10)', 'last_events(''busy'', 2, 10)', 'last_events(formation_id => ''quiet'', count => 10)',
        'last_events(''quiet'', 3, 10)', 'last_events(''busy'', 7, 10)', 'last_events(formation_id => ''lone'', count => 10)',
        'last_events(formation_id => ''nowhere'', count => 10)'
    ] LOOP
        SELECT max(pages('SELECT * FROM pgautofailover.' || query)) INTO most FROM generate_series(1, 7);
        ASSERT most < 400, format('%s reads %s pages', query, most);
    END LOOP;
END
$$;
SELECT eventid, description FROM pgautofailover.last_events(formation_id => 'quiet', count => 3);
SELECT eventid, description FROM pgautofailover.last_events('busy', 3, 2);

DROP FUNCTION add_events, pages;
