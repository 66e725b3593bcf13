//! How this node speaks to the others: by their admin doors.

use std::time::Duration;

use actors::fleet::{Peers, Standing};
use actors::storage::{Change, NodeRow};
use api::Client;
use api::client::{Ask, Raw};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use moka::sync::Cache;
use quotas::scope::{Scope, ScriptId};

use super::{DemandShape, FleetTokens, Hint, NODE, StandingShape};

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

    /// Asks a node, by its name.
    async fn ask(&self, node: &NodeRow, mut ask: Ask) -> Result<Raw, String> {
        let name = HeaderValue::from_str(&node.name).map_err(|error| error.to_string())?;
        ask.headers.insert(NODE, name);
        let answer = self.client(&node.admin)?.raw(ask).await.map_err(|error| error.to_string())?;
        match answer.status {
            StatusCode::UNAUTHORIZED => Err("it refuses this node, which has another signing key".to_owned()),
            StatusCode::MISDIRECTED_REQUEST => Err(format!(
                "at {} another node answers: each node's `node.admin_url` has to lead to itself from the others",
                node.admin
            )),
            _ => Ok(answer),
        }
    }

    /// The client of a node's address. Its connections are kept.
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
    async fn hint(&self, node: &NodeRow, changes: &[Change]) -> Result<(), String> {
        let body = serde_json::to_vec(&Hint::of(changes)).map_err(|error| error.to_string())?;
        let mut ask = Ask::new(Method::POST, "/fleet/changes");
        ask.body = body.into();
        said(self.ask(node, ask).await?).map(drop)
    }

    async fn standing(&self, node: &NodeRow, script: &ScriptId) -> Result<Standing, String> {
        // The names of teams and scripts need no encoding.
        let ask = Ask::new(Method::GET, format!("/fleet/standing/{}/{}", script.team, script.script));
        let body = said(self.ask(node, ask).await?)?;
        let standing: StandingShape = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        Ok(standing.into())
    }

    async fn decision(&self, node: &NodeRow, id: &str) -> Result<Option<Bytes>, String> {
        let answer = self.ask(node, Ask::new(Method::GET, format!("/fleet/decisions/{id}"))).await?;
        if answer.status == StatusCode::NOT_FOUND { Ok(None) } else { said(answer).map(Some) }
    }

    async fn demand(&self, node: &NodeRow) -> Result<Vec<(Scope, f64)>, String> {
        let body = said(self.ask(node, Ask::new(Method::GET, "/fleet/demand")).await?)?;
        let told: DemandShape = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        Ok(told.scopes())
    }
}

fn said(answer: Raw) -> Result<Bytes, String> {
    if answer.status.is_success() { Ok(answer.body) } else { Err(format!("it answers {}", answer.status)) }
}
