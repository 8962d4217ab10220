//! The SQLSTATEs that the monitor's functions raise: keepers tell errors apart by them, not by their text.

/// No such node: it was dropped, or never registered.
pub const UNKNOWN_NODE: &str = "P0002";
/// No such formation or group.
pub const UNKNOWN_OBJECT: &str = "42704";
/// The name, the address or the id is taken.
pub const DUPLICATE_OBJECT: &str = "42710";
/// A value that cannot be.
pub const INVALID_VALUE: &str = "22023";
/// A NULL where a value is needed.
pub const NULL_VALUE: &str = "22004";
/// It would be right at another time.
pub const WRONG_STATE: &str = "55000";
/// The monitor's server is not set up: the library is not preloaded.
pub const NOT_CONFIGURED: &str = "F0000";
/// The loaded library and the installed extension are of different versions.
pub const VERSION_MISMATCH: &str = "42P17";
/// Called inside a transaction that does not read committed rows.
pub const WRONG_ISOLATION: &str = "25001";
/// A defect of the monitor.
pub const INTERNAL: &str = "XX000";
