//! Where the cluster is and how it is asked.
//!
//! Invariant: every wait has a bound; the keyspace is a plain name, so it may stand in a statement as it is.
//! Not here: where the numbers come from (file, environment, flags).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ::scylla::frame::types::{Consistency, SerialConsistency};

use crate::error::StoreError;

/// The port that CQL is spoken on by default.
const PORT: u16 = 9042;

/// Where the cluster is and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CqlConfig {
    /// Some of the nodes, as `host:port`; the driver finds the others.
    pub hosts: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// The keyspace's replication, as CQL map text, when `migrate` makes it.
    pub replication: String,
    /// Whether the keyspace uses tablets, when `migrate` makes it. Only ScyllaDB knows the word: leave it out
    /// for Cassandra, and say false for a ScyllaDB before 2025.4.
    pub tablets: Option<bool>,
    /// How many replicas answer a plain read or write.
    pub consistency: CqlConsistency,
    /// Whether conditional writes are decided in one data centre (the local one) or among all.
    pub serial: CqlSerial,
    /// The data centre that is local: only its nodes are asked. Without it all nodes are, and whichever gets a
    /// request takes its own data centre for the local one.
    pub datacenter: Option<String>,
    /// The bound on one request.
    pub timeout: Duration,
    /// The bound on connecting; twice that beside nodes that are silent.
    pub connect_timeout: Duration,
}

/// How many replicas answer a plain read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CqlConsistency {
    /// A majority in the local data centre.
    LocalQuorum,
    /// A majority of all.
    Quorum,
}

/// Among whom a conditional write is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CqlSerial {
    /// In the local data centre: right when only one writes.
    LocalSerial,
    /// Among all data centres.
    Serial,
}

impl CqlConfig {
    /// A configuration with the default of everything else.
    pub fn new(hosts: Vec<String>, keyspace: &str) -> Result<Self, StoreError> {
        if hosts.is_empty() {
            return Err(wrong("it names no host"));
        }
        let first = keyspace.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !first || keyspace.len() > 48 || !keyspace.bytes().all(plain) {
            return Err(wrong("the keyspace has to be a small letter and up to 47 of a-z, 0-9 and `_`"));
        }
        Ok(Self {
            hosts,
            keyspace: keyspace.to_owned(),
            replication: "{'class': 'SimpleStrategy', 'replication_factor': 1}".to_owned(),
            tablets: None,
            consistency: CqlConsistency::LocalQuorum,
            serial: CqlSerial::Serial,
            datacenter: None,
            timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(5),
        })
    }

    pub(super) fn plain(&self) -> Consistency {
        match self.consistency {
            CqlConsistency::LocalQuorum => Consistency::LocalQuorum,
            CqlConsistency::Quorum => Consistency::Quorum,
        }
    }

    pub(super) fn conditional(&self) -> SerialConsistency {
        match self.serial {
            CqlSerial::LocalSerial => SerialConsistency::LocalSerial,
            CqlSerial::Serial => SerialConsistency::Serial,
        }
    }

    /// The consistency of a read that finishes what is being decided.
    pub(super) fn deciding(&self) -> Consistency {
        match self.serial {
            CqlSerial::LocalSerial => Consistency::LocalSerial,
            CqlSerial::Serial => Consistency::Serial,
        }
    }
}

/// Prints `cql://host:port,host:port/keyspace`.
impl fmt::Display for CqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cql://{}/{}", self.hosts.join(","), self.keyspace)
    }
}

/// Reads `cql://host,host:port/keyspace`.
impl FromStr for CqlConfig {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("cql://").ok_or_else(|| wrong("it has to begin with `cql://`"))?;
        let (hosts, keyspace) = rest.split_once('/').ok_or_else(|| wrong("it names no keyspace"))?;
        let hosts = hosts.split(',').map(host).collect::<Result<_, _>>()?;
        Self::new(hosts, keyspace)
    }
}

/// A host with its port.
fn host(text: &str) -> Result<String, StoreError> {
    // A colon inside brackets belongs to an address of the sixth version, not to a port.
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (text, None),
    };
    let bare = name.contains(':') && !(name.starts_with('[') && name.ends_with(']'));
    if name.is_empty() || bare || name.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'@') {
        return Err(wrong(
            "a host has to be a name or an address, with `[` and `]` around one that has colons",
        ));
    }
    match port {
        Some(port) => match port.parse::<u16>() {
            Ok(1..) => Ok(text.to_owned()),
            _ => Err(wrong("a port has to be a number from 1 to 65535")),
        },
        None => Ok(format!("{name}:{PORT}")),
    }
}

fn wrong(problem: &str) -> StoreError {
    StoreError::invalid(format_args!(
        "that is not a store's address: {problem}; write it like `cql://10.0.0.1,10.0.0.2:9042/callboard`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_hosts_and_a_keyspace() {
        fn check(text: &str, printed: &str) {
            assert_eq!(text.parse::<CqlConfig>().unwrap().to_string(), printed);
        }
        check("cql://a/k", "cql://a:9042/k");
        check("cql://a,b:1,10.0.0.1/call_board", "cql://a:9042,b:1,10.0.0.1:9042/call_board");
        check("cql://[::1],[::2]:9/k", "cql://[::1]:9042,[::2]:9/k");
    }

    #[test]
    fn a_wrong_address_is_refused_with_an_example() {
        for text in [
            "",
            "a/k",
            "cql://a",
            "cql:///k",
            "cql://a,/k",
            "cql://a/",
            "cql://a/K",
            "cql://a/k;drop",
            "cql://a:0/k",
            "cql://a:b/k",
            "cql://::1/k",
            "cql://u@a/k",
            "cql://a/k/l",
        ] {
            let error = text.parse::<CqlConfig>().unwrap_err();
            assert!(error.to_string().contains("write it like `cql://"), "{text}: {error}");
        }
    }
}
