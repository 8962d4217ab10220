//! Metrics, as a real Prometheus scrapes them, and what alert rules and the dashboard make of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::client::Endpoint;
use super::page::serve_page;
use crate::bed::{Bed, WITHIN};
use crate::case::Case;
use crate::harness::{run_to_end, wait_for};
use crate::port;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, body, needs| Case { name, nodes: 0, body, needs };
    vec![
        case("metrics_of_rules_and_dashboard_exist", metrics_of_rules_and_dashboard_exist, &[]),
        case(
            "prometheus_scrapes_nodes_and_monitor",
            prometheus_scrapes_nodes_and_monitor,
            &["prometheus", "promtool"],
        ),
    ]
}

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring")
}

/// The names of metrics that a text uses: ours, and those of any process.
fn used(text: &str) -> BTreeSet<String> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let words = text.split(|char| !is_name(char));
    words
        .filter(|word| word.starts_with("pgautofailover_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// The names of the samples that an output can have.
fn offered(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = types.flat_map(|(name, kind)| {
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
    });
    names.collect()
}

fn metrics_of_rules_and_dashboard_exist(bed: &mut Bed) -> Result<()> {
    let page = serve_page(bed, None)?;
    let endpoints = [add_both(bed)?.as_slice(), &[page]].concat();
    let mut all = BTreeSet::new();
    for endpoint in &endpoints {
        let reply = endpoint.get("/metrics")?;
        ensure!(reply.status == 200 && reply.head.contains("application/openmetrics-text"), "{}", reply.head);
        ensure!(reply.body.ends_with("# EOF\n"), "no end");
        all.extend(offered(&reply.body));
    }
    for file in ["alerts.yml", "dashboard.json"] {
        let text = std::fs::read_to_string(monitoring().join(file)).with_context(|| file.to_owned())?;
        let names = used(&text);
        ensure!(names.len() > 5, "{file} uses nothing");
        let missing: Vec<_> = names.difference(&all).collect();
        ensure!(missing.is_empty(), "{file} uses what does not exist: {missing:?}");
    }
    let one = endpoints[0].get("/metrics")?.body;
    for line in [
        "pgautofailover_keeper_is_primary 1.0",
        "pgautofailover_keeper_reported_state{state=\"primary\"} 1.0",
        "pgautofailover_keeper_commit_acknowledgements 1.0",
        "pgautofailover_keeper_commit_rule_in_force 1.0",
        "pgautofailover_keeper_slot_retained_bytes{slot=\"pgautofailover_standby_2\"}",
        "pgautofailover_keeper_standby_streaming{standby_id=\"2\"} 1.0",
        "process_resident_memory_bytes ",
    ] {
        ensure!(one.contains(line), "{line}\n{one}");
    }
    bed.monitor.autoctl(&["perform", "switchover"])?;
    bed.wait_primary("n2")?;
    wait_for("the failover to be counted", WITHIN, || {
        let text = page.get("/metrics")?.body;
        let line = "pgautofailover_group_failovers_total{formation=\"default\",group=\"0\"} 1";
        let has_duration = text.contains("failover_duration_seconds_count{kind=\"planned\"} 1");
        Ok((text.contains(line) && has_duration).then_some(()))
    })
}

fn add_both(bed: &mut Bed) -> Result<[Endpoint; 2]> {
    let n1 = super::health::add(bed, "n1", &[])?;
    let n2 = super::health::add(bed, "n2", &[])?;
    bed.wait_whole()?;
    Ok([n1, n2])
}

struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn prometheus_scrapes_nodes_and_monitor(bed: &mut Bed) -> Result<()> {
    let alerts = monitoring().join("alerts.yml");
    let mut check = Command::new("promtool");
    run_to_end(check.args(["check", "rules"]).arg(&alerts), Duration::from_secs(30))?.success()?;
    let page = serve_page(bed, None)?;
    let [n1, n2] = add_both(bed)?;
    let targets = [n1, n2, page].map(|endpoint| format!("'127.0.0.1:{}'", endpoint.port)).join(", ");
    let directory = &bed.monitor.directory;
    let configuration = directory.join("prometheus.yml");
    std::fs::write(
        &configuration,
        format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: ['{}']\nscrape_configs:\n  - job_name: pg_autoctl\n    static_configs:\n      - targets: [{targets}]\n",
            alerts.display()
        ),
    )?;
    let api = Endpoint::plain(port::free()?);
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", configuration.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{}", api.port))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let _prometheus = Prometheus(child);
    let count = |query: &str| -> Result<usize> {
        let reply = api.get(&format!("/api/v1/query?query={query}"))?;
        let body = reply.body.trim_start_matches(|char: char| char != '{').to_owned();
        let end = body.rfind('}').map_or(body.len(), |end| end + 1);
        let answer: serde_json::Value =
            serde_json::from_str(&body[..end]).with_context(|| reply.body.clone())?;
        Ok(answer["data"]["result"].as_array().map_or(0, Vec::len))
    };
    wait_for("all to be scraped", WITHIN, || Ok((count("up==1")? == 3).then_some(())))?;
    ensure!(count("pgautofailover_keeper_is_primary==1")? == 1);
    ensure!(count("pgautofailover_node_reported_state")? == 2);
    ensure!(count("ALERTS")? == 0, "an alert although all is well");
    bed.node_mut("n2").kill_both()?;
    wait_for("an alert for the lost standby", WITHIN * 2, || Ok((count("ALERTS")? > 0).then_some(())))?;
    Ok(())
}
