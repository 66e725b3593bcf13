//! The tables, and how a keyspace gets them.
//!
//! Invariant: steps are only ever added; each may be run again; the version is written after its step.
//! No secondary indexes, no views: both databases have them, neither does them alike.
//! Not here: rows (`rows`).

use std::time::Duration;

use ::scylla::client::session::Session;
use ::scylla::statement::unprepared::Statement;

use super::config::CqlConfig;
use super::found::Found;
use super::link;
use crate::error::StoreError;

/// The steps, in order; a keyspace's version is how many it has had.
const STEPS: [&[&str]; 1] = [&[
    // A script is one partition: its head beside its steps and revisions, so that one conditional batch moves all.
    "CREATE TABLE IF NOT EXISTS scripts (script text, kind text, number bigint, seq bigint static, \
     active bigint static, latest bigint static, deploy uuid static, deleted boolean static, body blob, \
     PRIMARY KEY (script, kind, number)) WITH CLUSTERING ORDER BY (kind ASC, number DESC)",
    "CREATE TABLE IF NOT EXISTS bundles (hash blob, sum blob, size int, body blob, PRIMARY KEY (hash))",
    "CREATE TABLE IF NOT EXISTS units (hash blob, fingerprint text, sum blob, size int, body blob, \
     PRIMARY KEY ((hash, fingerprint)))",
    // The parts of what is too large for one row, under the checksum of the whole: writers cannot mix.
    "CREATE TABLE IF NOT EXISTS parts (sum blob, part int, body blob, PRIMARY KEY ((sum, part)))",
    "CREATE TABLE IF NOT EXISTS routes (pattern text PRIMARY KEY, script text)",
    "CREATE TABLE IF NOT EXISTS switches (id text PRIMARY KEY, stamp uuid, body blob, audit blob)",
    "CREATE TABLE IF NOT EXISTS tokens (id text PRIMARY KEY, stamp uuid, body blob, audit blob)",
    "CREATE TABLE IF NOT EXISTS audit_feed (day bigint, at bigint, id text, body blob, \
     PRIMARY KEY (day, at, id)) WITH CLUSTERING ORDER BY (at DESC, id DESC)",
    // Everything here expires, a window of tables at a time.
    "CREATE TABLE IF NOT EXISTS changes (bucket bigint, at bigint, id uuid, kind text, subject text, seq bigint, \
     PRIMARY KEY (bucket, at, id)) WITH default_time_to_live = 3600 AND gc_grace_seconds = 3600 AND compaction = \
     {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'MINUTES', 'compaction_window_size': 10}",
]];

/// The newest version that this program knows.
const WANTED: u32 = STEPS.len() as u32;

/// A change of the schema waits for all nodes to agree.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn migrate(config: &CqlConfig) -> Result<(), StoreError> {
    let session = link::session(config).await?;
    let keyspace = &config.keyspace;
    let mut found = version(&session, config).await?;
    if found == 0 {
        let tablets = match config.tablets {
            Some(enabled) => format!(" AND tablets = {{'enabled': {enabled}}}"),
            None => String::new(),
        };
        let replication = &config.replication;
        run(
            &session,
            format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}{tablets}"),
        )
        .await?;
        let table = "schema_version (id text PRIMARY KEY, version int)";
        run(&session, format!("CREATE TABLE IF NOT EXISTS {keyspace}.{table}")).await?;
    }
    check(found, true)?;
    for step in STEPS.iter().skip(found as usize) {
        for statement in *step {
            let statement = statement.replacen("IF NOT EXISTS ", &format!("IF NOT EXISTS {keyspace}."), 1);
            run(&session, statement).await?;
        }
        found += 1;
        run(
            &session,
            format!("INSERT INTO {keyspace}.schema_version (id, version) VALUES ('schema', {found})"),
        )
        .await?;
    }
    Ok(())
}

/// Refuses a keyspace that this program cannot use as it is.
pub(super) async fn verify(session: &Session, config: &CqlConfig) -> Result<(), StoreError> {
    check(version(session, config).await?, false)
}

fn check(found: u32, older_too: bool) -> Result<(), StoreError> {
    match found {
        WANTED => Ok(()),
        _ if found < WANTED && older_too => Ok(()),
        _ => Err(StoreError::Schema { found, wanted: WANTED }),
    }
}

/// The keyspace's version; zero when it was never set up.
async fn version(session: &Session, config: &CqlConfig) -> Result<u32, StoreError> {
    let keyspace = &config.keyspace;
    let about = Statement::new(format!(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}' AND table_name = \
         'schema_version'"
    ));
    let tables = session.query_unpaged(about, ()).await.map_err(StoreError::unavailable)?;
    if Found::of(tables)?.first().is_none() {
        return Ok(0);
    }
    let mut version =
        Statement::new(format!("SELECT version FROM {keyspace}.schema_version WHERE id = 'schema'"));
    version.set_consistency(config.plain());
    let version = session.query_unpaged(version, ()).await.map_err(StoreError::unavailable)?;
    let found = Found::of(version)?;
    Ok(found
        .first()
        .and_then(|row| row.small("version"))
        .and_then(|version| version.try_into().ok())
        .unwrap_or(0))
}

async fn run(session: &Session, statement: String) -> Result<(), StoreError> {
    let mut statement = Statement::new(statement);
    statement.set_request_timeout(Some(STEP_TIMEOUT));
    session.query_unpaged(statement, ()).await.map_err(StoreError::unavailable)?;
    Ok(())
}
