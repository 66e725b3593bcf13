//! A fleet of three: servers on one store that know each other.

use std::process::Command;

use crate::cassandra::Cassandra;
use crate::server::{Options, Server};

/// Three servers of this program, called one, two and three, on a keyspace of their own, each with these settings.
///
/// # Panics
/// The keyspace could not be made, or a server not be started.
pub fn three(program: &str, cassandra: &Cassandra, settings: &[&str]) -> Vec<Server> {
    let store = format!("cql://{}/{}", cassandra.address(), cassandra.fresh_keyspace());
    let key = ("CALLBOARD_SIGNING_KEY".to_owned(), "5a".repeat(32));
    let migrate = ["store", "migrate", "--store", &store, "--set", "store.timeout=20s"];
    let migrated = Command::new(program).args(migrate).env(&key.0, &key.1).output().unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let server = |name: &str| {
        let name = format!("node.name={name}");
        let settings = settings.iter().copied().chain([&*name]).flat_map(|setting| ["--set", setting]);
        let arguments = ["--store", &store].into_iter().chain(settings).map(str::to_owned).collect();
        let options = Options { arguments, environment: vec![key.clone()], ..Options::default() };
        Server::start_with(program, options)
    };
    ["one", "two", "three"].map(server).into()
}
