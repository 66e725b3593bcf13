//! The calls of the contract, one method each.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, IF_MATCH};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Ask, Client, ClientError, problem_of, read};
use crate::convergence::Convergence;
use crate::endpoints::Endpoint;
use crate::node::{AuditEntry, Decision, Health, Limits, Node, Version};
use crate::page::Page;
use crate::quotas::{QuotaAnswer, QuotaRequest, QuotaState, QuotasSet};
use crate::revisions::{
    ActivateRequest, Activated, Deleted, DeployAnswer, Head, Revision, RevisionDetail, Script,
};
use crate::switches::{DrillAnswer, DrillRequest, Switch, SwitchAnswer, SwitchKind, SwitchRequest};
use crate::tokens::{Token, TokenMade, TokenRequest, Whoami};

/// What goes with an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upload {
    /// What to say about it in the history.
    pub message: String,
    /// A name for it, a version for example.
    pub tag: Option<String>,
    /// Whether it is only stored and does not answer yet.
    pub keep_inactive: bool,
    /// Whether it is only tried.
    pub dry_run: bool,
    /// How far it has to be before the answer.
    pub wait: Wait,
    /// How long to wait, such as `10s`.
    pub timeout: Option<String>,
    /// Makes the same request again the same deploy.
    pub idempotency_key: Option<String>,
}

/// How far a change has to be before it is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wait {
    /// Stored.
    None,
    /// In force on the node that answers.
    #[default]
    Node,
    /// In force on all nodes.
    All,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// Only this team's.
    pub team: Option<String>,
    /// Only about this script, as `team/script`.
    pub script: Option<String>,
    /// The most items.
    pub limit: Option<u32>,
    /// The cursor of the page before.
    pub cursor: Option<String>,
}

impl Wait {
    /// The word in the query.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Node => "node",
            Self::All => "all",
        }
    }
}

/// What stands in a path as it is; a scope's colon and slashes do too.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');
const SEGMENT: &AsciiSet = &PATH.add(b'/').add(b'@').add(b':');

fn segment(text: &str) -> String {
    match text {
        // Dots alone would be taken for a step in the path.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(text, SEGMENT).to_string(),
    }
}

fn script_path(team: &str, script: &str, rest: &str) -> String {
    format!("/v1/scripts/{}/{}{rest}", segment(team), segment(script))
}

fn endpoint_path(team: &str, script: &str, name: &str, rest: &str) -> String {
    format!("/v1/endpoints/{}/{}/{}{rest}", segment(team), segment(script), segment(name))
}

fn scoped(path: &str, scope: &str) -> String {
    format!("{path}/{}", utf8_percent_encode(scope, PATH))
}

/// The path with those of the parameters that have a value.
fn with_query(mut path: String, parameters: &[(&str, Option<&str>)]) -> String {
    let mut separator = '?';
    for (name, value) in parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
        path.push(separator);
        path.push_str(name);
        path.push('=');
        path.extend(utf8_percent_encode(value, SEGMENT));
        separator = '&';
    }
    path
}

fn set(flag: bool) -> Option<&'static str> {
    flag.then_some("true")
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl List {
    fn of(&self, path: String) -> String {
        let limit = self.limit.map(|limit| limit.to_string());
        with_query(
            path,
            &[
                ("team", self.team.as_deref()),
                ("script", self.script.as_deref()),
                ("limit", limit.as_deref()),
                ("cursor", self.cursor.as_deref()),
            ],
        )
    }
}

/// Scripts.
impl Client {
    /// All scripts and where they stand.
    pub async fn scripts(&self, list: &List) -> Result<Page<Script>, ClientError> {
        self.json(Ask::get(list.of("/v1/scripts".to_owned()))).await
    }

    /// Uploads a revision, a tar archive that is plain or compressed with gzip or zstd.
    pub async fn upload(
        &self,
        team: &str,
        script: &str,
        archive: Bytes,
        upload: &Upload,
    ) -> Result<DeployAnswer, ClientError> {
        let path = with_query(
            script_path(team, script, "/revisions"),
            &[
                ("activate", upload.keep_inactive.then_some("false")),
                ("message", given(&upload.message)),
                ("tag", upload.tag.as_deref()),
                ("dry_run", set(upload.dry_run)),
                ("wait", Some(upload.wait.as_str())),
                ("timeout", upload.timeout.as_deref()),
            ],
        );
        let mut ask = Ask::new(Method::POST, path).with_header(CONTENT_TYPE, "application/x-tar")?;
        if let Some(key) = &upload.idempotency_key {
            ask = ask.with_header(HeaderName::from_static("idempotency-key"), &format!("\"{key}\""))?;
        }
        ask.body = archive;
        self.json(ask).await
    }

