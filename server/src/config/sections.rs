//! The sections that are no more than their values.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actors::storage::{CqlConfig, CqlConsistency, CqlSerial};
use api::{BaseUrl, BaseUrlError};
use quotas::pressure::Mode;
use quotas::scope::{RegionName, ServiceName, TeamName};
use quotas::track::Paces;
use quotas::units::{Bytes, Fuel, InFlight};
use runtime::host::service::{Service, ServiceUrl};

use super::error::Fault;
use super::settings::Settings;

/// `[device]`: the door for devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Where it listens.
    pub address: SocketAddr,
}

/// `[admin]`: the door for people and tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// Names that it answers for besides addresses and `localhost`, in small letters, without ports.
    pub allowed_hosts: Vec<String>,
    /// Whether it may be public without TLS of its own.
    pub allow_plaintext: bool,
}

/// `[store]`: which store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// The one in the data directory.
    Embedded,
    /// A cluster that several nodes share.
    Cql(CqlConfig),
}

/// `[service.NAME]`: a service that scripts may call.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// Its name.
    pub name: ServiceName,
    /// Where it is.
    pub url: ServiceUrl,
    /// How long one request may take.
    pub timeout: Duration,
    /// Requests that may be under way from this node.
    pub concurrency: InFlight,
    /// The largest answer that is read.
    pub response_max: Bytes,
}

/// `[compiler]`: bounds of the compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompilerLimits {
    /// How long a compilation may take.
    pub wall: Duration,
    /// How much processor time it may take, in whole seconds.
    pub cpu_seconds: u64,
    /// How much memory it may map.
    pub memory: Bytes,
    /// How many may run at one time.
    pub at_once: usize,
    /// How many may wait for their turn.
    pub queue: usize,
}

/// `[timeouts]`: how long connections may take for what, and how many there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// For the head of a request.
    pub head: Duration,
    /// For its body.
    pub body: Duration,
    /// Between requests.
    pub idle: Duration,
    /// For calls to end when the server is told to stop.
    pub drain: Duration,
    /// The least bytes a second that a body has to move, either way.
    pub min_rate: Bytes,
    /// Connections that one address may hold.
    pub connections_per_address: u32,
    /// Connections that the device address may hold in all.
    pub connections: u32,
}

/// `[node]`: the node itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSettings {
    /// Its name in the fleet.
    pub name: String,
    /// The region that it is in.
    pub region: Option<RegionName>,
    /// The team that the canary of a drill is deployed for.
    pub drill_team: TeamName,
    /// Where the other nodes find its admin door, where that is not the address itself.
    pub admin_url: Option<BaseUrl>,
    /// How many of a hundred scripts may fail to load in a node that is ready.
    pub broken_percent: u8,
    /// How often the store is asked what changed.
    pub poll: Duration,
    /// How often all heads are compared with what runs.
    pub sweep: Duration,
    /// Threads that serve devices.
    pub workers: usize,
    /// Memory for units that are kept ready.
    pub cache: Bytes,
    /// Failures of an endpoint within a window, after which it is set aside.
    pub restarts: (u32, Duration),
    /// Threads for endpoints that would hold up the others.
    pub slow_workers: usize,
    /// When an endpoint is moved to them.
    pub paces: Paces,
    /// Memory for answers that are given again.
    pub last_good: Bytes,
    /// What is done about calls that a thread has no time for.
    pub shedding: Mode,
    /// Crashes of the process by an endpoint's revision, after which it is set aside.
    pub crashes: u32,
}

impl AdminConfig {
    pub(super) fn read(settings: &Settings, faults: &mut Vec<Fault>) -> Result<Self, Fault> {
        let address: SocketAddr = settings.typed("admin.address")?;
        let allow_plaintext: bool = settings.typed("admin.allow_plaintext")?;
        if !address.ip().to_canonical().is_loopback() && !allow_plaintext {
            let problem =
                format_args!("{address} is public, and tokens would cross the network in the clear");
            let hint = "listen on 127.0.0.1 behind a proxy with TLS, or say `admin.allow_plaintext = true`";
            faults.push(settings.fault("admin.address", problem).with_hint(hint));
        }
        let hosts = settings.texts("admin.allowed_hosts");
        Ok(Self {
            address,
            allow_plaintext,
            allowed_hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        })
    }
}

