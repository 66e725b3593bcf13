//! The tables, and how a keyspace gets them.
//!
//! Invariant: steps are only ever added; each may be run again; the version is written after its step.
//! No secondary indexes, no views: both databases have them, neither does them alike.
//! Not here: rows (`rows`).

use std::time::Duration;

use ::scylla::client::session::Session;
use ::scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use ::scylla::statement::unprepared::Statement;

use super::config::CqlConfig;
use super::found::Found;
use super::link;
use crate::error::StoreError;

/// The steps, in order, with `KS.` for the keyspace; a keyspace's version is how many it has had.
const STEPS: [&[&str]; 4] = [
    &[
        // A script is one partition: its head beside its steps and revisions, so that one conditional batch moves all.
        "CREATE TABLE IF NOT EXISTS KS.scripts (script text, kind text, number bigint, seq bigint static, \
     active bigint static, latest bigint static, deploy uuid static, deleted boolean static, body blob, \
     PRIMARY KEY (script, kind, number)) WITH CLUSTERING ORDER BY (kind ASC, number DESC)",
        "CREATE TABLE IF NOT EXISTS KS.bundles (hash blob, sum blob, size int, body blob, PRIMARY KEY (hash))",
        "CREATE TABLE IF NOT EXISTS KS.units (hash blob, fingerprint text, sum blob, size int, body blob, \
     PRIMARY KEY ((hash, fingerprint)))",
        // The parts of what is too large for one row, under the checksum of the whole: writers cannot mix.
        "CREATE TABLE IF NOT EXISTS KS.parts (sum blob, part int, body blob, PRIMARY KEY ((sum, part)))",
        "CREATE TABLE IF NOT EXISTS KS.routes (pattern text PRIMARY KEY, script text)",
        "CREATE TABLE IF NOT EXISTS KS.switches (id text PRIMARY KEY, stamp uuid, body blob, audit blob)",
        "CREATE TABLE IF NOT EXISTS KS.tokens (id text PRIMARY KEY, stamp uuid, body blob, audit blob)",
        "CREATE TABLE IF NOT EXISTS KS.audit_feed (day bigint, at bigint, id text, body blob, \
     PRIMARY KEY (day, at, id)) WITH CLUSTERING ORDER BY (at DESC, id DESC)",
        // Everything here expires, a window of tables at a time.
        "CREATE TABLE IF NOT EXISTS KS.changes (bucket bigint, at bigint, id uuid, kind text, subject text, seq bigint, \
     PRIMARY KEY (bucket, at, id)) WITH default_time_to_live = 3600 AND gc_grace_seconds = 3600 AND compaction = \
     {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'MINUTES', 'compaction_window_size': 10}",
    ],
    &[
        // All nodes are one small partition; a node that is silent expires.
        "CREATE TABLE IF NOT EXISTS KS.nodes (fleet text, name text, body blob, PRIMARY KEY (fleet, name)) WITH \
     gc_grace_seconds = 3600",
        "CREATE TABLE IF NOT EXISTS KS.leases (hash blob, fingerprint text, node text, \
     PRIMARY KEY ((hash, fingerprint))) WITH gc_grace_seconds = 3600",
    ],
    &["CREATE TABLE IF NOT EXISTS KS.quotas (id text PRIMARY KEY, stamp uuid, body blob, audit blob)"],
    &[
        // A replica that does not answer is found out by the one that asked it, which asks another one then: after what
        // 99 of a hundred reads take, if nobody says otherwise. With few reads that is half of the databases' own
        // time-out, and with some that met a dead node all of it: longer than a server waits, until the dead one is
        // known to be dead.
        "ALTER TABLE KS.scripts WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.bundles WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.units WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.parts WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.routes WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.switches WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.tokens WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.audit_feed WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.changes WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.nodes WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.leases WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.quotas WITH speculative_retry = '200ms'",
        "ALTER TABLE KS.schema_version WITH speculative_retry = '200ms'",
    ],
];

/// The newest version that this program knows.
const WANTED: u32 = STEPS.len() as u32;
/// The oldest program, by the version that it knows, that can work with a keyspace of this one's version. Raised
/// by a step that takes something away or changes what is there; the steps so far only add.
const OLDEST: u32 = 2;

/// A change of the schema waits for all nodes to agree.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn migrate(config: &CqlConfig) -> Result<(), StoreError> {
    let session = link::session(config).await?;
    let keyspace = &config.keyspace;
    let mut found = version(&session, config, "schema").await?;
    if found == 0 {
        let tablets = match config.tablets {
            Some(enabled) => format!(" AND tablets = {{'enabled': {enabled}}}"),
            None => String::new(),
        };
        let replication = &config.replication;
        run(
            &session,
            config,
            format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}{tablets}"),
        )
        .await?;
        let table = "schema_version (id text PRIMARY KEY, version int)";
        run(&session, config, format!("CREATE TABLE IF NOT EXISTS {keyspace}.{table}")).await?;
    }
    refuse_old_tablets(&session, config).await?;
    if found > WANTED {
        return verify(&session, config).await;
    }
    // Before the steps: a program that cannot work with what they make has to stop connecting first.
    set(&session, config, "oldest", OLDEST).await?;
    for step in STEPS.iter().skip(found as usize) {
        for statement in *step {
            run(&session, config, statement.replacen("KS.", &format!("{keyspace}."), 1)).await?;
        }
        found += 1;
        set(&session, config, "schema", found).await?;
    }
    Ok(())
}

