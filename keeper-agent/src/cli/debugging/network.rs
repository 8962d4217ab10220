//! `do show …`: what this machine calls itself, and where names lead.

use std::net::IpAddr;

use super::super::checks;
use super::super::commands::ShowNetwork;
use super::super::error::{CliError, CliResult};
use super::super::print;
use crate::exit::Exit;
use crate::own_address;

/// Runs one of them.
pub(super) async fn run(command: &ShowNetwork) -> CliResult {
    match command {
        ShowNetwork::Ipaddr => print::line(&own_address().await?.to_string()),
        ShowNetwork::Cidr => print::line(&own_network().await?),
        ShowNetwork::Hostname => print::line(&checks::found_hostname(None).await?),
        ShowNetwork::Lookup { name } => lookup(name),
        ShowNetwork::Reverse { address } => reverse(address),
    }
}

async fn own_address() -> CliResult<IpAddr> {
    own_address::address().await.ok_or_else(|| {
        CliError::new(
            Exit::Internal,
            "could not detect the address of this machine: it has no route to others",
        )
    })
}

async fn own_network() -> CliResult<String> {
    let address = own_address().await?;
    own_address::network_of(address).ok_or_else(|| {
        CliError::new(Exit::Internal, format!("no network interface has the address {address}"))
    })
}

fn lookup(name: &str) -> CliResult {
    let address = checks::resolve(name).map(|addresses| addresses.into_iter().next());
    match address {
        Ok(Some(address)) => print::line(&format!("{name}: {address}")),
        Ok(None) => Err(unknown(name, "it has no address")),
        Err(error) => Err(unknown(name, &error.to_string())),
    }
}

/// The name of an address, which must lead back to it: a host name in pg_hba.conf only matches then.
fn reverse(given: &str) -> CliResult {
    let address: IpAddr = match given.parse() {
        Ok(address) => address,
        Err(_) => checks::resolve(given)
            .ok()
            .and_then(|addresses| addresses.into_iter().next())
            .ok_or_else(|| unknown(given, "it has no address"))?,
    };
    let name = checks::name_of(address)
        .ok_or_else(|| CliError::new(Exit::Internal, format!("the address {address} has no name")))?;
    let leads_back = checks::resolve(&name).is_ok_and(|addresses| addresses.contains(&address));
    if !leads_back {
        return Err(CliError::new(
            Exit::Internal,
            format!("the address {address} has the name \"{name}\", which does not lead back to it"),
        ));
    }
    print::line(&format!("{address}: {name}"))
}

fn unknown(name: &str, why: &str) -> CliError {
    CliError::new(Exit::Internal, format!("could not look up \"{name}\": {why}"))
}
