//! How this node speaks to the others: by their admin doors.

use std::time::Duration;

use actors::fleet::{Peers, Standing};
use actors::storage::Change;
use api::Client;
use api::client::Ask;
use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use moka::sync::Cache;
use quotas::scope::{Scope, ScriptId};

use super::{DemandShape, FleetTokens, Hint, StandingShape};

/// How long another node may take for one answer.
const WAIT: Duration = Duration::from_secs(2);
/// How many addresses of nodes are remembered.
const NODES_MAX: u64 = 1_000;

/// The other nodes, over HTTP.
pub struct HttpPeers {
    clients: Cache<String, Client>,
    token: String,
}

impl HttpPeers {
    /// Peers that are shown the fleet's token.
    pub fn new(tokens: &FleetTokens) -> Self {
        let token = tokens.shown().trim_start_matches("Bearer ").to_owned();
        Self { clients: Cache::new(NODES_MAX), token }
    }

    /// The client of a node. Its connections are kept.
    fn client(&self, admin: &str) -> Result<Client, String> {
        if let Some(client) = self.clients.get(admin) {
            return Ok(client);
        }
        let base = admin.parse().map_err(|error: api::client::BaseUrlError| error.to_string())?;
        let client = Client::new(base).with_timeout(WAIT).with_token(&self.token).ok_or("it is no token")?;
        self.clients.insert(admin.to_owned(), client.clone());
        Ok(client)
    }
}

#[async_trait]
impl Peers for HttpPeers {
    async fn hint(&self, admin: &str, changes: &[Change]) -> Result<(), String> {
        let body = serde_json::to_vec(&Hint::of(changes)).map_err(|error| error.to_string())?;
        let mut ask = Ask::new(Method::POST, "/fleet/changes");
        ask.body = body.into();
        said(self.client(admin)?.raw(ask).await).map(drop)
    }

    async fn standing(&self, admin: &str, script: &ScriptId) -> Result<Standing, String> {
        // The names of teams and scripts need no encoding.
        let ask = Ask::new(Method::GET, format!("/fleet/standing/{}/{}", script.team, script.script));
        let body = said(self.client(admin)?.raw(ask).await)?;
        let standing: StandingShape = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        Ok(standing.into())
    }

    async fn decision(&self, admin: &str, id: &str) -> Result<Option<Bytes>, String> {
        let answer = self.client(admin)?.raw(Ask::new(Method::GET, format!("/fleet/decisions/{id}"))).await;
        match answer {
            Ok(answer) if answer.status == http::StatusCode::NOT_FOUND => Ok(None),
            answer => said(answer).map(Some),
        }
    }

    async fn demand(&self, admin: &str) -> Result<Vec<(Scope, f64)>, String> {
        let body = said(self.client(admin)?.raw(Ask::new(Method::GET, "/fleet/demand")).await)?;
        let told: DemandShape = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        Ok(told.scopes())
    }
}

fn said(answer: Result<api::client::Raw, api::ClientError>) -> Result<Bytes, String> {
    match answer {
        Ok(answer) if answer.status.is_success() => Ok(answer.body),
        Ok(answer) if answer.status == http::StatusCode::UNAUTHORIZED => {
            Err("it does not know this node: it has another signing key".to_owned())
        }
        Ok(answer) => Err(format!("it answers {}", answer.status)),
        Err(error) => Err(error.to_string()),
    }
}