async fn set(session: &Session, config: &CqlConfig, id: &str, version: u32) -> Result<(), StoreError> {
    let keyspace = &config.keyspace;
    run(
        session,
        config,
        format!("INSERT INTO {keyspace}.schema_version (id, version) VALUES ('{id}', {version})"),
    )
    .await
}

/// Refuses a keyspace that this program cannot use as it is. A newer one is taken if whoever made it says that
/// this program's version still can.
pub(super) async fn verify(session: &Session, config: &CqlConfig) -> Result<(), StoreError> {
    let found = version(session, config, "schema").await?;
    let fits = match found {
        WANTED => true,
        _ if found > WANTED => (1..=WANTED).contains(&version(session, config, "oldest").await?),
        _ => false,
    };
    if fits { Ok(()) } else { Err(StoreError::Schema { found, wanted: WANTED }) }
}

/// ScyllaDB has no conditional writes on tablets before 2025.4, and says so only when the first one is sent.
async fn refuse_old_tablets(session: &Session, config: &CqlConfig) -> Result<(), StoreError> {
    let keyspace = &config.keyspace;
    let one = async |table: &str, statement: String| {
        let (space, name) = table.split_once('.').unwrap_or_default();
        if !has_table(session, space, name).await? {
            return Ok(None);
        }
        let answer = session.query_unpaged(Statement::new(statement), ()).await;
        Found::of(answer.map_err(StoreError::unavailable)?).map(Some)
    };
    let version = "SELECT version FROM system.versions WHERE key = 'local'".to_owned();
    let Some(version) = one("system.versions", version).await? else { return Ok(()) };
    let tablets = format!(
        "SELECT initial_tablets FROM system_schema.scylla_keyspaces WHERE keyspace_name = '{keyspace}'"
    );
    let tablets = one("system_schema.scylla_keyspaces", tablets).await?;
    let has_tablets =
        tablets.is_some_and(|found| found.first().and_then(|line| line.small("initial_tablets")).is_some());
    let version = version.first().and_then(|line| line.text("version")).unwrap_or_default();
    if has_tablets && !has_transactions_on_tablets(version) {
        return Err(StoreError::invalid(format_args!(
            "the keyspace `{keyspace}` uses tablets, on which ScyllaDB {version} has no conditional writes: \
             make it without them (`store.tablets = \"off\"` before `store migrate`), or use 2025.4 or later"
        )));
    }
    Ok(())
}

/// Whether this version of ScyllaDB has conditional writes on tablets. Versions before the years have no tablets.
fn has_transactions_on_tablets(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '~']).map(|part| part.parse().unwrap_or(0));
    let (year, release): (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (year, release) >= (2025, 4)
}

async fn has_table(session: &Session, keyspace: &str, table: &str) -> Result<bool, StoreError> {
    let about = Statement::new(format!(
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{keyspace}' AND table_name = \
         '{table}'"
    ));
    let tables = session.query_unpaged(about, ()).await.map_err(StoreError::unavailable)?;
    Ok(Found::of(tables)?.first().is_some())
}

/// A version that the keyspace keeps; zero when it was never set up.
async fn version(session: &Session, config: &CqlConfig, id: &str) -> Result<u32, StoreError> {
    let keyspace = &config.keyspace;
    if !has_table(session, keyspace, "schema_version").await? {
        return Ok(0);
    }
    let mut version =
        Statement::new(format!("SELECT version FROM {keyspace}.schema_version WHERE id = '{id}'"));
    version.set_consistency(config.plain());
    let version = session.query_unpaged(version, ()).await.map_err(|error| failed(config, &error))?;
    let found = Found::of(version)?;
    Ok(found
        .first()
        .and_then(|row| row.small("version"))
        .and_then(|version| version.try_into().ok())
        .unwrap_or(0))
}

async fn run(session: &Session, config: &CqlConfig, statement: String) -> Result<(), StoreError> {
    let mut statement = Statement::new(statement);
    statement.set_request_timeout(Some(STEP_TIMEOUT));
    session.query_unpaged(statement, ()).await.map_err(|error| failed(config, &error))?;
    Ok(())
}

/// A keyspace with more copies than the cluster has nodes answers nothing, and the database says that nodes are down,
/// which sends an operator to look for them.
fn failed(config: &CqlConfig, error: &ExecutionError) -> StoreError {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::Unavailable { required, alive, .. },
            _,
        )) => {
            let keyspace = &config.keyspace;
            StoreError::invalid(format_args!(
                "keyspace `{keyspace}` needs {required} of its copies for this, and {alive} can be reached: start the \
                 nodes that are missing, or, if there never were as many, let it keep fewer with ALTER KEYSPACE \
                 {keyspace} WITH replication = …"
            ))
        }
        error => StoreError::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditional_writes_on_tablets_came_with_2025_4() {
        for (version, has) in [
            ("2025.4.0-0.20251124", true),
            ("2026.1.0~rc1", true),
            ("2025.3.9-0.2025", false),
            ("2024.2.1", false),
            ("6.2.0", false),
            ("", false),
        ] {
            assert_eq!(has_transactions_on_tablets(version), has, "{version}");
        }
    }
}
