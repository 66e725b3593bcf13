//! Configuration: what the operator says, from defaults, one file, the environment and flags.
//!
//! Invariant: a configuration in hand is whole and within bounds, and every value in it knows where it came
//! from. No limit is optional: each has a default and a most.
//! Not here: reading it again while the server runs; secrets, beyond where they are (`signing`, `secret`).

mod blame;
mod classes;
mod client_key;
mod environment;
mod error;
mod file;
mod key;
mod keys;
mod limits;
mod secret;
mod sections;
mod settings;
mod show;
mod signing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quotas::limits::Policy;
use quotas::remedy::Rules;
use quotas::scope::ServiceName;

pub use self::classes::ClassConfig;
pub use self::client_key::{ClientKey, ClientKeySource, Network};
pub use self::error::{ConfigError, Fault};
pub use self::key::time_of;
pub use self::secret::Secret;
pub use self::sections::{
    AdminConfig, CompilerLimits, DeviceConfig, NodeSettings, ServiceConfig, StoreConfig, Timeouts,
};
pub use self::settings::{Origin, Setting, Settings, Value};
pub use self::signing::{OLDER_KEYS_VARIABLE, OlderKeys, SIGNING_KEY_VARIABLE, SigningSource};

/// The variable that names the file when no flag does.
pub const CONFIG_VARIABLE: &str = "CALLBOARD_CONFIG";
/// The variable that holds the first admin token.
pub const ADMIN_TOKEN_VARIABLE: &str = "CALLBOARD_ADMIN_TOKEN";

/// Where a configuration is read from, the later over the earlier: defaults, file, environment, flags.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file, when there is one.
    pub file: Option<PathBuf>,
    /// The environment: all of it, names and values.
    pub environment: Vec<(String, String)>,
    /// What was said by flags.
    pub flags: Vec<Flag>,
}

/// A value that was said by a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The key that it sets, such as `device.address`.
    pub key: String,
    /// The value's text.
    pub value: String,
    /// The flag, such as `--device`.
    pub name: String,
}

/// What a server is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The door for devices.
    pub device: DeviceConfig,
    /// The door for people and tools.
    pub admin: AdminConfig,
    /// Where the embedded store, the switch journal and the signing key are kept.
    pub data: PathBuf,
    /// Which store.
    pub store: StoreConfig,
    /// Defaults and ceilings of what endpoints, teams and clients may use.
    pub limits: Policy,
    /// The services that scripts may call.
    pub services: BTreeMap<ServiceName, ServiceConfig>,
    /// The classes of devices, in the order of their names; the first that matches is a call's.
    pub classes: Vec<ClassConfig>,
    /// Bounds of the compiler.
    pub compiler: CompilerLimits,
    /// How long connections may take for what, and how many there may be.
    pub timeouts: Timeouts,
    /// The node itself.
    pub node: NodeSettings,
    /// What is done about an endpoint that presses it.
    pub blame: Rules,
    /// Where the key is that signs bytecode.
    pub signing: SigningSource,
    /// The keys that are accepted beside it.
    pub older_keys: OlderKeys,
    /// How clients are told apart.
    pub client_key: ClientKey,
    /// The first admin token, when the environment holds one.
    pub admin_token: Option<Secret>,
    /// Every value as text, with where it came from.
    pub settings: Settings,
}

impl Sources {
    /// The process's own environment, and the file that it names when the flags name none.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        let named = environment.iter().find(|(name, value)| name == CONFIG_VARIABLE && !value.is_empty());
        let file = file.or_else(|| named.map(|(_, value)| value.into()));
        Self { file, environment, flags }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

impl Config {
    /// Reads all sources and checks what they say together.
    ///
    /// # Errors
    /// Everything that is wrong, each with its origin; a file that cannot be read or is no TOML.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        let mut faults = Vec::new();
        if let Some(path) = &sources.file {
            file::read(path, &mut settings, &mut faults)?;
        }
        environment::read(&sources.environment, &mut settings, &mut faults);
        for flag in &sources.flags {
            settings.set_text(&flag.key, &flag.value, Origin::Flag(flag.name.clone()), &mut faults);
        }
        settings.fill_defaults(&mut faults);
        if faults.is_empty() {
            Self::of(settings, sources, &mut faults)
        } else {
            Err(ConfigError::Wrong(faults))
        }
    }

    fn of(settings: Settings, sources: &Sources, faults: &mut Vec<Fault>) -> Result<Self, ConfigError> {
        let once = |fault| ConfigError::Wrong(vec![fault]);
        let data = PathBuf::from(settings.text("store.data"));
        let store = StoreConfig::read(&settings).map_err(once)?;
        let signing = SigningSource::read(&settings, &data, &store, sources.variable(SIGNING_KEY_VARIABLE));
        let mut config = Self {
            device: DeviceConfig { address: settings.typed("device.address").map_err(once)? },
            admin: AdminConfig::read(&settings, faults).map_err(once)?,
            store,
            limits: limits::read(&settings, faults).map_err(once)?,
            services: sections::services(&settings, faults),
            classes: classes::read(&settings, faults),
            compiler: CompilerLimits::read(&settings).map_err(once)?,
            timeouts: Timeouts::read(&settings).map_err(once)?,
            node: NodeSettings::read(&settings).map_err(once)?,
            blame: blame::read(&settings).map_err(once)?,
            signing: signing.map_err(once)?,
            older_keys: OlderKeys::read(&settings, sources.variable(OLDER_KEYS_VARIABLE)).map_err(once)?,
            client_key: ClientKey::read(&settings).map_err(once)?,
            admin_token: sources.variable(ADMIN_TOKEN_VARIABLE).map(|token| Secret::new(token.to_owned())),
            data,
            settings,
        };
        // The others come by the name that they were told.
        if let Some(url) = &config.node.admin_url {
            config.admin.allowed_hosts.push(url.host().to_ascii_lowercase());
        }
        if faults.is_empty() { Ok(config) } else { Err(ConfigError::Wrong(std::mem::take(faults))) }
    }

    /// The embedded store's directory, when it is that store.
    pub fn embedded(&self) -> Option<&Path> {
        matches!(self.store, StoreConfig::Embedded).then_some(self.data.as_path())
    }

    /// The whole configuration as a file that says the same, with where each value came from.
    pub fn show(&self) -> String {
        show::as_toml(self)
    }

    /// The same for machines.
    pub fn show_json(&self) -> serde_json::Value {
        show::as_json(self)
    }
}

#[cfg(test)]
mod tests;
