//! The ledger: what was to be deployed, what is under way, and what the server acknowledged.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::client::Upload;
use api::{Client, ClientError, DeployAnswer};
use futures_util::future::join_all;
use tests::server::bundle;

/// The scripts that are deployed in turn.
pub const SCRIPTS: usize = 20;
/// How many deploy at once.
const DEPLOYERS: usize = 3;
/// The team of all scripts.
pub const TEAM: &str = "crash";

/// What is known of every deploy. A deploy is a number, which its script answers.
#[derive(Clone)]
pub struct Ledger {
    next: VecDeque<usize>,
    under_way: BTreeSet<usize>,
    acknowledged: BTreeMap<usize, u64>,
    paused: bool,
}

impl Ledger {
    /// So many deploys are to be made.
    pub fn of(deploys: usize) -> Self {
        Self {
            next: (0..deploys).collect(),
            under_way: BTreeSet::new(),
            acknowledged: BTreeMap::new(),
            paused: false,
        }
    }

    /// How many were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// How many were sent and not answered.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// The revision that a deploy was told to be.
    pub fn revision(&self, deploy: usize) -> Option<u64> {
        self.acknowledged.get(&deploy).copied()
    }

    /// Whether a deploy was sent and not answered.
    pub fn is_under_way(&self, deploy: usize) -> bool {
        self.under_way.contains(&deploy)
    }

    /// The acknowledged deploys of a script and their revisions.
    pub fn of_script(&self, script: usize) -> impl Iterator<Item = (usize, u64)> {
        let all = self.acknowledged.iter().map(|(deploy, revision)| (*deploy, *revision));
        all.filter(move |(deploy, _)| deploy % SCRIPTS == script)
    }

    /// From now on no deploy is begun, until they are next gone through.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    fn take(&mut self) -> Option<usize> {
        if self.paused {
            return None;
        }
        let deploy = self.next.pop_front()?;
        self.under_way.insert(deploy);
        Some(deploy)
    }

    fn done(&mut self, deploy: usize, answer: &DeployAnswer) {
        self.under_way.remove(&deploy);
        self.acknowledged.insert(deploy, answer.revision.number);
    }
}

/// The name of a deploy's script.
pub fn script_of(deploy: usize) -> String {
    format!("s{:02}", deploy % SCRIPTS)
}

/// What both endpoints of a deploy's script answer.
pub fn answer_of(deploy: usize) -> String {
    format!("{} by deploy {deploy}", script_of(deploy))
}

/// The source of a deploy's script.
pub fn source_of(deploy: usize) -> String {
    let answer = answer_of(deploy);
    format!("pub fn main(request) {{ \"{answer}\" }}\npub fn twin(request) {{ \"{answer}\" }}\n")
}

/// Makes all deploys that are left, those first of which nobody knows the outcome. A deploy that gets no answer
/// is asked for again at once if `again`, else whoever made it stops.
pub async fn deploy_all(client: &Client, ledger: &RefCell<Ledger>, again: bool) {
    {
        let mut ledger = ledger.borrow_mut();
        ledger.paused = false;
        let unknown: Vec<usize> = ledger.under_way.iter().rev().copied().collect();
        for deploy in unknown.into_iter().filter(|deploy| !ledger.next.contains(deploy)).collect::<Vec<_>>() {
            ledger.next.push_front(deploy);
        }
    }
    join_all((0..DEPLOYERS).map(|_| deployer(client, ledger, again))).await;
}

async fn deployer(client: &Client, ledger: &RefCell<Ledger>, again: bool) {
    loop {
        let Some(deploy) = ledger.borrow_mut().take() else { return };
        loop {
            match upload(client, deploy).await {
                Ok(answer) => {
                    ledger.borrow_mut().done(deploy, &answer);
                    break;
                }
                Err(ClientError::Unreachable { why, .. }) => {
                    if !again {
                        return;
                    }
                    assert!(!why.contains("refused"), "the socket was closed: {why}");
                }
                Err(error) => panic!("deploy {deploy}: {error:?}"),
            }
        }
    }
}

/// One deploy. It has a key, so that asking again is the same deploy.
async fn upload(client: &Client, deploy: usize) -> Result<DeployAnswer, ClientError> {
    let script = script_of(deploy);
    let manifest = format!(
        "[[endpoint]]\npath = \"/{TEAM}/{script}/twin\"\nmethods = [\"GET\"]\nhandler = \"main::twin\""
    );
    let bundle = bundle(&format!("{TEAM}/{script}"), &manifest, &source_of(deploy));
    let upload = Upload {
        message: deploy.to_string(),
        idempotency_key: Some(format!("deploy-{deploy}")),
        ..Upload::default()
    };
    client.upload(TEAM, &script, bundle.to_archive().into(), &upload).await
}
