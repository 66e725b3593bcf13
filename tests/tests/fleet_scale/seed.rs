//! Scripts in a store as a build before this one would have left them: sources without bytecode.

use std::collections::BTreeMap;
use std::sync::Arc;

use actors::storage::{
    AuditEntry, Claimed, Commit, Committed, ContentHash, ContentKind, CqlConfig, DeployId, Revision, Scylla,
    Store,
};
use actors::who::Who;
use futures_util::{StreamExt, stream};
use quotas::scope::RevisionNumber;
use runtime::bundle::Bundle;

/// The team of all of them.
const TEAM: &str = "seed";
/// How many are written at once.
const AT_ONCE: usize = 16;

/// Stores so many scripts `seed/s0`, `seed/s1`, … with one endpoint each. The first does not compile.
pub async fn seed(store: &str, scripts: usize) {
    let mut config: CqlConfig = store.parse().expect("a store's address");
    config.timeout = std::time::Duration::from_secs(20);
    let store = Scylla::connect(config).await.expect("the store is there");
    let store: Arc<dyn Store> = Arc::new(store);
    stream::iter(0..scripts).for_each_concurrent(AT_ONCE, |number| one(Arc::clone(&store), number)).await;
}

async fn one(store: Arc<dyn Store>, number: usize) {
    let name = format!("{TEAM}/s{number}");
    let main = match number {
        0 => "pub fn main(request) { this does not compile }".to_owned(),
        _ => format!("pub fn main(request) {{ `script {number}` }}"),
    };
    let manifest = format!(
        "team = \"{TEAM}\"\nscript = \"s{number}\"\n[[endpoint]]\npath = \"/{name}\"\nhandler = \"main::main\"\n"
    );
    let files = [("callboard.toml", manifest), ("main.rn", main)];
    let files: BTreeMap<_, _> =
        files.into_iter().map(|(path, text)| (path.parse().unwrap(), text.into_bytes().into())).collect();
    let bundle = Bundle::from_files(files).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    let hash = ContentHash(*bundle.hash().as_bytes());
    store.put_content(&ContentKind::Bundle, hash, bundle.to_archive().into()).await.unwrap();
    let script = name.parse().unwrap();
    let routes = [format!("GET /{name}")];
    assert_eq!(store.claim_routes(&script, &routes).await, Ok(Claimed::All));
    let audit: AuditEntry = Who::node("seed").entry("revision.deploy", format!("revision:{name}@1"), None);
    let first = RevisionNumber::first();
    let revision = Revision {
        number: first,
        bundle: hash,
        message: String::new(),
        tag: None,
        by: "seed".to_owned(),
        at_ms: audit.at_ms,
        idempotency_key: None,
        request_hash: None,
        endpoints: vec!["main".to_owned()],
    };
    let commit = Commit {
        script,
        expected_seq: 0,
        deploy: DeployId::new_v4(),
        active: Some(first),
        revision: Some(revision),
        deleted: false,
        audit,
    };
    assert!(matches!(store.commit(&commit).await, Ok(Committed::Applied(_))));
}
