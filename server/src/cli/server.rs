//! The commands about the server itself, without speaking to one.

use actors::storage::{Embedded, Scylla};
use serde_json::json;

use super::arguments::{ServeArguments, ServerArguments, StoreArguments, StoreCommand};
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::clean;
use super::{copy, entry};
use crate::config::{Config, Flag, Sources, StoreConfig};
use crate::process::warden::control;

/// The variable that holds the token.
pub(super) const TOKEN_VARIABLE: &str = "CALLBOARD_TOKEN";
/// The largest file that is read for a token, in bytes.
const TOKEN_MAX: u64 = 4096;

impl ServeArguments {
    /// The configuration that these arguments, the environment and the file make.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        let named = [
            ("store.data", "--data", &self.data),
            ("store.url", "--store", &self.store),
            ("device.address", "--device", &self.device),
            ("admin.address", "--admin", &self.admin),
        ];
        let named = named.into_iter().filter_map(|(key, name, value)| {
            Some(Flag { key: key.to_owned(), value: value.clone()?, name: name.to_owned() })
        });
        let set = self.set.iter().map(|(key, value)| Flag {
            key: key.clone(),
            value: value.clone(),
            name: format!("--set {key}"),
        });
        let sources = Sources::of_process(self.config.clone(), named.chain(set).collect());
        Ok(Config::load(&sources)?)
    }
}

impl ServerArguments {
    /// A client of the server that these arguments name.
    pub(super) fn client(&self) -> Result<api::Client, Failure> {
        let client = api::Client::new(self.url.clone());
        match self.token()? {
            Some((token, place)) => client.with_token(&token).ok_or_else(|| {
                Failure::usage(format_args!(
                    "what is in {place} cannot be a token: it has characters that no token has"
                ))
            }),
            None => Ok(client),
        }
    }

    /// The token, and where it came from.
    pub(super) fn token(&self) -> Result<Option<(String, String)>, Failure> {
        if let Some(file) = &self.token_file {
            let place = file.display();
            let unreadable =
                |why: &dyn std::fmt::Display| Failure::usage(format_args!("{place} cannot be read: {why}"));
            if std::fs::metadata(file).map_err(|error| unreadable(&error))?.len() > TOKEN_MAX {
                return Err(unreadable(&"it is too large to hold a token"));
            }
            let token = std::fs::read_to_string(file).map_err(|error| unreadable(&error))?;
            return Ok(Some((token.trim().to_owned(), place.to_string())));
        }
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        Ok(token.map(|token| (token.trim().to_owned(), TOKEN_VARIABLE.to_owned())))
    }
}

/// `config`
pub(super) fn config(arguments: &ServeArguments, out: &Out) -> Result<Exit, Failure> {
    let config = arguments.load()?;
    out.result("config", &config.show_json(), |_| config.show());
    Ok(Exit::Done)
}

/// `serve --warm-only`
pub(super) fn warm(arguments: &ServeArguments, out: &Out) -> Result<Exit, Failure> {
    let warmed = entry::warm(&arguments.load()?)?;
    let failed: Vec<_> = warmed
        .failed
        .iter()
        .map(|(script, why)| json!({ "script": script.to_string(), "why": why }))
        .collect();
    let object = json!({
        "endpoints": warmed.endpoints,
        "compiled": warmed.compiled,
        "failed": failed,
        "ready": warmed.ready,
        "took_ms": u64::try_from(warmed.took.as_millis()).unwrap_or(u64::MAX),
    });
    out.result("serve_warm", &object, |out| {
        let mut text = format!(
            "{} endpoints have a unit of this build; {} were compiled in {:.1} s",
            warmed.endpoints,
            warmed.compiled,
            warmed.took.as_secs_f64()
        );
        for (script, why) in &warmed.failed {
            text.push_str(&format!(
                "\n  {} {}: {}",
                out.bad("no unit"),
                clean(&script.to_string()),
                clean(why)
            ));
        }
        text
    });
    match warmed.ready {
        true => Ok(Exit::Done),
        false => Err(Failure::failed("more scripts have no unit than `node.broken_percent` bears")),
    }
}

/// `upgrade`
pub(super) async fn upgrade(arguments: &ServeArguments, out: &Out) -> Result<Exit, Failure> {
    let config = arguments.load()?;
    let asked = control::ask(&config.data).await;
    let answer = asked.map_err(|error| Failure {
        exit: Exit::Unreachable,
        message: format!(
            "no server with its data in {} answers ({error}); `--data` names another directory",
            config.data.display()
        ),
        problem: None,
    })?;
    if !answer.done {
        return Err(Failure::failed(format_args!(
            "not upgraded, the server goes on as it was: {}",
            answer.message
        )));
    }
    out.result("upgrade", &json!({ "message": answer.message }), |_| clean(&answer.message));
    Ok(Exit::Done)
}

/// `store`
pub(super) async fn store(arguments: &StoreArguments, out: &Out) -> Result<Exit, Failure> {
    let serve = match &arguments.command {
        StoreCommand::Migrate(serve) => serve,
        StoreCommand::Export(copy) => return copy::export(copy, out).await,
        StoreCommand::Import(copy) => return copy::import(copy, out).await,
    };
    let config = serve.load()?;
    let store = match &config.store {
        StoreConfig::Embedded => {
            Embedded::open(&config.data).await.map_err(Failure::failed)?;
            config.data.display().to_string()
        }
        StoreConfig::Cql(cql) => {
            out.note(format!("migrating {cql}"));
            Scylla::migrate(cql).await.map_err(Failure::failed)?;
            if cql.replication.contains("'replication_factor': 1}") {
                out.note("without `store.replication` a new keyspace keeps one copy of everything: for a fleet give three, or alter the keyspace if this made it now");
            }
            cql.to_string()
        }
    };
    out.result("store_migrate", &json!({ "store": store }), |_| format!("{store} is ready for this program"));
    Ok(Exit::Done)
}
