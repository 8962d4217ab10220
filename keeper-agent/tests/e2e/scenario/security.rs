//! The same life with TLS and with passwords, on every connection.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{SOON, TAKEOVER, WHOLE, scenarios};
use crate::harness::{Auth, Cluster, Host, Security, Setup, Tls};

scenarios! {
    self_signed:
        self_signed_certificates;
    verify_full:
        certificates_of_an_authority_verified_in_full;
    scram:
        passwords_with_scram;
    scram_verify_full:
        passwords_with_scram_and_certificates_verified_in_full;
}

fn with(tls: Tls, auth: Auth) -> Setup {
    Setup { security: Security { tls, auth }, ..Setup::nodes(2) }
}

pub(super) fn self_signed() -> Setup {
    with(Tls::SelfSigned, Auth::Trust)
}

pub(super) fn verify_full() -> Setup {
    with(Tls::VerifyFull, Auth::Trust)
}

pub(super) fn scram() -> Setup {
    with(Tls::Off, Auth::Scram)
}

pub(super) fn scram_verify_full() -> Setup {
    with(Tls::VerifyFull, Auth::Scram)
}

/// A host is lost and comes back with pg_rewind, then its data is lost and it comes back with a base backup.
pub(super) fn lose_host_then_data(cluster: &mut Cluster) -> Result<()> {
    let writer = cluster.writer()?;
    cluster.host_mut("n1")?.kill_everything()?;
    cluster.wait_primary_is("n2", TAKEOVER)?;
    writer.wait_for_ack(SOON)?;
    cluster.host_mut("n1")?.run()?;
    cluster.wait_whole(WHOLE)?;
    cluster.host("n2")?.lose_pg_control()?;
    cluster.wait_primary_is("n1", TAKEOVER)?;
    writer.pause_since(Instant::now(), SOON)?;
    cluster.wait_whole(WHOLE)?;
    cluster.verify(&[writer.stop()])
}

/// Nobody from another address is connected without encryption.
fn all_encrypted(host: &Host) -> Result<()> {
    let sql = "select coalesce(string_agg(usename || ' ' || application_name || ' from ' || client_addr, ', '), '') \
               from pg_stat_activity join pg_stat_ssl using (pid) where client_addr is not null and not ssl";
    let plain = host.psql("postgres", sql)?;
    ensure!(plain.is_empty(), "not encrypted on {}: {plain}", host.name);
    let sql = "select count(*) from pg_stat_ssl where ssl";
    ensure!(host.psql("postgres", sql)? != "0", "nobody is connected to {}", host.name);
    Ok(())
}

fn encrypted_life(cluster: &mut Cluster) -> Result<()> {
    lose_host_then_data(cluster)?;
    all_encrypted(&cluster.monitor)?;
    all_encrypted(cluster.host(&cluster.primary()?)?)
}

fn self_signed_certificates(cluster: &mut Cluster) -> Result<()> {
    encrypted_life(cluster)
}

fn certificates_of_an_authority_verified_in_full(cluster: &mut Cluster) -> Result<()> {
    encrypted_life(cluster)
}

fn passwords_with_scram(cluster: &mut Cluster) -> Result<()> {
    lose_host_then_data(cluster)
}

fn passwords_with_scram_and_certificates_verified_in_full(cluster: &mut Cluster) -> Result<()> {
    encrypted_life(cluster)
}
