//! The tree keeps its arrows: which crate may use which, read from what cargo says.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The arrows of the house. Whoever adds one changes the map in the README, too.
const ARROWS: &[(&str, &[&str])] = &[
    ("quotas", &[]),
    ("api", &[]),
    ("console", &["api"]),
    ("runtime", &["quotas"]),
    ("actors", &["runtime", "quotas"]),
    ("server", &["actors", "runtime", "quotas", "api", "console"]),
    ("tests", &["server", "actors", "runtime", "quotas", "api"]),
    ("loadtest", &["quotas", "api", "console"]),
];

#[test]
fn no_crate_uses_another_against_the_arrows() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo tells of the workspace");
    let rooms: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    assert_eq!(rooms, allowed.keys().map(|name| (*name).to_owned()).collect(), "every room has its arrows");
    for package in &metadata.packages {
        let arrows = allowed[package.name.as_str()];
        for dependency in &package.dependencies {
            let ours = rooms.contains(&dependency.name) && dependency.kind != DependencyKind::Build;
            assert!(
                !ours || arrows.contains(&dependency.name.as_str()),
                "{} must not use {}",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn a_crate_does_not_know_what_it_must_not_know() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo tells of the workspace");
    let never: &[(&str, &[&str])] = &[
        ("quotas", &["actix", "actix-web", "rune", "tokio", "serde", "serde_json"]),
        ("runtime", &["actix", "actix-web", "redb", "scylla"]),
        ("actors", &["actix-web", "actix-http", "api"]),
        ("console", &["actix", "actix-web", "actors", "tokio"]),
        ("loadtest", &["server", "actors", "runtime"]),
    ];
    for (name, banned) in never {
        let package =
            metadata.packages.iter().find(|package| package.name.as_str() == *name).expect("a room");
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            assert!(!banned.contains(&dependency.name.as_str()), "{name} must not know {}", dependency.name);
        }
    }
}
