//! A store to run a check on, of either kind, with nothing in it.

use std::sync::Arc;
use std::time::Duration;

use actors::storage::{CqlConfig, Embedded, Scylla, Store};
use tests::cassandra::Cassandra;

/// Where a check finds its store.
pub enum Bench {
    Directory(tempfile::TempDir),
    Keyspace(CqlConfig),
}

impl Bench {
    /// Runs a check on an embedded store.
    pub fn embedded<F: Future<Output = ()>>(check: impl FnOnce(Self) -> F) {
        run(check(Self::Directory(tempfile::tempdir().unwrap())));
    }

    /// Runs a check on a keyspace of its own, where there is a Cassandra.
    pub fn cql<F: Future<Output = ()>>(check: impl FnOnce(Self) -> F) {
        let Some(cassandra) = Cassandra::shared() else { return };
        let config = fresh(cassandra);
        run(async {
            Scylla::migrate(&config).await.unwrap();
            check(Self::Keyspace(config.clone())).await;
            if cassandra.is_given() {
                let session = raw(&config).await;
                session.query_unpaged(format!("DROP KEYSPACE {}", config.keyspace), ()).await.unwrap();
            }
        });
    }

    /// Opens the store. An embedded one has to be dropped before it is opened again.
    pub async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Directory(directory) => Arc::new(Embedded::open(directory.path()).await.unwrap()),
            Self::Keyspace(config) => Arc::new(Scylla::connect(config.clone()).await.unwrap()),
        }
    }

    /// Opens the store as two nodes would, if it is one for several.
    pub async fn open_two(&self) -> (Arc<dyn Store>, Arc<dyn Store>) {
        let one = self.open().await;
        let two = match self {
            Self::Directory(_) => Arc::clone(&one),
            Self::Keyspace(_) => self.open().await,
        };
        (one, two)
    }
}

/// The configuration of a keyspace that does not exist yet. Machines that test are slow at times.
pub fn fresh(cassandra: &Cassandra) -> CqlConfig {
    let mut config =
        CqlConfig::new(vec![cassandra.address().to_owned()], &cassandra.fresh_keyspace()).unwrap();
    config.timeout = Duration::from_secs(5);
    config.connect_timeout = Duration::from_secs(15);
    config
}

/// A session of the driver's, to do what no store does.
pub async fn raw(config: &CqlConfig) -> scylla::client::session::Session {
    scylla::client::session_builder::SessionBuilder::new().known_nodes(&config.hosts).build().await.unwrap()
}

/// Runs a check to its end.
pub fn run(check: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(check);
}

/// Asks until there is an answer, for up to half a minute.
pub async fn within<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < until, "{what}: not within 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
