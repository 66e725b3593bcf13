//! Scope: the names of everything that a rule, a switch or a refusal can be about.
//!
//! Invariant: a name was validated when it was made, so any name in hand is well formed; a scope prints as
//! text that parses back to the same scope.
//! Not here: which rules apply to a scope (`limits`, `switches`).

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

/// Text that does not name what it should name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {problem}; write it like `{example}`")]
pub struct ParseScopeError {
    /// What was expected, with its article.
    pub what: &'static str,
    /// The text that was given.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
    /// A text that would have done.
    pub example: &'static str,
}

impl ParseScopeError {
    /// The stable code of this error.
    pub const CODE: &'static str = "scope.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

/// The longest name.
pub const NAME_MAX: usize = 63;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads a name: a small letter or a digit, then up to 62 of `a-z`, `0-9`, `_` and `-`.
            pub fn parse(text: &str) -> Result<Self, ParseScopeError> {
                text.parse()
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseScopeError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check_name(text).map_err(wrong($what, text, $example))?;
                Ok(Self(text.into()))
            }
        }
    )*};
}

names! {
    /// The name of a service that scripts call.
    ServiceName, "a service's name", "catalog";
    /// The name of a class of devices.
    ClassName, "a device class", "tv-2015";
    /// The name of a team, unique on the server.
    TeamName, "a team's name", "tv";
    /// The name of a script, unique in its team.
    ScriptName, "a script's name", "home";
    /// The name of an endpoint, unique in its script.
    EndpointName, "an endpoint's name", "home";
    /// The name of a region, which nodes are in.
    RegionName, "a region's name", "eu-west-1";
}

/// The name of a node, unique in its fleet: 1 to 63 printable ASCII characters without spaces, as hosts have them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

/// A script of a team: `tv/home`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScriptId {
    /// The team that owns it.
    pub team: TeamName,
    /// Its name within the team.
    pub script: ScriptName,
}

/// An endpoint of a script: `tv/home/home`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId {
    /// The script that answers it.
    pub script: ScriptId,
    /// Its name within the script.
    pub name: EndpointName,
}

/// The number of a revision within its script, counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionNumber(NonZeroU64);

/// One revision of a script: `tv/home@7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevisionId {
    /// The script it is a revision of.
    pub script: ScriptId,
    /// Its number.
    pub number: RevisionNumber,
}

/// What a rule, a switch or a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everything that runs: `all`.
    All,
    /// All of a team: `team:tv`.
    Team(TeamName),
    /// All endpoints of a script: `script:tv/home`.
    Script(ScriptId),
    /// One endpoint: `endpoint:tv/home/home`.
    Endpoint(EndpointId),
    /// One revision of a script: `revision:tv/home@7`.
    Revision(RevisionId),
    /// All calls of a class of devices: `class:tv-2015`.
    Class(ClassName),
    /// All calls that scripts make to a service: `service:catalog`.
    Service(ServiceName),
    /// Everything that runs on the nodes of a region: `region:eu-west-1`.
    Region(RegionName),
    /// Everything that runs on one node: `node:tv-7.example`.
    Node(NodeName),
}

impl Scope {
    /// The team that it lies in; what concerns all teams lies in none.
    pub fn team(&self) -> Option<&TeamName> {
        match self {
            Self::Team(team) => Some(team),
            Self::Script(script) => Some(&script.team),
            Self::Endpoint(endpoint) => Some(endpoint.team()),
            Self::Revision(revision) => Some(&revision.script.team),
            Self::All | Self::Class(_) | Self::Service(_) | Self::Region(_) | Self::Node(_) => None,
        }
    }
}

impl NodeName {
    /// Reads a node's name.
    pub fn parse(text: &str) -> Result<Self, ParseScopeError> {
        text.parse()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ScriptId {
    /// Reads `team/script`.
    pub fn parse(text: &str) -> Result<Self, ParseScopeError> {
        text.parse()
    }
}

impl EndpointId {
    /// Reads `team/script/name`.
    pub fn parse(text: &str) -> Result<Self, ParseScopeError> {
        text.parse()
    }

    /// The team that owns it.
    pub fn team(&self) -> &TeamName {
        &self.script.team
    }
}

impl RevisionNumber {
    /// The revision with this number; nothing for zero.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The number of a script's first revision.
    pub const fn first() -> Self {
        Self(NonZeroU64::MIN)
    }

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl RevisionId {
    /// Reads `team/script@number`.
    pub fn parse(text: &str) -> Result<Self, ParseScopeError> {
        text.parse()
    }
}

impl Scope {
    /// Reads `all`, `team:…`, `script:…`, `endpoint:…`, `revision:…`, `class:…`, `service:…`, `region:…` or
    /// `node:…`.
    pub fn parse(text: &str) -> Result<Self, ParseScopeError> {
        text.parse()
    }

    /// The word before the colon.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Team(_) => "team",
            Self::Script(_) => "script",
            Self::Endpoint(_) => "endpoint",
            Self::Revision(_) => "revision",
            Self::Class(_) => "class",
            Self::Service(_) => "service",
            Self::Region(_) => "region",
            Self::Node(_) => "node",
        }
    }
}

impl fmt::Display for ScriptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.team, self.script)
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.script, self.name)
    }
}

