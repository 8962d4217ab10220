//! The command line as scripts see it: exit codes, messages, and what is printed, byte for byte.
//!
//! What needs a monitor is asked of a plain Postgres that plays one from a few rows (`monitor.sql`). Postgres does not
//! run as root: then the commands are run as user `postgres`.

mod bad_input;
mod bed;
mod branches;
mod configuration;
mod examples;
mod habits;
mod output;
mod server;
mod terminal;
mod unmonitored;
mod watch;
