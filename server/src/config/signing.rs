//! `[signing]`: the key that signs bytecode, so that a store cannot slip code to a node.
//!
//! Invariant: a key file that others can read is refused, and one that is made here cannot be read by others
//! at any moment. The key itself is in no setting and is never printed.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Fault};
use super::secret::Secret;
use super::sections::StoreConfig;
use super::settings::{Origin, Settings};

/// The variable that holds the key, as 64 hex digits.
pub const SIGNING_KEY_VARIABLE: &str = "CALLBOARD_SIGNING_KEY";
/// The variable that holds keys that are accepted beside it, with commas between them.
pub const OLDER_KEYS_VARIABLE: &str = "CALLBOARD_SIGNING_KEYS_OLDER";
/// The key's file in the data directory.
const FILE: &str = "signing.key";

/// Where the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningSource {
    /// In the environment.
    Variable(Secret),
    /// In this file, which has to be there: other nodes use the same key.
    Given(PathBuf),
    /// In this file, which is made when it is missing.
    Own(PathBuf),
    /// Nowhere. Who looks after a shared store needs none; who serves from it does.
    Nowhere,
}

/// The keys that are accepted beside the current one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OlderKeys {
    files: Vec<PathBuf>,
    variable: Option<Secret>,
}

impl OlderKeys {
    pub(super) fn read(settings: &Settings, variable: Option<&str>) -> Result<Self, Fault> {
        if let Some(text) = variable {
            let origin = || Origin::Variable(OLDER_KEYS_VARIABLE.to_owned());
            parse_all(text).map_err(|problem| Fault::new(origin(), problem))?;
        }
        let files = settings.texts("signing.older_key_files").iter().map(PathBuf::from).collect();
        Ok(Self { files, variable: variable.map(|text| Secret::new(text.to_owned())) })
    }

    /// The keys.
    ///
    /// # Errors
    /// A file cannot be read, others can read it, or it holds no key.
    pub fn keys(&self) -> Result<Vec<[u8; 32]>, ConfigError> {
        let mut keys = match &self.variable {
            Some(text) => parse_all(text.reveal())
                .map_err(|why| ConfigError::SigningKey { path: OLDER_KEYS_VARIABLE.into(), why })?,
            None => Vec::new(),
        };
        for file in &self.files {
            keys.push(read(file)?);
        }
        Ok(keys)
    }
}

impl SigningSource {
    pub(super) fn read(
        settings: &Settings,
        data: &Path,
        store: &StoreConfig,
        variable: Option<&str>,
    ) -> Result<Self, Fault> {
        if let Some(text) = variable {
            let origin = || Origin::Variable(SIGNING_KEY_VARIABLE.to_owned());
            parse(text).map_err(|problem| Fault::new(origin(), problem))?;
            return Ok(Self::Variable(Secret::new(text.to_owned())));
        }
        match (settings.text("signing.key_file"), store) {
            ("", StoreConfig::Embedded) => Ok(Self::Own(data.join(FILE))),
            ("", StoreConfig::Cql(_)) => Ok(Self::Nowhere),
            (file, StoreConfig::Embedded) => Ok(Self::Own(file.into())),
            (file, StoreConfig::Cql(_)) => Ok(Self::Given(file.into())),
        }
    }

    /// The key. A file of one's own is made when it is missing.
    ///
    /// # Errors
    /// The file cannot be read or made, others can read it, or it holds no key.
    pub fn key(&self) -> Result<[u8; 32], ConfigError> {
        match self {
            Self::Variable(text) => parse(text.reveal())
                .map_err(|why| ConfigError::SigningKey { path: SIGNING_KEY_VARIABLE.into(), why }),
            Self::Given(path) => read(path),
            Self::Nowhere => Err(ConfigError::NoSigningKey),
            Self::Own(path) => match make(path) {
                Ok(key) => Ok(key),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => read(path),
                Err(error) => Err(wrong(path, error)),
            },
        }
    }
}

fn wrong(path: &Path, why: impl ToString) -> ConfigError {
    ConfigError::SigningKey { path: path.to_owned(), why: why.to_string() }
}

fn read(path: &Path) -> Result<[u8; 32], ConfigError> {
    let mode = fs::metadata(path).map_err(|error| wrong(path, error))?.mode();
    if mode & 0o077 != 0 {
        return Err(wrong(path, "others can read it; say `chmod 600` on it"));
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(path, error))?;
    parse(text.trim()).map_err(|why| wrong(path, why))
}

/// Makes a key and its file; both are whole or not there.
fn make(path: &Path) -> std::io::Result<[u8; 32]> {
    if path.try_exists()? {
        return Err(ErrorKind::AlreadyExists.into());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(std::io::Error::other)?;
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    // Written beside its place and linked to it, so that whoever comes second finds it whole.
    let beside = path.with_extension(format!("new.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let linked =
        writeln!(file, "{text}").and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&beside, path));
    fs::remove_file(&beside)?;
    linked.map(|()| key)
}

/// Keys with commas between them.
fn parse_all(text: &str) -> Result<Vec<[u8; 32]>, String> {
    text.split(',').filter(|key| !key.trim().is_empty()).map(parse).collect()
}

/// A key of 64 hex digits.
fn parse(text: &str) -> Result<[u8; 32], String> {
    let key = blake3::Hash::from_hex(text.trim());
    key.map(|key| *key.as_bytes()).map_err(|_| "a key has to be 64 hex digits".to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let source = SigningSource::Own(directory.path().join("data/signing.key"));
        let key = source.key().unwrap();
        assert_eq!(source.key().unwrap(), key);
        let file = directory.path().join("data/signing.key");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path().join("data")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_or_that_holds_no_key_is_refused() {
        fn check(mode: u32, content: &str, says: &str) {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("key");
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = SigningSource::Own(path).key().unwrap_err();
            assert_eq!(error.code(), "config.signing_key");
            assert!(error.to_string().contains(says), "{error}");
        }
        check(0o644, &"ab".repeat(32), "others can read it");
        check(0o600, "short", "64 hex digits");
    }

    #[test]
    fn older_keys_come_from_files_and_from_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("old.key");
        fs::write(&file, "01".repeat(32)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let variable = Some(Secret::new(format!("{},{}", "02".repeat(32), "03".repeat(32))));
        let older = OlderKeys { files: vec![file.clone()], variable };
        assert_eq!(older.keys().unwrap(), [[2; 32], [3; 32], [1; 32]]);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(older.keys().is_err(), "others can read it");
    }

    #[test]
    fn a_key_that_is_given_is_never_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        assert!(SigningSource::Given(path.clone()).key().is_err());
        assert!(!path.exists());
    }

    #[test]
    fn the_key_of_the_environment_is_not_printed() {
        let source = SigningSource::Variable(Secret::new("ab".repeat(32)));
        assert_eq!(source.key().unwrap(), [0xab; 32]);
        assert!(!format!("{source:?}").contains("abab"));
    }
}
