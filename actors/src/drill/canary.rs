//! The canary: the endpoint that a drill is run on.

use std::collections::BTreeMap;
use std::sync::Arc;

use quotas::scope::{EndpointId, ScriptId, TeamName};
use runtime::bundle::{Bundle, BundlePath};
use runtime::manifest::Method;
use runtime::route_pattern::Segment;

use crate::controller::{Delete, Deploy};
use crate::error::ControlError;
use crate::node::Node;
use crate::routes::EndpointEntry;
use crate::who::Who;

/// The script that is deployed where no endpoint is named.
const SCRIPT: &str = "drill-canary";
const SOURCE: &str = "pub fn main(request) { \"ok\" }\n";

/// An endpoint for a drill.
#[derive(Debug, Clone)]
pub(super) struct Canary {
    pub(super) endpoint: EndpointId,
    /// Whether the drill made it.
    is_ours: bool,
}

impl Canary {
    /// An endpoint that is there.
    pub(super) fn of(node: &Node, endpoint: &EndpointId) -> Result<Self, ControlError> {
        let routes = node.shared().routes.load();
        let entry =
            routes.endpoint(endpoint).ok_or_else(|| ControlError::EndpointUnknown(endpoint.clone()))?;
        match is_simple(entry) {
            true => Ok(Self { endpoint: endpoint.clone(), is_ours: false }),
            false => Err(ControlError::CanaryUnfit { endpoint: endpoint.clone() }),
        }
    }

    /// A script of one line, for this team.
    pub(super) async fn deploy(node: &Node, who: &Who, team: &TeamName) -> Result<Self, ControlError> {
        let script = ScriptId { team: team.clone(), script: SCRIPT.parse().expect("it is a name") };
        let manifest = format!(
            "team = \"{team}\"\nscript = \"{SCRIPT}\"\n[[endpoint]]\npath = \"/{team}/{SCRIPT}\"\n\
             handler = \"main::main\"\n"
        );
        let file = |path: &str, text: &str| {
            (BundlePath::parse(path).expect("it is a path"), Arc::from(text.as_bytes()))
        };
        let files = BTreeMap::from([file("callboard.toml", &manifest), file("main.rn", SOURCE)]);
        let bundle = Bundle::from_files(files).map_err(ControlError::Invalid)?;
        let deploy = Deploy {
            who: who.clone(),
            script: script.clone(),
            bundle,
            message: "a drill".to_owned(),
            tag: None,
            activate: true,
            dry_run: false,
            idempotency_key: None,
        };
        node.controller().send(deploy).await??;
        let endpoint = EndpointId { script, name: "main".parse().expect("it is a name") };
        Ok(Self { endpoint, is_ours: true })
    }

    /// Takes it away if the drill made it. Where that fails, the log says so, and the next drill uses it again.
    pub(super) async fn take_away(&self, node: &Node, who: &Who) {
        if !self.is_ours {
            return;
        }
        let delete = Delete {
            who: who.clone(),
            script: self.endpoint.script.clone(),
            expected: None,
            dry_run: false,
            reason: Some("the drill is over".to_owned()),
        };
        let gone = node.controller().send(delete).await;
        if let Err(error) = gone.unwrap_or_else(|error| Err(error.into())) {
            tracing::warn!(%error, script = %self.endpoint.script, "the canary of a drill could not be taken away");
        }
    }
}

/// Whether it can be called without knowing what it is for.
fn is_simple(entry: &EndpointEntry) -> bool {
    let literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
    entry.spec.methods.contains(&Method::Get) && entry.spec.path.segments().iter().all(literal)
}