    /// The history of a script, newest first.
    pub async fn revisions(
        &self,
        team: &str,
        script: &str,
        list: &List,
    ) -> Result<Page<Revision>, ClientError> {
        self.json(Ask::get(list.of(script_path(team, script, "/revisions")))).await
    }

    /// One revision and the list of its files.
    pub async fn revision(
        &self,
        team: &str,
        script: &str,
        number: u64,
    ) -> Result<RevisionDetail, ClientError> {
        self.json(Ask::get(script_path(team, script, &format!("/revisions/{number}")))).await
    }

    /// One file of a revision.
    pub async fn file(
        &self,
        team: &str,
        script: &str,
        number: u64,
        path: &str,
    ) -> Result<Bytes, ClientError> {
        let file: Vec<String> = path.split('/').map(segment).collect();
        let path = script_path(team, script, &format!("/revisions/{number}/files/{}", file.join("/")));
        Ok(self.success(Ask::new(Method::GET, path)).await?.body)
    }

    /// Where a script stands.
    pub async fn active(&self, team: &str, script: &str) -> Result<Head, ClientError> {
        self.json(Ask::get(script_path(team, script, "/active"))).await
    }

    /// Moves the active revision, if the script still stands where `etag` says; `*` for anywhere.
    pub async fn activate(
        &self,
        team: &str,
        script: &str,
        etag: &str,
        request: &ActivateRequest,
        dry_run: bool,
        wait: Wait,
    ) -> Result<Activated, ClientError> {
        let path = script_path(team, script, "/active");
        let path = with_query(path, &[("dry_run", set(dry_run)), ("wait", Some(wait.as_str()))]);
        self.json(Ask::new(Method::PUT, path).with_json(request)?.with_header(IF_MATCH, etag)?).await
    }

    /// Takes a script's endpoints away, if the script still stands where `etag` says; `*` for anywhere.
    pub async fn delete_script(
        &self,
        team: &str,
        script: &str,
        etag: &str,
        reason: Option<&str>,
        dry_run: bool,
    ) -> Result<Deleted, ClientError> {
        let path =
            with_query(script_path(team, script, ""), &[("dry_run", set(dry_run)), ("reason", reason)]);
        self.json(Ask::new(Method::DELETE, path).with_header(IF_MATCH, etag)?).await
    }
}

/// Endpoints and switches.
impl Client {
    /// What devices can call.
    pub async fn endpoints(&self, list: &List) -> Result<Page<Endpoint>, ClientError> {
        self.json(Ask::get(list.of("/v1/endpoints".to_owned()))).await
    }

    /// One endpoint.
    pub async fn endpoint(&self, team: &str, script: &str, name: &str) -> Result<Endpoint, ClientError> {
        self.json(Ask::get(endpoint_path(team, script, name, ""))).await
    }

    /// Which nodes serve what the store has of an endpoint's script.
    pub async fn convergence(
        &self,
        team: &str,
        script: &str,
        name: &str,
    ) -> Result<Convergence, ClientError> {
        self.json(Ask::get(endpoint_path(team, script, name, "/convergence"))).await
    }

    /// Lets an endpoint answer again that was set aside.
    pub async fn lift_quarantine(
        &self,
        team: &str,
        script: &str,
        name: &str,
        reason: Option<&str>,
        dry_run: bool,
    ) -> Result<Endpoint, ClientError> {
        let path = endpoint_path(team, script, name, "/quarantine");
        let path = with_query(path, &[("reason", reason), ("dry_run", set(dry_run))]);
        self.json(Ask::new(Method::DELETE, path)).await
    }

    /// All switches.
    pub async fn switches(&self) -> Result<Page<Switch>, ClientError> {
        self.json(Ask::get("/v1/switches")).await
    }

    /// Sets a switch.
    pub async fn switch_off(
        &self,
        scope: &str,
        request: &SwitchRequest,
        dry_run: bool,
    ) -> Result<SwitchAnswer, ClientError> {
        let path = with_query(scoped("/v1/switches", scope), &[("dry_run", set(dry_run))]);
        self.json(Ask::new(Method::PUT, path).with_json(request)?).await
    }

    /// Releases a kill switch.
    pub async fn switch_on(
        &self,
        scope: &str,
        reason: Option<&str>,
        dry_run: bool,
    ) -> Result<SwitchAnswer, ClientError> {
        self.release_switch(scope, SwitchKind::Kill, reason, dry_run).await
    }

    /// Releases a switch of any kind.
    pub async fn release_switch(
        &self,
        scope: &str,
        kind: SwitchKind,
        reason: Option<&str>,
        dry_run: bool,
    ) -> Result<SwitchAnswer, ClientError> {
        let kind = (kind != SwitchKind::Kill).then(|| kind.as_str());
        let path = with_query(
            scoped("/v1/switches", scope),
            &[("kind", kind), ("reason", reason), ("dry_run", set(dry_run))],
        );
        self.json(Ask::new(Method::DELETE, path)).await
    }
}

