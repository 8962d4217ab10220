//! What a candidate of a worker group asks of the coordinator, as steps of its plan.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pgaf_core::keeper::Step;
use pgaf_core::{Epoch, GroupId, NodeId, Peer};
use postgres_protocol::escape::escape_literal;
use tokio_postgres::error::SqlState;

use super::address::Address;
use super::coordinator::{Coordinator, Login};
use super::hold::HoldName;
use super::metadata::{Metadata, NodeRow};
use crate::postgres::{Instance, PostgresError, resolve};

/// A primary that goes on serving is given up for only after this long of asking politely.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts, clients get their turn.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the first attempt waits for a lock, and how long any does; each waits twice as long as the one before. While
/// it waits, a client may come to wait for this session that it keeps waiting: every two seconds, Citus looks for such
/// circles and ends the client's transaction. A short attempt is hardly ever seen.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(300);
/// Attempts that end the sessions that are in the way.
const FORCED_ATTEMPTS: u32 = 2;
/// What one attempt may take, with every lock and the server's own limits.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(3);
/// A checkpoint of the old primary may take this long; writes go on meanwhile.
const CHECKPOINT_DEADLINE: Duration = Duration::from_secs(30);
/// A host that cannot be, for a row whose address another row takes over.
const NOWHERE: &str = "moving.invalid";

/// The node that asks.
#[derive(Clone, Debug)]
pub struct CitusNode {
    /// Its group.
    pub group: GroupId,
    /// Its id.
    pub node: NodeId,
    /// Where the coordinator shall connect to.
    pub address: Address,
    /// The port of a proxy on the same host; 0 for none.
    pub proxy_port: u16,
    /// As whom it asks.
    pub login: Login,
}

/// Carries out the steps that concern the coordinator, and keeps the session that holds writes.
pub struct Citus {
    instance: Rc<Instance>,
    worker: RefCell<CitusNode>,
    held: RefCell<Option<Held>>,
    /// Who was told last to send writes here.
    coordinator: RefCell<Option<Peer>>,
}

/// Committing in the session that has prepared has the other workers told at once.
struct Held {
    peer: Peer,
    coordinator: Coordinator,
    name: HoldName,
}

impl Citus {
    /// Nothing is held.
    pub const fn new(instance: Rc<Instance>, worker: CitusNode) -> Self {
        Self {
            instance,
            worker: RefCell::new(worker),
            held: RefCell::new(None),
            coordinator: RefCell::new(None),
        }
    }

    /// Takes a changed configuration for everything that is asked from now on.
    pub fn reconfigure(&self, worker: CitusNode) {
        self.worker.replace(worker);
    }

    /// Does one step. Dropping the future leaves at most a prepared transaction behind, which whoever comes next ends.
    ///
    /// # Errors
    /// The coordinator does not answer, does not know the group, or did not get its locks in time.
    pub async fn execute(&self, step: &Step) -> Result<(), PostgresError> {
        let worker = self.worker.borrow().clone();
        match step {
            Step::HoldWrites { coordinator, primary, epoch } => {
                let held = hold(&self.instance, &worker, coordinator, primary.as_ref(), *epoch).await?;
                self.held.replace(Some(held));
                Ok(())
            }
            Step::ReleaseWrites => match self.held.take() {
                Some(held) => held.coordinator.end_prepared("ROLLBACK", &held.name).await.map(|_| ()),
                None => Ok(()),
            },
            Step::RouteWrites { coordinator } => {
                let before = self.coordinator.replace(Some(coordinator.clone()));
                if let Some(before) = before.filter(|before| before.host != coordinator.host) {
                    end_sessions_of(&self.instance, &before).await;
                }
                route(&self.instance, &worker, coordinator, self.held.take()).await
            }
            other => Err(PostgresError::Refused(format!("this does not concern a coordinator: {other}"))),
        }
    }
}

async fn hold(
    instance: &Instance,
    worker: &CitusNode,
    peer: &Peer,
    primary: Option<&Peer>,
    epoch: Epoch,
) -> Result<Held, PostgresError> {
    let coordinator = Coordinator::remote(&worker.login, peer).await?;
    let metadata = coordinator.metadata().await?;
    for name in metadata.holds.iter().filter(|name| name.group == worker.group) {
        if name.node == worker.node {
            tracing::info!("writes are held already, as \"{name}\"");
            return Ok(Held { peer: peer.clone(), coordinator, name: *name });
        }
        // A group has one candidate: the others were given up.
        coordinator.end_prepared("ROLLBACK", name).await?;
    }
    let row = row_of(&metadata, worker.group)?;
    if row.address == worker.address {
        return Err(PostgresError::Refused(
            "writes cannot be held: the coordinator sends them here already".to_owned(),
        ));
    }
    must_have_its_data(instance, row).await?;
    if primary.is_some() {
        checkpoint(&coordinator, &row.address).await;
    }
    let name = HoldName { group: worker.group, node: worker.node, epoch };
    let prepare = format!("PREPARE TRANSACTION '{name}'");
    let request = Change { row, to: &worker.address, proxy_port: worker.proxy_port, end: &prepare };
    let patience = if primary.is_some() { PATIENCE } else { Duration::ZERO };
    change(&coordinator, &metadata, &request, patience).await?;
    Ok(Held { peer: peer.clone(), coordinator, name })
}

