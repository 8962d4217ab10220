//! The `pg_autoctl` program.

fn main() {}