impl fmt::Display for RevisionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.script, self.number)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::All => Ok(()),
            Self::Team(id) => write!(f, ":{id}"),
            Self::Script(id) => write!(f, ":{id}"),
            Self::Endpoint(id) => write!(f, ":{id}"),
            Self::Revision(id) => write!(f, ":{id}"),
            Self::Class(id) => write!(f, ":{id}"),
            Self::Service(id) => write!(f, ":{id}"),
            Self::Region(id) => write!(f, ":{id}"),
            Self::Node(id) => write!(f, ":{id}"),
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeName {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        let problem = "it has to be 1 to 63 printable characters without spaces";
        if fits { Ok(Self(text.into())) } else { Err(wrong("a node's name", text, "tv-7.example")(problem)) }
    }
}

impl FromStr for ScriptId {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = wrong("a script", text, "tv/home");
        let (team, script) =
            text.split_once('/').ok_or_else(|| wrong("it needs a team and a script with a `/` between"))?;
        if script.contains('/') {
            return Err(wrong("it has more than two parts"));
        }
        Ok(Self { team: team.parse()?, script: script.parse()? })
    }
}

impl FromStr for EndpointId {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = wrong("an endpoint", text, "tv/home/home");
        let mut parts = text.split('/');
        let (Some(team), Some(script), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("it needs a team, a script and a name with a `/` between each"));
        };
        if parts.next().is_some() {
            return Err(wrong("it has more than three parts"));
        }
        Ok(Self { script: ScriptId { team: team.parse()?, script: script.parse()? }, name: name.parse()? })
    }
}

impl FromStr for RevisionNumber {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits).and_then(Self::new);
        number
            .ok_or_else(|| wrong("a revision's number", text, "7")("it has to be a whole number from one up"))
    }
}

impl FromStr for RevisionId {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = wrong("a revision", text, "tv/home@7");
        let (script, number) = text
            .split_once('@')
            .ok_or_else(|| wrong("it needs a script and a number with an `@` between"))?;
        Ok(Self { script: script.parse()?, number: number.parse()? })
    }
}

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self::All);
        }
        let wrong = wrong("a scope", text, "endpoint:tv/home/home");
        let (kind, rest) =
            text.split_once(':').ok_or_else(|| wrong("it has to be `all` or a kind, a `:` and a name"))?;
        Ok(match kind {
            "team" => Self::Team(rest.parse()?),
            "script" => Self::Script(rest.parse()?),
            "endpoint" => Self::Endpoint(rest.parse()?),
            "revision" => Self::Revision(rest.parse()?),
            "class" => Self::Class(rest.parse()?),
            "service" => Self::Service(rest.parse()?),
            "region" => Self::Region(rest.parse()?),
            "node" => Self::Node(rest.parse()?),
            _ => {
                return Err(wrong(
                    "the kind has to be team, script, endpoint, revision, class, service, region or node, or the \
                     whole `all`",
                ));
            }
        })
    }
}

/// Makes the error for one text, given what is wrong with it.
fn wrong<'a>(
    what: &'static str,
    text: &'a str,
    example: &'static str,
) -> impl Fn(&'static str) -> ParseScopeError + 'a {
    move |problem| ParseScopeError { what, text: text.to_owned(), problem, example }
}

/// Says what keeps a text from being a name.
fn check_name(text: &str) -> Result<(), &'static str> {
    let first = text.bytes().next().ok_or("it is empty")?;
    if !(first.is_ascii_lowercase() || first.is_ascii_digit()) {
        return Err("it has to begin with a small letter or a digit");
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-') {
        return Err("only a-z, 0-9, `_` and `-` may stand in it");
    }
    if text.len() > NAME_MAX {
        return Err("it is longer than 63 characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
