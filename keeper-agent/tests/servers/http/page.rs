//! The monitor's page in a real browser: opened, while nodes fail over, while the monitor is gone and when it is back.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};

use super::browser::Browser;
use super::client::Endpoint;
use super::health::add;
use crate::bed::{Bed, WITHIN};
use crate::case::Case;
use crate::harness::wait_for;
use crate::port;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, body, needs| Case { name, nodes: 0, body, needs };
    vec![
        case(
            "the_page_shows_failovers_as_they_happen",
            the_page_shows_failovers_as_they_happen,
            &["chromium"],
        ),
        case("the_page_asks_for_a_token", the_page_asks_for_a_token, &["chromium"]),
        case("the_page_has_room_for_200_nodes", the_page_has_room_for_200_nodes, &["chromium"]),
        case("the_page_needs_a_secret_beyond_this_machine", the_page_needs_a_secret_beyond_this_machine, &[]),
    ]
}

/// Has the monitor serve its page on loopback.
pub(super) fn serve_page(bed: &Bed, auth: Option<&str>) -> Result<Endpoint> {
    let endpoint = Endpoint::plain(port::free()?);
    let listen = format!("127.0.0.1:{}", endpoint.port);
    if let Some(auth) = auth {
        bed.monitor.autoctl(&["config", "set", "http.auth", auth])?;
    }
    bed.monitor.autoctl(&["config", "set", "http.listen", &listen])?;
    // A monitor that was just made may not listen to signals yet.
    wait_for("the monitor to serve HTTP", WITHIN, || {
        bed.monitor.autoctl(&["reload"])?;
        Ok(endpoint.connect().is_ok().then_some(()))
    })?;
    wait_for("the page", WITHIN, || Ok((endpoint.status("/readiness")? == 200).then_some(())))?;
    Ok(endpoint)
}

fn url(endpoint: Endpoint) -> String {
    format!("http://127.0.0.1:{}/", endpoint.port)
}

/// Whether the page shows that node in that state.
fn shows(node: &str, state: &str) -> String {
    format!("document.querySelector('[data-node=\"{node}\"]')?.dataset.state === '{state}'")
}

const LIVE: &str = "document.body?.dataset.connection === 'live'";

/// Nothing is wider than the window. A phone would show a window that is wider than itself, only smaller.
fn expect_fits(browser: &mut Browser, width: u32) -> Result<()> {
    let fits = format!("Math.max(document.documentElement.scrollWidth, innerWidth) <= {width}");
    let wider = format!(
        "[...document.querySelectorAll('body *')].filter(it => it.getBoundingClientRect().right > {width} + 0.5)\
         .slice(0, 5).map(it => it.outerHTML.slice(0, 150))"
    );
    browser.wait(&fits).with_context(|| format!("wider: {:?}", browser.value(&wider)))
}

/// A picture for the documentation; written when `UPDATE_DOCS` is set.
fn keep_picture(browser: &mut Browser, name: &str) -> Result<()> {
    let picture = browser.picture()?;
    ensure!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "the picture {name} is empty");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/images");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("{name}.png")), picture)?;
    }
    Ok(())
}

fn the_page_shows_failovers_as_they_happen(bed: &mut Bed) -> Result<()> {
    let page = serve_page(bed, None)?;
    for name in ["n1", "n2", "n3"] {
        add(bed, name, &[])?;
    }
    bed.wait_whole()?;
    let mut browser = Browser::start(&bed.monitor.directory)?;
    browser.size(1200, 800, "light")?;
    browser.open(&url(page))?;
    browser.wait(LIVE)?;
    for (name, state) in [("n1", "primary"), ("n2", "secondary"), ("n3", "secondary")] {
        browser.wait(&shows(name, state))?;
    }
    browser.wait("document.querySelectorAll('.wire.on').length === 2")?;
    bed.monitor.autoctl(&["perform", "promotion", "--name", "n2"])?;
    browser.wait(&shows("n2", "primary"))?;
    browser.wait("document.querySelector('.failover.planned[data-over=\"true\"] .pause')?.textContent.includes('at most')")?;
    bed.wait_whole()?;
    browser.wait(&shows("n1", "secondary"))?;
    browser.wait("document.getElementById('spoken').textContent.includes('n2 is primary')")?;
    bed.node("n2").kill_postmaster()?;
    browser.wait("document.querySelector('.failover.unplanned[data-over=\"true\"][data-rule]') !== null")?;
    bed.wait_whole()?;
    browser.wait("document.querySelectorAll('.node.good').length === 2 && document.querySelectorAll('.node.primary').length === 1")?;
    // As a table, for those who do not see the picture.
    browser.value("document.querySelector('details').open = true")?;
    browser.wait("document.querySelectorAll('[data-part=table] tbody tr').length === 3")?;
    expect_fits(&mut browser, 1200)?;
    keep_picture(&mut browser, "page")?;
    browser.size(390, 800, "dark")?;
    expect_fits(&mut browser, 390)?;
    keep_picture(&mut browser, "page-phone-dark")?;
    check_monitor_gone_and_back(bed, &mut browser)
}

