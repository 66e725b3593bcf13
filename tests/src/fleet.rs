//! Fleets: servers on one store that know each other.

use std::process::Command;

use crate::cassandra::Cassandra;
use crate::server::{Options, Server};

/// The signing key of a fleet.
pub const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Starts a server of this program on a shared store, with a signing key, a name and more settings.
///
/// # Panics
/// It does not serve in time.
pub fn member(program: &str, store: &str, key: &str, name: &str, settings: &[&str]) -> Server {
    let name = format!("node.name={name}");
    let settings = [&*name].into_iter().chain(settings.iter().copied());
    let settings = settings.flat_map(|setting| ["--set", setting]);
    let arguments = ["--store", store].into_iter().chain(settings).map(str::to_owned).collect();
    let environment = vec![("CALLBOARD_SIGNING_KEY".to_owned(), key.to_owned())];
    Server::start_with(program, Options { arguments, environment, ..Options::default() })
}

/// Three servers of this program, called one, two and three, on a keyspace of their own, each with these settings.
///
/// # Panics
/// The keyspace could not be made, or a server not be started.
pub fn three(program: &str, cassandra: &Cassandra, settings: &[&str]) -> Vec<Server> {
    let store = format!("cql://{}/{}", cassandra.address(), cassandra.fresh_keyspace());
    let migrate = ["store", "migrate", "--store", &store, "--set", "store.timeout=20s"];
    let migrated = Command::new(program).args(migrate).env("CALLBOARD_SIGNING_KEY", KEY).output().unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    ["one", "two", "three"].map(|name| member(program, &store, KEY, name, settings)).into()
}
