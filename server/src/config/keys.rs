//! The table of all keys: kind, default, bounds, and what each is for.
//!
//! Invariant: every default lies within its own bounds, and everything that limits something has a default.

use super::key::{Key, Kind, Preset};

const fn key(name: &'static str, kind: Kind, preset: &'static str, doc: &'static str) -> Key {
    Key { name, kind, preset: Preset::Text(preset), least: "", most: "", doc }
}

const fn bounded(
    name: &'static str,
    kind: Kind,
    preset: &'static str,
    [least, most]: [&'static str; 2],
    doc: &'static str,
) -> Key {
    Key { name, kind, preset: Preset::Text(preset), least, most, doc }
}

const fn count(name: &'static str, preset: &'static str, range: [&'static str; 2], doc: &'static str) -> Key {
    bounded(name, Kind::Count, preset, range, doc)
}

const fn bytes(name: &'static str, preset: &'static str, range: [&'static str; 2], doc: &'static str) -> Key {
    bounded(name, Kind::Bytes, preset, range, doc)
}

const fn time(name: &'static str, preset: &'static str, range: [&'static str; 2], doc: &'static str) -> Key {
    bounded(name, Kind::Time, preset, range, doc)
}

const fn rate(name: &'static str, preset: &'static str, doc: &'static str) -> Key {
    bounded(name, Kind::Rate, preset, ["1/s", "1_000_000/s"], doc)
}

const FUEL: [&str; 2] = ["1", "10_000_000_000"];
const MEMORY: [&str; 2] = ["64KiB", "1GiB"];
const DEADLINE: [&str; 2] = ["1ms", "60s"];
const BODY: [&str; 2] = ["1KiB", "64MiB"];
const CALLS: [&str; 2] = ["1", "100_000"];
const MOVED: [&str; 2] = ["1KiB", "1GiB"];
const BURST: [&str; 2] = ["1", "1_000_000"];
const FUEL_MINUTE: [&str; 2] = ["1", "100_000_000_000"];
const A_DAY: [&str; 2] = ["1", "100_000_000_000_000"];
const AT_ONCE: [&str; 2] = ["1", "100_000"];

/// Every key, section by section.
pub(super) const KEYS: &[Key] = &[
    key("device.address", Kind::Address, "127.0.0.1:8080", "Where devices call. Port 0 picks a free one."),
    key(
        "admin.address",
        Kind::Address,
        "127.0.0.1:8081",
        "Where people and tools call. Port 0 picks a free one.",
    ),
    key(
        "admin.allowed_hosts",
        Kind::Texts,
        "",
        "Names that the admin address answers for, besides addresses and localhost.",
    ),
    key(
        "admin.allow_plaintext",
        Kind::Flag,
        "false",
        "Whether the admin address may be public without TLS of its own.",
    ),
    key(
        "store.data",
        Kind::Text,
        "callboard-data",
        "The directory of the embedded store, the switch journal and the signing key.",
    ),
    key(
        "store.url",
        Kind::Text,
        "",
        "A shared store, `cql://host,host/keyspace`; nothing for the embedded one.",
    ),
    key(
        "store.replication",
        Kind::Text,
        "{'class': 'SimpleStrategy', 'replication_factor': 1}",
        "The replication of a keyspace that `store migrate` makes.",
    ),
    key(
        "store.tablets",
        Kind::Word(&["default", "on", "off"]),
        "default",
        "Whether ScyllaDB keeps that keyspace in tablets; off before 2025.4. Cassandra does not know the word.",
    ),
    key(
        "store.consistency",
        Kind::Word(&["local_quorum", "quorum"]),
        "local_quorum",
        "How many replicas answer a plain read or write.",
    ),
    key(
        "store.serial",
        Kind::Word(&["local_serial", "serial"]),
        "serial",
        "Among whom a conditional write is decided.",
    ),
    key(
        "store.datacenter",
        Kind::Text,
        "",
        "The data centre whose nodes this server talks to, which is local to it; all nodes when nothing is said.",
    ),
    time("store.timeout", "2s", ["10ms", "60s"], "The bound on one request to a shared store."),
    time(
        "store.connect_timeout",
        "5s",
        ["10ms", "60s"],
        "The bound on connecting to a shared store; twice that beside nodes that are silent.",
    ),
    // What an endpoint gets that asks for nothing.
    count("limits.fuel", "2_000_000", FUEL, "Work of a call."),
    bytes("limits.memory", "8MiB", MEMORY, "Memory that a call's script holds at one time."),
    time("limits.deadline", "300ms", DEADLINE, "Time of a call."),
    bytes("limits.response", "1MiB", BODY, "Size of an answer's body."),
    bytes("limits.body", "1MiB", BODY, "Size of a request's body."),
    count("limits.host_calls", "64", CALLS, "Calls to services and the like in one call."),
    bytes("limits.host_bytes", "8MiB", MOVED, "Bytes that those calls move."),
    rate("limits.rate", "500/s", "Calls in a second, in the long run."),
    count("limits.burst", "50", BURST, "Calls at once after a quiet time."),
    count("limits.concurrency", "64", AT_ONCE, "Calls alive at one time."),
    // The most that an endpoint can get.
    count("limits.ceiling.fuel", "50_000_000", FUEL, "The most fuel that a manifest can ask for."),
    bytes("limits.ceiling.memory", "16MiB", MEMORY, "The most memory."),
    time("limits.ceiling.deadline", "10s", DEADLINE, "The longest deadline."),
    bytes("limits.ceiling.response", "8MiB", BODY, "The largest answer."),
    bytes("limits.ceiling.body", "8MiB", BODY, "The largest request."),
    count("limits.ceiling.host_calls", "1_024", CALLS, "The most host calls."),
    bytes("limits.ceiling.host_bytes", "64MiB", MOVED, "The most bytes moved."),
    rate("limits.ceiling.rate", "50_000/s", "The highest rate."),
    count("limits.ceiling.burst", "50_000", BURST, "The largest burst."),
    count("limits.ceiling.concurrency", "1_024", AT_ONCE, "The most calls alive at one time."),
    rate("limits.team.rate", "2_000/s", "Calls in a second of all endpoints of a team."),
    count("limits.team.burst", "200", BURST, "Calls at once of a team after a quiet time."),
    count("limits.team.concurrency", "256", AT_ONCE, "Calls of a team alive at one time."),
    count("limits.node.concurrency", "2_048", AT_ONCE, "Calls of the node alive at one time."),
    Key {
        name: "limits.node.memory",
        kind: Kind::Bytes,
        preset: Preset::Machine(memory),
        least: "16MiB",
        most: "4_096GiB",
        doc: "Memory that all calls of the node hold at one time, of one team half.",
    },
    rate("limits.client.rate", "20/s", "Calls in a second of one client."),
    count("limits.client.burst", "40", BURST, "Calls at once of one client after a quiet time."),
    // What is used over a longer time. Operators can change each of it while the server runs: `callboard quota`.
    count(
        "quota.soft_percent",
        "80",
        ["1", "100"],
        "From how many percent of a budget on callers are warned.",
    ),
    count("quota.endpoint.fuel_minute", "10_000_000_000", FUEL_MINUTE, "Fuel in a minute of one endpoint."),
    count("quota.endpoint.fuel_day", "2_000_000_000_000", A_DAY, "Fuel in a day of one endpoint."),
    count(
        "quota.endpoint.host_calls_minute",
        "10_000_000",
        FUEL_MINUTE,
        "Host calls in a minute of one endpoint.",
    ),
    count("quota.endpoint.host_calls_day", "2_000_000_000", A_DAY, "Host calls in a day of one endpoint."),
    bytes(
        "quota.endpoint.bytes_minute",
        "32GiB",
        ["1KiB", "100GiB"],
        "Bytes that host calls and answers of one endpoint move in a minute.",
    ),
    bytes("quota.endpoint.bytes_day", "8192GiB", ["1KiB", "100000GiB"], "The same in a day."),
    count("quota.endpoint.requests_day", "1_000_000_000", A_DAY, "Requests in a day of one endpoint."),
    count(
        "quota.team.fuel_minute",
        "20_000_000_000",
        FUEL_MINUTE,
        "Fuel in a minute of all endpoints of a team.",
    ),
    count("quota.team.fuel_day", "4_000_000_000_000", A_DAY, "Fuel in a day of all endpoints of a team."),
    count(
        "quota.team.host_calls_minute",
        "20_000_000",
        FUEL_MINUTE,
        "Host calls in a minute of all endpoints of a team.",
    ),
    count(
        "quota.team.host_calls_day",
        "4_000_000_000",
        A_DAY,
        "Host calls in a day of all endpoints of a team.",
    ),
    bytes(
        "quota.team.bytes_minute",
        "64GiB",
        ["1KiB", "100GiB"],
        "Bytes that host calls and answers of all endpoints of a team move in a minute.",
    ),
    bytes("quota.team.bytes_day", "16384GiB", ["1KiB", "100000GiB"], "The same in a day."),
    count("quota.team.requests_day", "2_000_000_000", A_DAY, "Requests in a day of all endpoints of a team."),
    count(
        "quota.class.fuel_minute",
        "20_000_000_000",
        FUEL_MINUTE,
        "Fuel in a minute of all calls of a class of devices.",
    ),
    count(
        "quota.class.fuel_day",
        "4_000_000_000_000",
        A_DAY,
        "Fuel in a day of all calls of a class of devices.",
    ),
    count(
        "quota.class.host_calls_minute",
        "20_000_000",
        FUEL_MINUTE,
        "Host calls in a minute of all calls of a class of devices.",
    ),
    count(
        "quota.class.host_calls_day",
        "4_000_000_000",
        A_DAY,
        "Host calls in a day of all calls of a class of devices.",
    ),
    bytes(
        "quota.class.bytes_minute",
        "64GiB",
        ["1KiB", "100GiB"],
        "Bytes that host calls and answers of all calls of a class of devices move in a minute.",
    ),
    bytes("quota.class.bytes_day", "16384GiB", ["1KiB", "100000GiB"], "The same in a day."),
    count(
        "quota.class.requests_day",
        "2_000_000_000",
        A_DAY,
        "Requests in a day of all calls of a class of devices.",
    ),
    count("quota.team.endpoints", "2_000", ["1", "100_000"], "Endpoints of a team that answer."),
    count("quota.team.scripts", "500", ["1", "100_000"], "Scripts of a team."),
    count("quota.team.revisions", "1_000_000", ["1", "100_000_000"], "Revisions of a team that are kept."),
    count("quota.team.deploys_hour", "2_000", ["1", "1_000_000"], "Deploys of a team in an hour."),
    count(
        "quota.team.compile_hour",
        "3_600",
        ["1", "1_000_000"],
        "Seconds of compiling for a team in an hour.",
    ),
    bytes(
        "quota.team.unit_bytes",
        "4GiB",
        ["1MiB", "1024GiB"],
        "Memory of a team's compiled scripts, about.",
    ),
    Key {
        name: "service.*.url",
        kind: Kind::Text,
        preset: Preset::Missing,
        least: "",
        most: "",
        doc: "Where the service is: `http://`, a host, maybe a port and a path.",
    },
    time("service.*.timeout", "250ms", ["1ms", "60s"], "How long one request to it may take."),
    count(
        "service.*.concurrency",
        "256",
        AT_ONCE,
        "Requests to it that may be under way from this node, of one team half.",
    ),
    bytes("service.*.response_max", "1MiB", ["1KiB", "64MiB"], "The largest answer that is read from it."),
    key("class.*.header", Kind::Text, "", "A header and its value, `x-device-model: tv-2015`."),
    key("class.*.user_agent", Kind::Text, "", "A text that stands in the user agent."),
    rate("class.*.rate", "1_000/s", "Calls in a second of all devices of the class."),
    count("class.*.burst", "100", BURST, "Calls at once of the class after a quiet time."),
    time("compiler.wall", "8s", ["100ms", "10m"], "How long a compilation may take."),
    time("compiler.cpu", "8s", ["1s", "10m"], "How much processor time it may take, in whole seconds."),
    bytes(
        "compiler.memory",
        "1GiB",
        ["512MiB", "16GiB"],
        "How much memory it may map; 256 MiB are its stack.",
    ),
    Key {
        name: "compiler.at_once",
        kind: Kind::Count,
        preset: Preset::Machine(|| (cores() / 2).max(1).to_string()),
        least: "1",
        most: "64",
        doc: "How many compilations may run at one time; as many again for teams that waited for two seconds.",
    },
    count(
        "compiler.queue",
        "256",
        ["1", "10_000"],
        "How many may wait for their turn, of one team a quarter.",
    ),
    time("timeouts.head", "5s", ["100ms", "60s"], "How long the head of a request may take to arrive."),
    time("timeouts.body", "10s", ["100ms", "10m"], "How long its body may take."),
    time("timeouts.idle", "30s", ["1s", "10m"], "How long a connection may be quiet between requests."),
    time("timeouts.drain", "20s", ["0s", "10m"], "How long calls may go on when the server is told to stop."),
    bytes(
        "timeouts.min_rate",
        "1KiB",
        ["1", "1MiB"],
        "The least bytes a second that a body has to move, either way.",
    ),
    count(
        "timeouts.connections_per_address",
        "1_024",
        ["1", "1_000_000"],
        "Connections that one address may hold.",
    ),
    count(
        "timeouts.connections",
        "16_384",
        ["16", "1_000_000"],
        "Connections that the device address may hold in all.",
    ),
    Key {
        name: "node.name",
        kind: Kind::Text,
        preset: Preset::Machine(hostname),
        least: "",
        most: "",
        doc: "The node's name in the fleet.",
    },
    key(
        "node.region",
        Kind::Text,
        "",
        "The region that the node is in, for switches of a region; none when nothing is said.",
    ),
    key("node.drill_team", Kind::Text, "drill", "The team that the canary of a drill is deployed for."),
    key(
        "node.admin_url",
        Kind::Text,
        "",
        "Where the other nodes find this one's admin address; the address itself when nothing is said.",
    ),
    count(
        "node.broken_percent",
        "10",
        ["0", "100"],
        "How many of a hundred scripts may fail to load before the node is not ready.",
    ),
    time("node.poll", "1s", ["50ms", "60s"], "How often the store is asked what changed."),
    time("node.sweep", "60s", ["1s", "1h"], "How often all heads are compared with what runs."),
    Key {
        name: "node.workers",
        kind: Kind::Count,
        preset: Preset::Machine(|| cores().to_string()),
        least: "1",
        most: "1_024",
        doc: "Threads that serve devices.",
    },
    Key {
        name: "node.slow_workers",
        kind: Kind::Count,
        preset: Preset::Machine(|| cores().to_string()),
        least: "0",
        most: "1_024",
        doc: "Threads of a lower priority for endpoints that compute much; half as many more for those that hold one.",
    },
    count(
        "node.proof_calls",
        "10",
        ["1", "1_000_000"],
        "Calls of a new revision that have to end well there before it runs beside the others.",
    ),
    time(
        "node.slow_piece",
        "20ms",
        ["1ms", "10s"],
        "How long a call may hold its thread in one piece before its endpoint is moved there.",
    ),
    count(
        "node.slow_fuel",
        "100_000",
        FUEL,
        "The work of an endpoint's calls, in the mean, above which it is moved there.",
    ),
    time("node.slow_stay", "30s", ["1s", "1h"], "How long an endpoint that was moved stays, at least."),
    bytes("node.cache", "64MiB", ["1MiB", "64GiB"], "Memory for units that are kept ready."),
    key(
        "node.shedding",
        Kind::Word(&["enforce", "observe", "off"]),
        "enforce",
        "Whether calls are refused that a thread has no time for, or only counted (`pressure.observed`).",
    ),
    bytes("node.last_good", "64MiB", ["1MiB", "64GiB"], "Memory for answers that are given again."),
    count(
        "node.restarts",
        "5",
        ["1", "1_000"],
        "Failures of an endpoint within the window, after which it is set aside.",
    ),
    time(
        "node.restart_window",
        "60s",
        ["1s", "1h"],
        "The window in which failures of an endpoint are counted.",
    ),
    count(
        "node.crashes",
        "2",
        ["1", "16"],
        "Crashes or hangs of the process by a revision of an endpoint within ten minutes, after which it is set aside.",
    ),
    key(
        "blame.mode",
        Kind::Word(&["enforce", "observe", "off"]),
        "enforce",
        "Whether something is done about an endpoint that presses the node, or only said.",
    ),
    key(
        "blame.actions",
        Kind::Text,
        "slow, throttle, fallback",
        "What may be done, of slow, throttle, fallback, rollback, quarantine; begun with what hurts it least.",
    ),
    time(
        "blame.patience",
        "5s",
        ["1s", "1h"],
        "How long the node is pressed before that, and between two actions.",
    ),
    time("blame.calm", "60s", ["1s", "24h"], "How long it is calm before the last action is undone."),
    count("blame.an_hour", "10", ["1", "1_000"], "How many actions may be begun within an hour."),
    key(
        "signing.key_file",
        Kind::Text,
        "",
        "The file of the key that signs bytecode; in the data directory when nothing is said.",
    ),
    key(
        "signing.older_key_files",
        Kind::Texts,
        "",
        "Files of keys that are accepted beside it, while a fleet goes over from one to another.",
    ),
    key(
        "client_key.header",
        Kind::Text,
        "",
        "The header that tells clients apart; their address when nothing is said.",
    ),
    key(
        "client_key.trusted_proxies",
        Kind::Texts,
        "",
        "Proxies whose `X-Forwarded-For` is believed, as addresses or networks.",
    ),
];

/// Processors that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Six tenths of the memory that this process may use: of the machine's, or of its group's where that is less.
fn memory() -> String {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = group.into_iter().filter_map(number).min();
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
    });
    let bytes = [group, machine].into_iter().flatten().min().unwrap_or(1 << 30);
    format!("{}MiB", ((bytes / 10 * 6) >> 20).max(64))
}

/// The machine's name, as far as it can be a node's.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(63).collect();
    if name.is_empty() { "callboard".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::settings::Value;

    #[test]
    fn every_default_is_within_its_bounds_and_every_key_says_what_it_is_for() {
        let mut names = BTreeSet::new();
        for key in KEYS {
            assert!(names.insert(key.name), "{}", key.name);
            assert!(key.doc.ends_with('.'), "{}", key.name);
            let text = match key.preset {
                Preset::Text(text) => text.to_owned(),
                Preset::Machine(ask) => ask(),
                Preset::Missing => continue,
            };
            let value = if key.kind == Kind::Texts { Value::Many(Vec::new()) } else { Value::One(text) };
            assert_eq!(key.check(&value), Ok(()), "{}", key.name);
        }
    }
}
