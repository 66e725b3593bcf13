//! The connection: a session of the driver with its prepared statements, made anew when it was lost.
//!
//! Invariant: no request is repeated by the driver, none is sent twice at once, none waits without a bound, and
//! the server sets the timestamps.
//! Not here: what is asked (`asks`), how an answer is read (`found`).

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::scylla::client::execution_profile::ExecutionProfile;
use ::scylla::client::session::Session;
use ::scylla::client::session_builder::SessionBuilder;
use ::scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use ::scylla::policies::host_filter::DcHostFilter;
use ::scylla::policies::load_balancing::DefaultPolicy;
use ::scylla::policies::retry::FallthroughRetryPolicy;
use ::scylla::response::PagingState;
use ::scylla::serialize::row::SerializeRow;
use ::scylla::statement::batch::{Batch, BatchType};
use ::scylla::statement::prepared::PreparedStatement;
use ::scylla::value::CqlValue;
use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;

use super::asks::{ASKS, Ask, How};
use super::config::CqlConfig;
use super::found::{Found, Line};
use super::schema;
use crate::error::StoreError;

/// How long to wait between two attempts to reach a cluster that was lost. The driver's own attempts grow to
/// ten seconds apart.
const REVIVE: Duration = Duration::from_millis(500);

/// How often an idle connection is tried. A node whose answer takes longer than a request may take is gone: its
/// connections end, and others are asked. That bounds the driver's greeting of a node that hangs, too.
const ALIVE: Duration = Duration::from_millis(500);

const PAGE: i32 = 500;

/// The link in use, replaced when the cluster was lost and is back.
#[derive(Clone)]
pub(super) struct Links(Arc<Shared>);

struct Shared {
    config: CqlConfig,
    /// Nothing until the cluster was reached for the first time.
    link: ArcSwapOption<Link>,
    reviving: AtomicBool,
    runtime: Handle,
}

/// One session and its statements.
pub(super) struct Link {
    session: Session,
    prepared: HashMap<Ask, PreparedStatement>,
    batch: Batch,
    shared: Weak<Shared>,
}

