//! Caller: who asks, and what they may.
//!
//! Invariant: what another team owns looks to a team's token exactly like what is not there; what is there
//! and not allowed is `auth.forbidden`.

use std::net::SocketAddr;

use actors::error::ControlError;
use actors::who::Who;
use api::Role;
use quotas::scope::{EndpointId, Scope, ScriptId, TeamName};

use super::Bearer;
use crate::http::problem::ProblemError;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What their token says.
    pub bearer: Bearer,
    /// Where they came from.
    pub from: SocketAddr,
    /// The id of their request.
    pub request: String,
}

impl Caller {
    /// For the history.
    pub fn who(&self) -> Who {
        Who {
            name: self.bearer.name.clone(),
            from: self.from.ip().to_string(),
            request: self.request.clone(),
        }
    }

    /// Whether they may look at what a team owns.
    pub fn sees(&self, team: &TeamName) -> bool {
        self.bearer.team.as_ref().is_none_or(|own| own == team)
    }

    /// Whether they may know of a scope: those of their team, and those of no team.
    pub fn sees_scope(&self, scope: &Scope) -> bool {
        scope.team().is_none_or(|team| self.sees(team))
    }

    /// The team that a list is narrowed to; an error when nothing is left of it.
    pub fn narrowed(&self, asked: Option<TeamName>) -> Result<Option<TeamName>, NothingLeft> {
        match (&self.bearer.team, asked) {
            (Some(own), Some(asked)) if *own != asked => Err(NothingLeft),
            (Some(own), _) => Ok(Some(own.clone())),
            (None, asked) => Ok(asked),
        }
    }

    /// They may look at a script.
    pub fn reads_script(&self, script: &ScriptId) -> Result<(), ProblemError> {
        match self.sees(&script.team) {
            true => Ok(()),
            false => Err(ControlError::ScriptUnknown(script.clone()).into()),
        }
    }

    /// They may look at an endpoint.
    pub fn reads_endpoint(&self, endpoint: &EndpointId) -> Result<(), ProblemError> {
        match self.sees(endpoint.team()) {
            true => Ok(()),
            false => Err(ControlError::EndpointUnknown(endpoint.clone()).into()),
        }
    }

    /// They may change a script.
    pub fn deploys(&self, script: &ScriptId) -> Result<(), ProblemError> {
        self.reads_script(script)?;
        self.has(Role::Deployer)
    }

    /// They may make a revision of a script, which need not exist: a refusal tells nothing of what is there.
    pub fn uploads(&self, script: &ScriptId) -> Result<(), ProblemError> {
        match &self.bearer.team {
            Some(own) if *own != script.team => {
                let detail = format!("the token is bound to the team {own}, and {script} is not inside it");
                Err(ProblemError::of("auth.forbidden", detail))
            }
            _ => self.has(Role::Deployer),
        }
    }

    /// They may lift the quarantine of an endpoint.
    pub fn lifts(&self, endpoint: &EndpointId) -> Result<(), ProblemError> {
        self.reads_endpoint(endpoint)?;
        self.has(Role::Operator)
    }

    /// They may turn a scope off and on: an operator any, a team's own deployers and operators those inside
    /// their team. A scope need not exist to be switched, so a refusal tells nothing about what is there.
    pub fn switches(&self, scope: &Scope) -> Result<(), ProblemError> {
        match (&self.bearer.team, scope.team()) {
            (None, _) => self.has(Role::Operator),
            (Some(own), Some(team)) if own == team => self.has(Role::Deployer),
            (Some(own), _) => {
                let detail = format!("the token is bound to the team {own}, and {scope} is not inside it");
                Err(ProblemError::of("auth.forbidden", detail))
            }
        }
    }

    /// They may set quotas: an operator whom no team binds, or a team could give itself what is others'.
    pub fn sets_quotas(&self) -> Result<(), ProblemError> {
        match &self.bearer.team {
            None => self.has(Role::Operator),
            Some(own) => {
                let detail = format!(
                    "the token is bound to the team {own}; quotas are set by an operator of all teams"
                );
                Err(ProblemError::of("auth.forbidden", detail))
            }
        }
    }

    /// They may make and revoke tokens.
    pub fn administers(&self) -> Result<(), ProblemError> {
        match self.bearer.team {
            None => self.has(Role::Admin),
            Some(_) => Err(forbidden(Role::Admin, self.bearer.role)),
        }
    }