async fn route(
    instance: &Instance,
    worker: &CitusNode,
    peer: &Peer,
    held: Option<Held>,
) -> Result<(), PostgresError> {
    let coordinator = match finish(held, peer).await {
        Some(coordinator) => coordinator,
        None => Coordinator::remote(&worker.login, peer).await?,
    };
    for name in coordinator.holds().await?.into_iter().filter(|name| name.group == worker.group) {
        let verb = if name.node == worker.node { "COMMIT" } else { "ROLLBACK" };
        coordinator.end_prepared(verb, &name).await?;
    }
    let metadata = coordinator.metadata().await?;
    let row = row_of(&metadata, worker.group)?;
    if row.address == worker.address && has_proxy(&coordinator, row.id, worker).await? {
        return Ok(());
    }
    must_have_its_data(instance, row).await?;
    move_to(&coordinator, &metadata, row, &worker.address, worker.proxy_port).await
}

/// Has writes that are held go on to this node; gives the session, when it is still good, and one with that coordinator.
async fn finish(held: Option<Held>, with: &Peer) -> Option<Coordinator> {
    let Held { peer, coordinator, name } = held?;
    match coordinator.end_prepared("COMMIT", &name).await {
        Ok(_) => (peer == *with).then_some(coordinator),
        Err(error) => {
            tracing::warn!("{error}; asking the coordinator again");
            None
        }
    }
}

/// What the primary of the coordinator's group of before has left open here would block clients that try again, for as
/// long as that is frozen. It is fenced: whatever it still sends must not count.
async fn end_sessions_of(instance: &Instance, coordinator: &Peer) {
    let ended = async {
        let addresses: Vec<String> =
            resolve(&coordinator.host).await.iter().map(ToString::to_string).collect();
        let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE client_addr = ANY (SELECT unnest($1::text[])::inet) AND application_name LIKE 'citus\\_internal%'";
        let rows =
            Coordinator::local(instance).await?.query("end sessions", statement, &[&addresses]).await?;
        Ok::<i64, PostgresError>(rows.first().map_or(0, |row| row.get(0)))
    };
    match ended.await {
        Ok(0) => {}
        Ok(count) => tracing::info!("ended {count} sessions of the former coordinator"),
        Err(error) => tracing::warn!("could not end sessions of the former coordinator: {error}"),
    }
}

/// A row that is not active yet has no data.
async fn must_have_its_data(instance: &Instance, row: &NodeRow) -> Result<(), PostgresError> {
    if !row.is_active {
        return Ok(());
    }
    Coordinator::local(instance).await?.must_have_data_of(row.group).await
}

fn row_of(metadata: &Metadata, group: GroupId) -> Result<&NodeRow, PostgresError> {
    metadata.primary_of(group).ok_or_else(|| {
        PostgresError::Refused(format!("the coordinator does not know group {group} yet: its keeper adds it"))
    })
}

/// The old primary has written what it has to write before it stops: its stop is short.
async fn checkpoint(coordinator: &Coordinator, address: &Address) {
    let statement = "SELECT success, result FROM pg_catalog.master_run_on_worker(ARRAY[$1::text], ARRAY[$2::int], \
         ARRAY['CHECKPOINT'], false)";
    let port = i32::from(address.port);
    let answer = coordinator
        .query_within(
            CHECKPOINT_DEADLINE,
            "have the old primary checkpoint",
            statement,
            &[&address.host, &port],
        )
        .await;
    match answer.as_deref() {
        Ok([row]) if !row.get::<_, bool>(0) => {
            tracing::info!("no checkpoint before the switchover: {}", row.get::<_, String>(1));
        }
        Ok(_) => {}
        Err(error) => tracing::info!("could not run a checkpoint before the switchover: {error}"),
    }
}

async fn has_proxy(coordinator: &Coordinator, row: i32, worker: &CitusNode) -> Result<bool, PostgresError> {
    let question = "SELECT poolinfo FROM pg_catalog.pg_dist_poolinfo WHERE nodeid = $1::int";
    let rows = coordinator.query("read pg_dist_poolinfo", question, &[&row]).await?;
    let present = rows.first().map(|row| row.get::<_, String>(0));
    Ok(present == pool_info(&worker.address, worker.proxy_port))
}

fn pool_info(address: &Address, proxy_port: u16) -> Option<String> {
    (proxy_port > 0).then(|| format!("host={} port={proxy_port}", address.host))
}

/// Has the coordinator send a group's writes to another address, whatever its sessions are waiting for: whoever had that
/// address before accepts no writes any more.
pub(super) async fn move_to(
    coordinator: &Coordinator,
    metadata: &Metadata,
    row: &NodeRow,
    to: &Address,
    proxy_port: u16,
) -> Result<(), PostgresError> {
    let request = Change { row, to, proxy_port, end: "COMMIT" };
    match change(coordinator, metadata, &request, Duration::ZERO).await {
        Err(error) if is_lock_missing(&error) => {
            tracing::info!("{error}: the address is changed without waiting for sessions that are stuck");
            change_directly(coordinator, metadata, &request).await
        }
        result => result,
    }
}