/// Connects without looking at the keyspace.
pub(super) async fn session(config: &CqlConfig) -> Result<Session, StoreError> {
    let mut nearest = DefaultPolicy::builder();
    if let Some(datacenter) = &config.datacenter {
        nearest = nearest.prefer_datacenter(datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .load_balancing_policy(nearest.build())
        .request_timeout(Some(config.timeout))
        .consistency(config.plain())
        .serial_consistency(Some(config.conditional()))
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .speculative_execution_policy(None)
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.hosts)
        .default_execution_profile_handle(profile.into_handle())
        .connection_timeout(config.connect_timeout / 2)
        .keyspaces_to_fetch([&config.keyspace])
        .schema_agreement_interval(Duration::from_millis(20))
        .refresh_metadata_on_auto_schema_agreement(false)
        .keepalive_interval(ALIVE)
        .keepalive_timeout(config.timeout);
    if let Some(datacenter) = &config.datacenter {
        builder = builder.host_filter(Arc::new(DcHostFilter::new(datacenter.clone())));
    }
    // A session of the driver is a large future; it is made once in a while.
    // The driver waits for an outcome from every node: one that is silent must not use up the time of all.
    let bound = config.connect_timeout * 2;
    let built = tokio::time::timeout(bound, Box::pin(builder.build())).await;
    let late = |_| StoreError::unavailable(format_args!("no connection within {bound:?}"));
    let session = built.map_err(late)?.map_err(StoreError::unavailable)?;
    has_datacenter(&session, config)?;
    Ok(session)
}

/// Refuses a data centre that the cluster does not have: no node would ever be asked.
fn has_datacenter(session: &Session, config: &CqlConfig) -> Result<(), StoreError> {
    let Some(wanted) = &config.datacenter else { return Ok(()) };
    let nodes = session.get_cluster_state();
    let all: BTreeSet<_> =
        nodes.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
    if all.contains(wanted.as_str()) {
        return Ok(());
    }
    let all = Vec::from_iter(all).join(", ");
    Err(StoreError::invalid(format_args!(
        "no node of {config} is in the data centre `{wanted}`, but in {all}"
    )))
}

impl Links {
    /// Links that have a connection.
    pub(super) async fn open(config: CqlConfig) -> Result<Self, StoreError> {
        let link = Link::open(&config).await?;
        Ok(Self::of(config, Some(link)))
    }

    /// Links that look for one in the background.
    pub(super) fn open_later(config: CqlConfig) -> Self {
        let links = Self::of(config, None);
        Arc::clone(&links.0).revive();
        links
    }

    fn of(config: CqlConfig, link: Option<Link>) -> Self {
        Self(Arc::new_cyclic(|shared| Shared {
            config,
            link: ArcSwapOption::from_pointee(link.map(|link| Link { shared: shared.clone(), ..link })),
            reviving: AtomicBool::new(false),
            runtime: Handle::current(),
        }))
    }

    pub(super) fn now(&self) -> Result<Arc<Link>, StoreError> {
        self.0.link.load_full().ok_or_else(|| StoreError::unavailable("it was not reached yet"))
    }
}

impl Shared {
    /// Tries in the background to reach the cluster, by the old session or a new one, as long as the store lives.
    fn revive(self: Arc<Self>) {
        if self.reviving.swap(true, Ordering::AcqRel) {
            return;
        }
        let weak = Arc::downgrade(&self);
        self.runtime.spawn(async move {
            while let Some(shared) = weak.upgrade() {
                let nodes = shared.link.load().as_ref().map(|link| link.session.get_cluster_state());
                if nodes.is_some_and(|nodes| nodes.get_nodes_info().iter().any(|node| node.is_connected())) {
                    break;
                }
                match Link::open(&shared.config).await {
                    Ok(link) => {
                        shared.link.store(Some(Arc::new(Link { shared: weak.clone(), ..link })));
                        tracing::info!(store = %shared.config, "the store is back");
                        break;
                    }
                    Err(error) => tracing::debug!(%error, "the store is still away"),
                }
                drop(shared);
                tokio::time::sleep(REVIVE).await;
            }
            if let Some(shared) = weak.upgrade() {
                shared.reviving.store(false, Ordering::Release);
            }
        });
    }
}

impl Link {
    async fn open(config: &CqlConfig) -> Result<Self, StoreError> {
        let open = async {
            let session = session(config).await?;
            schema::verify(&session, config).await?;
            let mut prepared = HashMap::with_capacity(ASKS.len());
            for (ask, how, text) in ASKS {
                let text = text.replacen("KS.", &format!("{}.", config.keyspace), 1);
                let mut statement = session.prepare(text).await.map_err(StoreError::unavailable)?;
                statement.set_page_size(PAGE);
                statement.set_is_idempotent(*how != How::Conditional);
                if *how == How::Deciding {
                    statement.set_consistency(config.deciding());
                }
                prepared.insert(*ask, statement);
            }
            let mut batch = Batch::new(BatchType::Unlogged);
            batch.set_is_idempotent(false);
            Ok(Self { session, prepared, batch, shared: Weak::new() })
        };
        // Twice the time to connect, once to look around.
        match tokio::time::timeout(config.connect_timeout * 3, Box::pin(open)).await {
            Ok(opened) => opened,
            Err(_) => Err(StoreError::unavailable("it is too slow to set up a connection")),
        }
    }

    fn statement(&self, ask: Ask) -> &PreparedStatement {
        &self.prepared[&ask]
    }

    /// Sends one statement and gives all of its rows.
    pub(super) async fn ask(&self, ask: Ask, values: impl SerializeRow) -> Result<Found, StoreError> {
        let statement = self.statement(ask);
        let mut answer = self.session.execute_unpaged(statement, &values).await;
        if statement.get_is_idempotent() && answer.as_ref().is_err_and(lost_its_turn) {
            answer = self.session.execute_unpaged(statement, &values).await;
        }
        Found::of(answer.map_err(|error| self.lost(error))?)
    }

    /// Sends one statement page by page.
    pub(super) async fn ask_paged(
        &self,
        ask: Ask,
        mut each: impl FnMut(Line<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut at = PagingState::start();
        loop {
            let answer = self.session.execute_single_page(self.statement(ask), (), at).await;
            let (page, next) = answer.map_err(|error| self.lost(error))?;
            Found::of(page)?.lines().try_for_each(&mut each)?;
            match next.into_paging_control_flow() {
                std::ops::ControlFlow::Break(()) => return Ok(()),
                std::ops::ControlFlow::Continue(next) => at = next,
            }
        }
    }

    /// Sends several statements of one partition, the first of them conditional, as one step.
    pub(super) async fn step(
        &self,
        asks: &[Ask],
        values: Vec<Vec<Option<CqlValue>>>,
    ) -> Result<Found, StoreError> {
        let mut batch = self.batch.clone();
        for ask in asks {
            batch.append_statement(self.statement(*ask).clone());
        }
        let answer = self.session.batch(&batch, values).await;
        Found::of(answer.map_err(|error| self.lost(error))?)
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.ask(Ask::Version, ()).await.map(|_| ())
    }

    /// The error of a request. When it came from having no connection, the search for one begins.
    fn lost(&self, error: ExecutionError) -> StoreError {
        let gone = matches!(error, ExecutionError::ConnectionPoolError(_) | ExecutionError::EmptyPlan);
        if let Some(shared) = self.shared.upgrade().filter(|_| gone) {
            shared.revive();
        }
        StoreError::unavailable(error)
    }
}

/// Whether the store gave up reading in time. A serial read takes part in the rounds of those who write the same
/// partition, and may lose one after the other; it changed nothing, and is worth another try.
fn lost_its_turn(error: &ExecutionError) -> bool {
    let ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) = error else {
        return false;
    };
    matches!(error, DbError::ReadTimeout { .. })
}
