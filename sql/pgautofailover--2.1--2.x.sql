\echo Use "ALTER EXTENSION pgautofailover UPDATE" to load this file. \quit

-- The tables of 2.0, 2.1 and 2.2 are the same. What differs is which version their keepers ask for: those go on working
-- with this one until they are restarted.
CREATE SCHEMA pgautofailover_2x;

CREATE FUNCTION pgautofailover_2x.version()
RETURNS text LANGUAGE sql IMMUTABLE
AS $$
    SELECT '2.1'
$$;