/// A change of the address that a row has.
struct Change<'a> {
    row: &'a NodeRow,
    to: &'a Address,
    proxy_port: u16,
    /// How the transaction ends.
    end: &'a str,
}

impl Change<'_> {
    /// Which rows get which addresses, in this order. When another row has the new address, the two swap theirs.
    fn moves(&self, metadata: &Metadata) -> Result<Vec<(i32, Address)>, PostgresError> {
        let this = (self.row.id, self.to.clone());
        match metadata.at(self.to) {
            Some(other) if other.id == self.row.id => Ok(vec![this]),
            Some(other) if other.is_primary => Err(PostgresError::Refused(format!(
                "the coordinator knows {} as the primary of group {}",
                self.to, other.group
            ))),
            Some(other) => Ok(vec![
                (other.id, Address { host: NOWHERE.to_owned(), port: 1 }),
                this,
                (other.id, self.row.address.clone()),
            ]),
            None => Ok(vec![this]),
        }
    }

    fn pool_statements(&self) -> String {
        let id = self.row.id;
        let mut statements = format!("DELETE FROM pg_catalog.pg_dist_poolinfo WHERE nodeid = {id};");
        if let Some(info) = pool_info(self.to, self.proxy_port) {
            statements.push_str(&format!(
                "INSERT INTO pg_catalog.pg_dist_poolinfo (nodeid, poolinfo) VALUES ({id}, {});",
                escape_literal(&info)
            ));
        }
        statements
    }
}

/// Asks until the locks are granted, so briefly each time that clients hardly notice; after `patience`, sessions that are
/// in the way are ended.
async fn change(
    coordinator: &Coordinator,
    metadata: &Metadata,
    request: &Change<'_>,
    patience: Duration,
) -> Result<(), PostgresError> {
    let begin = Instant::now();
    let moves = request.moves(metadata)?;
    let mut forced = 0;
    let mut wait = FIRST_WAIT;
    loop {
        let is_forced = begin.elapsed() >= patience;
        let limit = if is_forced { LONGEST_WAIT } else { wait };
        let Err(error) = attempt(coordinator, &moves, request, limit, is_forced).await else {
            return Ok(());
        };
        coordinator.roll_back().await?;
        forced += u32::from(is_forced);
        wait = LONGEST_WAIT.min(wait * 2);
        if !is_lock_missing(&error) || forced >= FORCED_ATTEMPTS {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn attempt(
    coordinator: &Coordinator,
    moves: &[(i32, Address)],
    request: &Change<'_>,
    wait: Duration,
    is_forced: bool,
) -> Result<(), PostgresError> {
    let wait = wait.as_millis();
    // In a deadlock with a client, the one that gives way is this session.
    let mut statements = format!(
        "BEGIN; SET LOCAL lock_timeout = '{wait}ms'; SET LOCAL statement_timeout = '900ms'; \
         SET LOCAL deadlock_timeout = '10ms';"
    );
    for (row, address) in moves {
        statements.push_str(&format!(
            "SELECT pg_catalog.citus_update_node({row}, {}, {}, force => {is_forced}, lock_cooldown => 0);",
            escape_literal(&address.host),
            address.port
        ));
    }
    statements.push_str(&request.pool_statements());
    statements.push_str(request.end);
    coordinator.run(ATTEMPT_DEADLINE, "change the address of a node", &statements).await
}

/// Sessions that wait for a node which is frozen or cut off keep their locks for as long as they wait.
async fn change_directly(
    coordinator: &Coordinator,
    metadata: &Metadata,
    request: &Change<'_>,
) -> Result<(), PostgresError> {
    let mut statements =
        "BEGIN; SET LOCAL lock_timeout = '500ms'; LOCK TABLE pg_catalog.pg_dist_node IN EXCLUSIVE MODE;"
            .to_owned();
    for (row, address) in request.moves(metadata)? {
        statements.push_str(&format!(
            "UPDATE pg_catalog.pg_dist_node SET nodename = {}, nodeport = {} WHERE nodeid = {row};",
            escape_literal(&address.host),
            address.port
        ));
    }
    statements.push_str(
        "UPDATE pg_catalog.pg_dist_node SET metadatasynced = false WHERE hasmetadata AND groupid > 0;",
    );
    statements.push_str(&request.pool_statements());
    statements.push_str("COMMIT");
    let changed = coordinator.run(ATTEMPT_DEADLINE, "change the address of a node", &statements).await;
    if changed.is_err() {
        coordinator.roll_back().await?;
    }
    changed
}

/// Another attempt may get the locks.
fn is_lock_missing(error: &PostgresError) -> bool {
    let reasons = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED];
    error.sqlstate().is_some_and(|code| reasons.contains(code))
}
