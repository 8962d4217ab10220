//! The monitor of pgaf: tables, functions and a probing worker inside Postgres.

::pgrx::pg_module_magic!(name, version);