/// Tokens and the server itself.
impl Client {
    /// Sets every kind of switch on a canary, and tells what each did.
    pub async fn drill(&self, request: &DrillRequest) -> Result<DrillAnswer, ClientError> {
        self.json(Ask::new(Method::POST, "/v1/drill").with_json(request)?).await
    }

    /// All tokens, without their secrets.
    pub async fn tokens(&self) -> Result<Page<Token>, ClientError> {
        self.json(Ask::get("/v1/tokens")).await
    }

    /// Makes a token.
    pub async fn create_token(&self, request: &TokenRequest) -> Result<TokenMade, ClientError> {
        self.json(Ask::new(Method::POST, "/v1/tokens").with_json(request)?).await
    }

    /// Revokes a token for good.
    pub async fn revoke_token(&self, id: &str) -> Result<Token, ClientError> {
        self.json(Ask::new(Method::DELETE, format!("/v1/tokens/{}", segment(id)))).await
    }

    /// Who the caller is.
    pub async fn whoami(&self) -> Result<Whoami, ClientError> {
        self.json(Ask::get("/v1/whoami")).await
    }

    /// What the server is.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.json(Ask::get("/v1/version")).await
    }

    /// Every default and ceiling in force.
    pub async fn limits(&self) -> Result<Limits, ClientError> {
        self.json(Ask::get("/v1/limits")).await
    }

    /// How much of its quotas a scope has used.
    pub async fn quotas(&self, scope: &str) -> Result<QuotaState, ClientError> {
        self.json(Ask::get(scoped("/v1/quotas", scope))).await
    }

    /// All that is set of any scope's quotas.
    pub async fn quotas_set(&self) -> Result<Page<QuotasSet>, ClientError> {
        self.json(Ask::get("/v1/quotas")).await
    }

    /// Sets quotas of a scope, if they were changed as often as `etag` says; `*` for however often.
    pub async fn set_quotas(
        &self,
        scope: &str,
        etag: &str,
        request: &QuotaRequest,
        dry_run: bool,
    ) -> Result<QuotaAnswer, ClientError> {
        let path = with_query(scoped("/v1/quotas", scope), &[("dry_run", set(dry_run))]);
        self.json(Ask::new(Method::PUT, path).with_json(request)?.with_header(IF_MATCH, etag)?).await
    }

    /// Takes back all that was set of a scope's quotas.
    pub async fn reset_quotas(
        &self,
        scope: &str,
        etag: &str,
        reason: Option<&str>,
        dry_run: bool,
    ) -> Result<QuotaAnswer, ClientError> {
        let path = with_query(scoped("/v1/quotas", scope), &[("dry_run", set(dry_run)), ("reason", reason)]);
        self.json(Ask::new(Method::DELETE, path).with_header(IF_MATCH, etag)?).await
    }

    /// Who did what, newest first.
    pub async fn audit(&self, list: &List) -> Result<Page<AuditEntry>, ClientError> {
        self.json(Ask::get(list.of("/v1/audit".to_owned()))).await
    }

    /// The nodes of the fleet.
    pub async fn nodes(&self) -> Result<Page<Node>, ClientError> {
        self.json(Ask::get("/v1/nodes")).await
    }

    /// Why a device's call was refused.
    pub async fn decision(&self, id: &str) -> Result<Decision, ClientError> {
        self.json(Ask::get(format!("/v1/decisions/{}", segment(id)))).await
    }

    /// The contract that the server speaks.
    pub async fn contract(&self) -> Result<Value, ClientError> {
        self.json(Ask::get("/v1/openapi.json")).await
    }

    /// Whether the process is alive.
    pub async fn live(&self) -> Result<(), ClientError> {
        self.success(Ask::new(Method::GET, "/livez")).await.map(drop)
    }

    /// Whether the node is ready to serve, with all checks. Not being ready is an answer, no error.
    pub async fn ready(&self) -> Result<Health, ClientError> {
        let raw = self.raw(Ask::get("/readyz?verbose=true")).await?;
        match raw.status {
            status if status.is_success() => read(&raw),
            StatusCode::SERVICE_UNAVAILABLE => read(&raw).map_err(|_: ClientError| problem_of(&raw)),
            _ => Err(problem_of(&raw)),
        }
    }

    /// The metrics, as text for Prometheus.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let raw = self.success(Ask::new(Method::GET, "/metrics")).await?;
        String::from_utf8(raw.body.to_vec()).map_err(|error| ClientError::Protocol(error.to_string()))
    }
}