impl StoreConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, Fault> {
        if settings.text("store.data").is_empty() {
            return Err(settings.fault("store.data", "it must not be empty"));
        }
        if settings.text("store.url").is_empty() {
            return Ok(Self::Embedded);
        }
        let mut cql: CqlConfig = settings.typed("store.url")?;
        settings.text("store.replication").clone_into(&mut cql.replication);
        cql.tablets = match settings.text("store.tablets") {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        cql.consistency = match settings.text("store.consistency") {
            "quorum" => CqlConsistency::Quorum,
            _ => CqlConsistency::LocalQuorum,
        };
        cql.serial = match settings.text("store.serial") {
            "local_serial" => CqlSerial::LocalSerial,
            _ => CqlSerial::Serial,
        };
        let datacenter = settings.text("store.datacenter");
        cql.datacenter = (!datacenter.is_empty()).then(|| datacenter.to_owned());
        cql.timeout = settings.time("store.timeout")?;
        cql.connect_timeout = settings.time("store.connect_timeout")?;
        Ok(Self::Cql(cql))
    }
}

impl ServiceConfig {
    /// The service for scripts, with a gate of its own.
    pub fn service(&self) -> Arc<Service> {
        let (name, url) = (self.name.clone(), self.url.clone());
        Arc::new(Service::new(name, url, self.timeout, self.concurrency, self.response_max))
    }
}

/// Reads all services.
pub(super) fn services(settings: &Settings, faults: &mut Vec<Fault>) -> BTreeMap<ServiceName, ServiceConfig> {
    let mut services = BTreeMap::new();
    for name in settings.instances("service") {
        match service(settings, &name) {
            Ok(service) => drop(services.insert(service.name.clone(), service)),
            Err(fault) => faults.push(fault),
        }
    }
    services
}

fn service(settings: &Settings, name: &str) -> Result<ServiceConfig, Fault> {
    let key = |last: &str| format!("service.{name}.{last}");
    Ok(ServiceConfig {
        name: name.parse().map_err(|error| settings.fault(&key("url"), error))?,
        url: settings.typed(&key("url"))?,
        timeout: settings.time(&key("timeout"))?,
        concurrency: settings.typed(&key("concurrency"))?,
        response_max: settings.typed(&key("response_max"))?,
    })
}

impl CompilerLimits {
    pub(super) fn read(settings: &Settings) -> Result<Self, Fault> {
        let cpu = settings.time("compiler.cpu")?;
        Ok(Self {
            wall: settings.time("compiler.wall")?,
            cpu_seconds: cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0),
            memory: settings.typed("compiler.memory")?,
            at_once: settings.count("compiler.at_once")?,
            queue: settings.count("compiler.queue")?,
        })
    }
}

impl Timeouts {
    pub(super) fn read(settings: &Settings) -> Result<Self, Fault> {
        Ok(Self {
            head: settings.time("timeouts.head")?,
            body: settings.time("timeouts.body")?,
            idle: settings.time("timeouts.idle")?,
            drain: settings.time("timeouts.drain")?,
            min_rate: settings.typed("timeouts.min_rate")?,
            connections_per_address: settings.count("timeouts.connections_per_address")?,
            connections: settings.count("timeouts.connections")?,
        })
    }
}

impl NodeSettings {
    pub(super) fn read(settings: &Settings) -> Result<Self, Fault> {
        let name = settings.text("node.name");
        if name.is_empty() || name.len() > 63 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                settings.fault("node.name", "it has to be 1 to 63 printable characters without spaces")
            );
        }
        Ok(Self {
            name: name.to_owned(),
            region: match settings.text("node.region") {
                "" => None,
                region => {
                    Some(RegionName::parse(region).map_err(|error| settings.fault("node.region", error))?)
                }
            },
            drill_team: TeamName::parse(settings.text("node.drill_team"))
                .map_err(|error| settings.fault("node.drill_team", error))?,
            admin_url: match settings.text("node.admin_url") {
                "" => None,
                url => {
                    let parsed: Result<BaseUrl, BaseUrlError> = url.parse();
                    Some(parsed.map_err(|error| settings.fault("node.admin_url", error))?)
                }
            },
            broken_percent: settings.count("node.broken_percent")?,
            poll: settings.time("node.poll")?,
            sweep: settings.time("node.sweep")?,
            workers: settings.count("node.workers")?,
            cache: settings.typed("node.cache")?,
            restarts: (settings.count("node.restarts")?, settings.time("node.restart_window")?),
            slow_workers: settings.count("node.slow_workers")?,
            last_good: settings.typed("node.last_good")?,
            shedding: match settings.text("node.shedding") {
                "observe" => Mode::Observe,
                "off" => Mode::Off,
                _ => Mode::Enforce,
            },
            paces: Paces {
                proof: settings.count("node.proof_calls")?,
                piece: settings.time("node.slow_piece")?,
                mean: Fuel::new(settings.count("node.slow_fuel")?),
                stay: settings.time("node.slow_stay")?,
            },
            crashes: settings.count("node.crashes")?,
        })
    }
}