fn check_monitor_gone_and_back(bed: &mut Bed, browser: &mut Browser) -> Result<()> {
    // Its Postgres alone, which is started again; then all of it.
    bed.monitor.kill_postmaster()?;
    browser.wait(LIVE)?;
    bed.monitor.stop()?;
    browser
        .wait("document.body.dataset.connection === 'lost' && !document.getElementById('notice').hidden")?;
    browser.size(1200, 800, "light")?;
    keep_picture(browser, "page-monitor-lost")?;
    bed.monitor.run()?;
    browser.wait(LIVE)?;
    browser.wait(
        "document.getElementById('notice').hidden && document.querySelectorAll('.node.primary').length === 1",
    )?;
    // What happened before is still told.
    browser.wait("document.querySelectorAll('.failover[data-over=\"true\"]').length === 2")
}

fn the_page_asks_for_a_token(bed: &mut Bed) -> Result<()> {
    let page = serve_page(bed, Some("bearer"))?;
    ensure!(
        page.status("/events")? == 401 && page.status("/metrics")? == 401 && page.status("/cluster")? == 401
    );
    ensure!(page.status("/")? == 200 && page.status("/health")? == 200);
    let configuration = bed.monitor.autoctl(&["show", "file", "--config"])?;
    let secret = Path::new(configuration.trim()).with_extension("http");
    let token = fs::read_to_string(secret)?;
    let token = token.trim();
    ensure!(page.ask("GET /metrics", &[&format!("Authorization: Bearer {token}")])?.status == 200);
    let mut browser = Browser::start(&bed.monitor.directory)?;
    browser.size(1200, 800, "light")?;
    browser.open(&url(page))?;
    browser.wait("document.getElementById('door')?.hidden === false")?;
    browser.value(&format!(
        "document.getElementById('token').value = '{token}'; document.querySelector('#door button').click()"
    ))?;
    browser.wait(LIVE)?;
    browser.wait("document.getElementById('door').hidden")
}