    fn has(&self, role: Role) -> Result<(), ProblemError> {
        if self.bearer.role >= role { Ok(()) } else { Err(forbidden(role, self.bearer.role)) }
    }
}

/// A list of which the caller may see nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NothingLeft;

fn forbidden(needed: Role, has: Role) -> ProblemError {
    ProblemError::of("auth.forbidden", format!("it needs the role {needed}, the token has {has}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, team: Option<&str>) -> Caller {
        let team = team.map(|team| team.parse().unwrap());
        let bearer = Bearer { name: "ana".to_owned(), id: None, role, team, expires_ms: None };
        Caller { bearer, from: "127.0.0.1:1".parse().unwrap(), request: "r1".to_owned() }
    }

    fn code(done: Result<(), ProblemError>) -> String {
        done.err().map_or("ok".to_owned(), |error| error.problem().code.clone())
    }

    #[test]
    fn a_role_may_what_it_may_and_another_team_is_not_there() {
        fn check(role: Role, team: Option<&str>, own: [&str; 3], other: [&str; 3]) {
            let caller = caller(role, team);
            for (team, wanted) in [("tv", own), ("radio", other)] {
                let script: ScriptId = format!("{team}/home").parse().unwrap();
                let endpoint: EndpointId = format!("{team}/home/home").parse().unwrap();
                let found = [caller.reads_script(&script), caller.deploys(&script), caller.lifts(&endpoint)];
                assert_eq!(found.map(code), wanted, "{role} of {:?} at {team}", caller.bearer.team);
            }
        }
        const NO: &str = "auth.forbidden";
        let gone = ["script.unknown", "script.unknown", "endpoint.unknown"];
        check(Role::Viewer, None, ["ok", NO, NO], ["ok", NO, NO]);
        check(Role::Viewer, Some("tv"), ["ok", NO, NO], gone);
        check(Role::Deployer, None, ["ok", "ok", NO], ["ok", "ok", NO]);
        check(Role::Deployer, Some("tv"), ["ok", "ok", NO], gone);
        check(Role::Operator, None, ["ok", "ok", "ok"], ["ok", "ok", "ok"]);
        check(Role::Operator, Some("tv"), ["ok", "ok", "ok"], gone);
        check(Role::Admin, None, ["ok", "ok", "ok"], ["ok", "ok", "ok"]);
    }

    #[test]
    fn switches_are_for_operators_and_inside_a_team_for_its_deployers() {
        fn check(role: Role, team: Option<&str>, allowed: &[&str]) {
            let scopes = [
                "all",
                "class:tv-2015",
                "service:catalog",
                "team:tv",
                "script:tv/home",
                "endpoint:tv/home/home",
                "revision:tv/home@7",
                "team:radio",
                "script:radio/home",
            ];
            for scope in scopes {
                let done = caller(role, team).switches(&scope.parse().unwrap());
                assert_eq!(done.is_ok(), allowed.contains(&scope), "{role} of {team:?} at {scope}");
            }
        }
        let own = ["team:tv", "script:tv/home", "endpoint:tv/home/home", "revision:tv/home@7"];
        let all = [&own[..], &["all", "class:tv-2015", "service:catalog", "team:radio", "script:radio/home"]]
            .concat();
        check(Role::Viewer, None, &[]);
        check(Role::Viewer, Some("tv"), &[]);
        check(Role::Deployer, None, &[]);
        check(Role::Deployer, Some("tv"), &own);
        check(Role::Operator, Some("tv"), &own);
        check(Role::Operator, None, &all);
        check(Role::Admin, None, &all);
    }

    #[test]
    fn quotas_are_for_operators_that_no_team_binds() {
        for role in Role::ALL {
            assert_eq!(caller(*role, None).sets_quotas().is_ok(), *role >= Role::Operator);
            assert!(caller(*role, Some("tv")).sets_quotas().is_err());
        }
    }

    #[test]
    fn tokens_are_for_admins_that_no_team_binds() {
        for role in Role::ALL {
            assert_eq!(caller(*role, None).administers().is_ok(), *role == Role::Admin);
            assert!(caller(*role, Some("tv")).administers().is_err());
        }
    }
}
