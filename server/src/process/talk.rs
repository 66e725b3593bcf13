//! Talk: what a warden orders and what its child tells, a line each on the child's standard input and output.
//!
//! Invariant: the first line that a child reads is [`Order::Begin`]; a standard input that ends means that the
//! warden is gone. A line that is not understood is passed over: the other side may be of another version.

use std::io::{self, BufRead, Write};

use actors::node::{Aftermath, Death, SetAside};
use quotas::blame::Culprit;
use quotas::scope::{EndpointId, RevisionNumber};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// What a child tells its warden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It serves.
    Ready,
    /// It made the first admin token, which is shown once.
    Token(String),
    /// It cannot serve, and says why before it ends.
    Failed(String),
    /// An operator vouches for this endpoint.
    Lifted(EndpointId),
    /// It could start, and waits for the store of the one before it.
    Waits,
    /// It has let go of the store.
    LetGo,
    /// It has the store again.
    TookBack,
}

impl Told {
    /// The line.
    pub fn line(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Token(token) => format!("token {token}"),
            Self::Failed(why) => format!("failed {}", why.replace('\n', " ")),
            Self::Lifted(endpoint) => format!("lifted {endpoint}"),
            Self::Waits => "waits".to_owned(),
            Self::LetGo => "let-go".to_owned(),
            Self::TookBack => "took-back".to_owned(),
        }
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            None if line == "ready" => Some(Self::Ready),
            None if line == "waits" => Some(Self::Waits),
            None if line == "let-go" => Some(Self::LetGo),
            None if line == "took-back" => Some(Self::TookBack),
            Some(("token", token)) => Some(Self::Token(token.to_owned())),
            Some(("failed", why)) => Some(Self::Failed(why.to_owned())),
            Some(("lifted", endpoint)) => EndpointId::parse(endpoint).ok().map(Self::Lifted),
            _ => None,
        }
    }

    /// Tells it, from a child.
    ///
    /// # Errors
    /// The warden does not read any more.
    pub fn tell(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", self.line())?;
        out.flush()
    }
}

/// What a warden orders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Start, and know this.
    Begin(Brief),
    /// Let go of the store, and go on serving devices from memory.
    LetGo,
    /// Take it back: there is no next process after all.
    TakeBack,
    /// The next process serves: finish what you have, and end.
    Retire,
}

/// What a child is to know of those before it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    /// Deaths that no child was told of yet.
    pub deaths: Vec<DeathLine>,
    /// What is not to run.
    pub set_aside: Vec<AsideLine>,
    /// Another process serves and will let go of the store.
    #[serde(default)]
    pub takes_over: bool,
}

/// A death, as it crosses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeathLine {
    pub(super) what: String,
    /// Endpoint and revision.
    pub(super) culprit: Option<(String, u64)>,
}

/// Something that is not to run, as it crosses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsideLine {
    pub(super) endpoint: String,
    pub(super) revision: u64,
    pub(super) reason: String,
    pub(super) since_ms: u64,
    pub(super) until_ms: u64,
    pub(super) is_new: bool,
}

/// A culprit from the text of its endpoint and the number of its revision.
pub(super) fn culprit(endpoint: &str, revision: u64) -> Option<Culprit> {
    let endpoint = EndpointId::parse(endpoint).ok()?;
    Some(Culprit { endpoint, revision: RevisionNumber::new(revision)? })
}

impl Brief {
    /// The same as a node takes it.
    pub fn aftermath(self, lifted: mpsc::UnboundedSender<EndpointId>) -> Aftermath {
        let death = |line: DeathLine| Death {
            what: line.what,
            culprit: line.culprit.and_then(|(endpoint, revision)| culprit(&endpoint, revision)),
        };
        let aside = |line: AsideLine| {
            let Culprit { endpoint, revision } = culprit(&line.endpoint, line.revision)?;
            let AsideLine { reason, since_ms, until_ms, is_new, .. } = line;
            Some(SetAside { endpoint, revision, reason, since_ms, until_ms, is_new })
        };
        Aftermath {
            deaths: self.deaths.into_iter().map(death).collect(),
            set_aside: self.set_aside.into_iter().filter_map(aside).collect(),
            lifted: Some(lifted),
        }
    }
}

impl Order {
    /// The line, with its end.
    pub fn line(&self) -> String {
        let json = serde_json::to_string(self).expect("texts and numbers encode");
        format!("{json}\n")
    }

    fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// The orders of a child, as they come. The first one is read here; the rest comes by the channel, which ends when
/// the warden is gone.
///
/// # Errors
/// There is no warden.
pub fn orders() -> io::Result<(Brief, mpsc::UnboundedReceiver<Order>)> {
    let mut lines = io::stdin().lock().lines();
    let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
    let Some(Order::Begin(brief)) = Order::parse(&first) else {
        return Err(io::Error::other("the warden did not say how to begin"));
    };
    drop(lines);
    let (orders, coming) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if Order::parse(&line).is_some_and(|order| orders.send(order).is_err()) {
                break;
            }
        }
    });
    Ok((brief, coming))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood() {
        for told in [
            Told::Ready,
            Told::Token("cb_abc".to_owned()),
            Told::Failed("no store".to_owned()),
            Told::Lifted(EndpointId::parse("tv/home/home").unwrap()),
            Told::Waits,
            Told::LetGo,
            Told::TookBack,
        ] {
            assert_eq!(Told::parse(&told.line()), Some(told));
        }
        let failed = Told::Failed("two\nlines".to_owned());
        assert_eq!(Told::parse(&failed.line()), Some(Told::Failed("two lines".to_owned())));
        assert_eq!(Told::parse("something of a later version"), None);
    }

    #[test]
    fn what_is_ordered_is_one_line_and_understood() {
        let set_aside = vec![AsideLine {
            endpoint: "tv/home/home".to_owned(),
            revision: 7,
            reason: "two\nlines".to_owned(),
            since_ms: 1,
            until_ms: 2,
            is_new: true,
        }];
        let deaths = vec![
            DeathLine { what: "SIGSEGV".to_owned(), culprit: Some(("tv/home/home".to_owned(), 7)) },
            DeathLine { what: "killed".to_owned(), culprit: None },
        ];
        let order = Order::Begin(Brief { deaths, set_aside, takes_over: true });
        let line = order.line();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(Order::parse(&line), Some(order));
        assert_eq!(Order::parse("{\"something\":1}"), None);
    }
}