fn the_page_has_room_for_200_nodes(bed: &mut Bed) -> Result<()> {
    let page = serve_page(bed, None)?;
    // Nodes that nobody runs: the page shows what the tables say.
    bed.monitor.sql_as(
        "postgres",
        "pg_auto_failover",
        "insert into pgautofailover.node (formationid, groupid, nodename, nodehost, nodeport, sysidentifier, goalstate, \
         reportedstate, health, reportedlsn) \
         select 'default', n / 4, 'node-' || n, '127.0.1.' || n % 250, 5000 + n, 1000 + n / 4, \
         case n % 4 when 0 then 'primary' else 'secondary' end::pgautofailover.replication_state, \
         case n % 4 when 0 then 'primary' else 'secondary' end::pgautofailover.replication_state, 1, '0/3000000' \
         from generate_series(0, 199) as n",
    )?;
    let mut browser = Browser::start(&bed.monitor.directory)?;
    browser.size(1200, 800, "dark")?;
    browser.open(&url(page))?;
    browser.wait("document.querySelectorAll('[data-node]').length === 200")?;
    expect_fits(&mut browser, 1200)?;
    let milliseconds = browser.value(
        "(() => { const one = [...formations.values()][0], began = performance.now(); drawn.clear(); draw(one); \
         document.body.offsetHeight; return performance.now() - began; })()",
    )?;
    let milliseconds = milliseconds.as_f64().ok_or_else(|| anyhow!("no time"))?;
    println!("drawing 200 nodes takes {milliseconds} ms");
    keep_picture(&mut browser, "page-200-nodes")?;
    browser.size(390, 800, "light")?;
    expect_fits(&mut browser, 390)?;
    // The longest that a node can say of itself.
    bed.monitor.sql_as(
        "postgres",
        "pg_auto_failover",
        "update pgautofailover.node set nodename = repeat('x', 50) || nodename, reportedstate = 'wait_maintenance', \
         goalstate = 'prepare_maintenance'",
    )?;
    browser.wait(
        "document.querySelectorAll('[data-state=\"wait_maintenance → prepare_maintenance\"]').length > 100",
    )?;
    expect_fits(&mut browser, 390)?;
    let drawn = browser.value(
        "(() => { const one = [...formations.values()][0], word = 'x'.repeat(60); \
         one.failovers = [{ rule: word, from: word, to: word, why: word, at: Date.now(), group: 0, is_over: true }]; \
         draw(one); return document.documentElement.scrollWidth; })()",
    )?;
    ensure!(drawn == 390, "a failover with long names is {drawn} wide");
    Ok(())
}

fn the_page_needs_a_secret_beyond_this_machine(bed: &mut Bed) -> Result<()> {
    let endpoint = Endpoint::plain(port::free()?);
    let listen = format!("0.0.0.0:{}", endpoint.port);
    let free = port::free()?.to_string();
    let other = bed.monitor.directory.join("other");
    let pgdata = other.display().to_string();
    let args =
        ["create", "monitor", "--pgdata", &pgdata, "--pgport", &free, "--hostname", "127.0.0.1", "--no-ssl"];
    let refuse = |args: &[&str]| -> Result<()> {
        let refused = bed.monitor.program("pg_autoctl", args)?;
        ensure!(refused.code() != 0 && refused.stderr.contains("http.auth"), "{}", refused.stderr);
        Ok(())
    };
    refuse(&[&args[..], &["--http-listen", &listen]].concat())?;
    ensure!(!other.exists(), "something was made");
    refuse(&["config", "set", "http.listen", &listen])?;
    bed.monitor.stop()?;
    let refused = bed.monitor.program("pg_autoctl", &["run", "--http-listen", &listen])?;
    ensure!(refused.code() != 0 && refused.stderr.contains("http.auth"), "{}", refused.stderr);
    bed.monitor.start(&["run", "--http-listen", &listen, "--http-auth", "basic"])?;
    wait_for("the page", WITHIN, || Ok((endpoint.status("/health")? == 200).then_some(())))?;
    for path in ["/", "/events", "/metrics", "/cluster"] {
        let reply = endpoint.get(path)?;
        ensure!(
            reply.status == 401 && reply.head.to_ascii_lowercase().contains("www-authenticate: basic"),
            "{}",
            reply.head
        );
    }
    let configuration = bed.monitor.autoctl(&["show", "file", "--config"])?;
    let secret = Path::new(configuration.trim()).with_extension("http");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&secret)?);
    ensure!(mode & 0o777 == 0o600, "{mode:o}");
    let pair = fs::read_to_string(&secret)?;
    let shown = format!("Authorization: Basic {}", openssl::base64::encode_block(pair.trim().as_bytes()));
    ensure!(endpoint.ask("GET /", &[&shown])?.status == 200);
    ensure!(!bed.monitor.said()?.contains(pair.trim()), "the password is in the log");
    let refused = bed.monitor.program("pg_autoctl", &["config", "set", "http.auth", "none"])?;
    ensure!(refused.code() != 0, "opened to everybody");
    // A file that was edited to that is not followed.
    let path = configuration.trim();
    let edited = fs::read_to_string(path)?.replace("auth = basic", "auth = none");
    fs::write(path, edited)?;
    bed.monitor.autoctl(&["reload"])?;
    wait_for("nothing to be served", WITHIN, || Ok(endpoint.connect().is_err().then_some(())))?;
    bed.monitor.wait_said("could read it without a password", WITHIN)
}
