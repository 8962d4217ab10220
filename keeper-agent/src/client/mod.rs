//! Connections to a Postgres server, of the monitor or of a data node, over the network or a local socket.
//!
//! Connection strings and TLS mean what libpq makes of them. Every connection has a deadline, TCP keepalives and a
//! TCP user timeout, so that a peer that vanished is noticed. A password is never part of what is printed.

mod connect;
mod connection_string;
mod deadline;
#[cfg(test)]
mod fuzz;
mod parse;
mod passfile;
mod reach;
mod resolve;
mod secret;
mod service;
mod session_options;
mod ssl;
mod tls;

pub use connect::{ConnectError, Session, connect, connect_to_pooler, describe};
pub use connection_string::{ConnectionString, Host, InvalidConnectionString};
pub use deadline::{Late, within};
pub(crate) use reach::answering_first;
pub use resolve::{addresses, is_taken_for_an_address};
pub use secret::{MASK, Secret};
pub use session_options::superuser_options;
pub use ssl::{SslMode, SslOptions, TlsProtocol, UnknownSslMode};
