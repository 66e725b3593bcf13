//! Probes: what load balancers and orchestrators ask, without a token, and scrapers, with one.
//!
//! Invariant: whether the process lives depends on nothing; whether it is ready, on itself alone: a store that
//! is down makes no loaded node unready.
//! Not here: the health of scripts.

mod exposition;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use api::{Check, Health};
use quotas::guards::Condition;
use quotas::priority::Score;
use quotas::rule::{Rule, RuleCounts};
use quotas::switches::{Board, Kind};

use self::exposition::Scrape;
use super::auth::Caller;
use super::guard;
use super::manage::AdminDoor;
use super::problem::ProblemError;

/// How long the store is waited for.
const STORE_WAIT: Duration = Duration::from_secs(1);
/// How long the lanes are waited for.
const LANES_WAIT: Duration = Duration::from_secs(1);
/// The media type of the metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /livez`: whether the process lives.
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

/// `GET /readyz`: whether the node can serve.
pub async fn ready(door: web::Data<AdminDoor>, request: HttpRequest) -> Result<HttpResponse, ProblemError> {
    let verbose = match request.query_string() {
        "" | "verbose=false" => false,
        "verbose" | "verbose=" | "verbose=true" => true,
        _ => return Err(ProblemError::of("request.invalid", "the only query parameter here is `verbose`")),
    };
    let shared = door.node.shared();
    let (loaded, draining) = (shared.is_loaded(), shared.node.condition() == Condition::Draining);
    let ready = loaded && !draining;
    let mut checks = Vec::new();
    if verbose {
        let check = |name: &str, ok, detail: &str| Check {
            name: name.to_owned(),
            ok,
            detail: (!detail.is_empty()).then(|| detail.to_owned()),
        };
        checks.push(check("loaded", loaded, if loaded { "" } else { "the scripts were not read yet" }));
        checks.push(check("open", !draining, if draining { "it is about to stop" } else { "" }));
        let (unserved, missing) = (shared.unserved().len(), shared.progress.missing());
        let converged = unserved == 0 && missing == 0;
        let detail = match (unserved, missing) {
            (0, 0) => String::new(),
            (_, 0) => format!("{unserved} scripts are not served as the store has them"),
            _ => format!("{unserved} scripts are not served as the store has them, and it lacks {missing}"),
        };
        checks.push(check("converged", converged, &detail));
        let behind = shared.progress.behind_ms().map(|ms| format!("compared with the store {ms} ms ago"));
        checks.push(check("in step", behind.is_some(), &behind.unwrap_or_else(|| "never".to_owned())));
        // Their names are in the log, for who may read it.
        let detail = match shared.fleet.strangers().len() {
            0 => String::new(),
            strangers => format!("{strangers} of the other nodes have another one: give all the same"),
        };
        checks.push(check("one key", detail.is_empty(), &detail));
        let detail = if shared.fleet.is_doubled() {
            "another node says that it is where this one is: give each a `node.admin_url` that leads to it"
        } else {
            ""
        };
        checks.push(check("own address", detail.is_empty(), detail));
        let store = store(&door).await;
        checks.push(check("store", store.is_ok(), store.as_ref().err().map_or("", String::as_str)));
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(HttpResponse::build(status).json(Health { ready, checks }))
}

/// `GET /metrics`: what was counted.
pub async fn metrics(door: web::Data<AdminDoor>, caller: Caller) -> Result<HttpResponse, ProblemError> {
    // They name the endpoints of every team.
    if !matches!(caller.narrowed(None), Ok(None)) {
        return Err(ProblemError::of(
            "auth.forbidden",
            "a token that is bound to a team does not see the metrics",
        ));
    }
    let shared = door.node.shared();
    let lanes = tokio::time::timeout(LANES_WAIT, shared.lanes.snapshot());
    let (lanes, store) = tokio::join!(lanes, store(&door));
    let pressures = shared.lanes.pressures();
    let scrape = Scrape {
        // A scrape that waits for a thread without end would tell nothing at all.
        answered: lanes.is_ok(),
        endpoints: lanes.unwrap_or_default(),
        store: store.is_ok(),
        loaded: shared.is_loaded(),
        draining: shared.node.condition() == Condition::Draining,
        in_flight: shared.node.gate.in_flight(),
        in_flight_max: shared.node.gate.limit().get(),
        lanes: shared.lanes.len(),
        lag: pressures.iter().map(|lane| lane.lag()).max().unwrap_or_default(),
        cutoff: pressures
            .iter()
            .filter_map(|lane| lane.shed.get())
            .map(|shed| shed.cutoff)
            .min()
            .unwrap_or(Score::MAX),
        memory: shared.node.memory.held(),
        memory_max: shared.node.memory.limit(),
        routes: shared.routes.load().len(),
        switches: shared.board.load().iter().count(),
        switch_hits: switch_hits(&shared.board.load()),
        unserved: shared.unserved().len(),
        missing: shared.progress.missing(),
        nodes: shared.fleet.others().len() + 1,
        pauses: guard::pauses(),
        behind_ms: shared.progress.behind_ms(),
        events: actors::events::counts().collect(),
        rules: rules(&shared.node.counts),
    };
    let text =
        scrape.text().map_err(|_| ProblemError::of("server.internal", "the metrics were not written"))?;
    Ok(HttpResponse::Ok().content_type(OPEN_METRICS).body(text))
}

/// What came of asking each rule, of those that refused anything.
fn rules(counts: &RuleCounts) -> Vec<(&'static str, u64, u64)> {
    let all = Rule::all().map(|rule| (rule.as_str(), counts.refused(rule), counts.observed(rule)));
    all.filter(|(_, refused, observed)| refused + observed > 0).collect()
}

/// How often switches of each kind refused, or would have.
fn switch_hits(board: &Board) -> Vec<(&'static str, &'static str, u64)> {
    let states = [(false, "off"), (true, "observe")];
    let each = Kind::ALL.into_iter().flat_map(|kind| states.map(|(observe, state)| (kind, observe, state)));
    each.map(|(kind, observe, state)| (kind.as_str(), state, board.tally().get(kind, observe))).collect()
}

async fn store(door: &AdminDoor) -> Result<(), String> {
    match tokio::time::timeout(STORE_WAIT, door.node.store().ping()).await {
        Ok(Ok(())) => Ok(()),
        // More than the code is nobody's business who has no token.
        Ok(Err(error)) => Err(error.code().to_owned()),
        Err(_) => Err("store.unavailable".to_owned()),
    }
}
