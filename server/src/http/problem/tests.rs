use actix_web::http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use quotas::refusal::RatePolicy;
use quotas::scope::Scope;
use quotas::units::{Amount, PerSecond};
use runtime::error::Failure;
use runtime::fuel::Stop;

use super::*;

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn too_fast() -> Refusal {
    let scope = Scope::parse("endpoint:tv/home/home").unwrap();
    Refusal {
        limit: PerSecond::new(500).map(Amount::Rate),
        observed: PerSecond::new(731).map(Amount::Rate),
        retry_after: Some(Duration::from_micros(119_001)),
        policy: Some(RatePolicy { name: "endpoint", quota: 500, window_s: 1, remaining: 0, reset_s: 1 }),
        ..Refusal::new(RefusalCode::RateExceeded, "rate.endpoint", scope)
    }
}

#[test]
fn a_refusal_is_told_in_full_here_and_in_part_to_a_device() {
    let problem = refused(&too_fast(), Some("01J"));
    assert_eq!((problem.status, problem.code.as_str()), (429, "rate.exceeded"));
    assert_eq!(problem.detail.as_deref(), Some("endpoint:tv/home/home allows 500/s"));
    assert_eq!(problem.observed.as_deref(), Some("731/s"));
    assert_eq!((problem.retry_after_ms, problem.decision.as_deref()), (Some(120), Some("01J")));
    assert_eq!(problem.violated_policies, ["endpoint"]);

    let response = respond_refusal(&too_fast(), "01J");
    assert_eq!(response.status(), 429);
    let headers = response.headers();
    assert_eq!(headers.get(CONTENT_TYPE).unwrap(), "application/problem+json");
    assert_eq!(headers.get(RETRY_AFTER).unwrap(), "1");
    assert_eq!(text(headers, "callboard-refused"), "rate.exceeded");
    assert_eq!(text(headers, "ratelimit-policy"), "\"endpoint\";q=500;w=1");
    assert_eq!(text(headers, "ratelimit"), "\"endpoint\";r=0;t=1");
}

#[test]
fn the_status_says_what_the_reader_will_do() {
    fn check(code: RefusalCode, scope: &str, status: u16) {
        let refusal = Refusal::new(code, "rule", Scope::parse(scope).unwrap());
        let problem = refused(&refusal, None);
        assert_eq!((problem.status, problem.code.as_str()), (status, code.as_str()));
        assert_eq!(text(respond(problem).headers(), "callboard-refused"), code.as_str());
    }
    check(RefusalCode::RateExceeded, "endpoint:tv/home/home", 429);
    check(RefusalCode::ConcurrencyExceeded, "team:tv", 429);
    check(RefusalCode::ConcurrencyExceeded, "all", 503);
    check(RefusalCode::SwitchOff, "team:tv", 503);
    check(RefusalCode::LaneFull, "endpoint:tv/home/home", 503);
    check(RefusalCode::NodeDraining, "all", 503);
}

#[test]
fn a_failure_is_no_refusal_unless_a_switch_made_it() {
    fn check(failure: CallFailure, status: u16, code: &str, refused: &str) {
        let problem = failed(&failure);
        assert_eq!((problem.status, problem.code.as_str()), (status, code));
        assert_eq!(text(respond(problem).headers(), "callboard-refused"), refused);
    }
    let stopped = |stop| CallFailure::Script(Failure::Stopped { stop, place: None });
    check(stopped(Stop::Fuel), 500, "fuel.exhausted", "");
    check(stopped(Stop::Deadline), 504, "deadline.exceeded", "");
    check(stopped(Stop::Killed), 503, "switch.killed", "switch.killed");
    check(CallFailure::Lost, 503, "endpoint.lost", "");
    check(CallFailure::Unit { code: "unit.loading", detail: "x".into() }, 503, "unit.unavailable", "");
    check(CallFailure::Refused(Box::new(too_fast())), 429, "rate.exceeded", "rate.exceeded");
}

#[test]
fn a_switch_that_is_in_force_and_not_written_down_is_told_from_a_mistake_of_ours() {
    let problem = control(&ControlError::Journal { why: "the disk is full".to_owned() });
    assert_eq!((problem.status, problem.code.as_str()), (500, "journal.unwritable"));
    assert!(
        problem
            .detail
            .is_some_and(|detail| detail.contains("in force") && detail.contains("the disk is full"))
    );
}

#[test]
fn every_code_of_the_actors_is_one_of_the_contract() {
    for code in ControlError::CODES.into_iter().chain(StoreError::CODES).chain(["unit.loading"]) {
        assert!(api::codes::find(known(code)).is_some(), "{code}");
    }
}
