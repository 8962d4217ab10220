//! The addresses of hosts.

/// The address of a host.
pub(crate) fn name_of(index: usize) -> String {
    format!("host{index}")
}

/// The host at an address.
pub(crate) fn index_of(name: &str) -> usize {
    name.strip_prefix("host").and_then(|index| index.parse().ok()).expect("the address of a simulated host")
}
