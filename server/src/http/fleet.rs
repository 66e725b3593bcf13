//! Fleet: what nodes on one store say to each other, on the admin door.
//!
//! Invariant: only who has the fleet's signing key is answered, and it never crosses the wire: a token is
//! derived from it. Nothing here changes what the store says; the worst that a stranger with the token could do
//! is to make a node look at the store.
//! Not here: when a node hints or asks (`actors::fleet`).

mod peers;
mod token;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use actors::controller::StandingOf;
use actors::fleet::Standing;
use actors::storage::Change;
use actors::watch::Hinted;
use quotas::scope::{RevisionNumber, Scope, ScriptId};
use serde::{Deserialize, Serialize};

pub use self::peers::HttpPeers;
pub use self::token::FleetTokens;
use super::manage::{AdminDoor, decision_of};
use super::problem::ProblemError;

/// The header that names who is asked: an address may lead to another node than it should.
const NODE: &str = "callboard-node";
/// The largest hint, in bytes.
pub(super) const HINT_MAX: usize = 64 * 1024;

/// What changed, on the wire. What a newer node says beside it is ignored.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Hint {
    /// Scripts, and how far each has come.
    #[serde(default)]
    scripts: Vec<(String, u64)>,
    /// Scopes of switches.
    #[serde(default)]
    switches: Vec<String>,
    /// Whether tokens did.
    #[serde(default)]
    tokens: bool,
    /// Scopes of quotas.
    #[serde(default)]
    quotas: Vec<String>,
}

/// Where a script stands on a node, on the wire.
#[derive(Debug, Serialize, Deserialize)]
struct StandingShape {
    seq: u64,
    revision: Option<u64>,
    problem: Option<(String, String)>,
}

/// How many calls a node is asked for lately, by scope, on the wire.
#[derive(Debug, Serialize, Deserialize)]
struct DemandShape {
    calls: Vec<(String, f64)>,
}

impl DemandShape {
    /// What of it this node understands.
    fn scopes(self) -> Vec<(Scope, f64)> {
        let calls = self.calls.into_iter().filter(|(_, calls)| calls.is_finite() && *calls >= 0.0);
        calls.filter_map(|(scope, calls)| Some((Scope::parse(&scope).ok()?, calls))).collect()
    }
}

/// Another node; a handler that asks for it is only run for one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer;

impl FromRequest for Peer {
    type Error = ProblemError;
    type Future = std::future::Ready<Result<Self, ProblemError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let door = request.app_data::<web::Data<AdminDoor>>();
        let is_peer = door.is_some_and(|door| door.fleet.admits(request.headers()));
        let asked = request.headers().get(NODE);
        let is_meant = door.is_none_or(|door| {
            let me = door.node.shared().fleet.me();
            asked.is_none_or(|asked| asked.as_bytes() == me.name.as_bytes())
        });
        std::future::ready(match (is_peer, is_meant) {
            (false, _) => Err(ProblemError::of("auth.invalid", "only nodes of this fleet are answered here")),
            (true, false) => Err(ProblemError::of("node.other", "this is not the node that is asked")),
            (true, true) => Ok(Self),
        })
    }
}

/// `POST /fleet/changes`
pub(super) async fn changes(
    _: Peer,
    door: web::Data<AdminDoor>,
    body: Bytes,
) -> Result<HttpResponse, ProblemError> {
    let hint: Hint = serde_json::from_slice(&body)
        .map_err(|error| ProblemError::of("request.invalid", format!("this is no hint: {error}")))?;
    door.node.storage().send(Hinted(hint.changes())).await??;
    Ok(HttpResponse::new(StatusCode::NO_CONTENT))
}

/// `GET /fleet/standing/{team}/{script}`
pub(super) async fn standing(
    _: Peer,
    door: web::Data<AdminDoor>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ProblemError> {
    let script = ScriptId { team: path.0.parse()?, script: path.1.parse()? };
    let Standing { seq, revision, problem } = door.node.controller().send(StandingOf(script)).await?;
    let revision = revision.map(RevisionNumber::get);
    Ok(HttpResponse::Ok().json(StandingShape { seq, revision, problem }))
}

/// `GET /fleet/decisions/{id}`
pub(super) async fn decision(
    _: Peer,
    door: web::Data<AdminDoor>,
    id: web::Path<String>,
) -> Result<HttpResponse, ProblemError> {
    let found = decision_of(&door, &id).await;
    found.map(|found| HttpResponse::Ok().json(found)).ok_or_else(|| ProblemError::of("decision.unknown", ""))
}

/// `GET /fleet/demand`
pub(super) async fn demand(_: Peer, door: web::Data<AdminDoor>) -> HttpResponse {
    let told = door.node.shared().fleet.demand();
    let calls = told.iter().map(|(scope, calls)| (scope.to_string(), *calls)).collect();
    HttpResponse::Ok().json(DemandShape { calls })
}

impl Hint {
    fn of(changes: &[Change]) -> Self {
        let mut hint = Self::default();
        for change in changes {
            match change {
                Change::Script(script, seq) => hint.scripts.push((script.to_string(), *seq)),
                Change::Switch(id) => hint.switches.push(id.to_string()),
                Change::Tokens => hint.tokens = true,
                Change::Quota(scope) => hint.quotas.push(scope.to_string()),
            }
        }
        hint
    }

    /// What of it this node understands.
    fn changes(&self) -> Vec<Change> {
        let scripts = self.scripts.iter();
        let scripts = scripts.filter_map(|(script, seq)| Some(Change::Script(script.parse().ok()?, *seq)));
        let switches = self.switches.iter().filter_map(|id| Some(Change::Switch(id.parse().ok()?)));
        let quotas = self.quotas.iter().filter_map(|scope| Some(Change::Quota(Scope::parse(scope).ok()?)));
        scripts.chain(switches).chain(self.tokens.then_some(Change::Tokens)).chain(quotas).collect()
    }
}

impl From<StandingShape> for Standing {
    fn from(StandingShape { seq, revision, problem }: StandingShape) -> Self {
        Self { seq, revision: revision.and_then(RevisionNumber::new), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_says_on_the_wire_what_it_means_and_what_is_not_understood_is_left_out() {
        let changes = [
            Change::Script("tv/home".parse().unwrap(), 7),
            Change::Switch("team:tv".parse().unwrap()),
            Change::Switch("freeze team:tv".parse().unwrap()),
            Change::Tokens,
            Change::Quota(Scope::parse("team:tv").unwrap()),
        ];
        let wire = serde_json::to_string(&Hint::of(&changes)).unwrap();
        assert_eq!(serde_json::from_str::<Hint>(&wire).unwrap().changes(), changes);
        let newer = r#"{"scripts":[["tv/home",1],["no script",2]],"switches":["moon:x"],"moons":true}"#;
        let newer: Hint = serde_json::from_str(newer).unwrap();
        assert_eq!(newer.changes(), [Change::Script("tv/home".parse().unwrap(), 1)]);
    }
}
