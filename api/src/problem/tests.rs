use super::*;
use crate::shape::Schemas;

fn full() -> Problem {
    let mut problem = Problem::of("rate.exceeded", "endpoint tv/home/home allows 500/s");
    problem.scope = Some("endpoint:tv/home/home".into());
    problem.limit = Some("500/s".into());
    problem.observed = Some("731/s".into());
    problem.since = Some(crate::time_from_ms(1_000));
    problem.until = Some(crate::time_from_ms(2_000));
    problem.by = Some("ana".into());
    problem.reason = Some("runaway".into());
    problem.advice = Some("Slow down.".into());
    problem.retry_after_ms = Some(120);
    problem.decision = Some("01J".into());
    problem.violated_policies = vec!["endpoint".into()];
    problem.diagnostics = vec![Diagnostic {
        severity: Severity::Error,
        code: "script.syntax".into(),
        file: "main.rn".into(),
        line: 3,
        column: 5,
        length: 2,
        message: "unexpected".into(),
        hint: Some("remove it".into()),
        excerpt: Some("  }}".into()),
    }];
    problem.errors = vec![Fault { pointer: "/reason".into(), detail: "it is empty".into() }];
    problem.present = Some(Head { active: Some(7), latest: Some(9), etag: "\"12\"".into(), deleted: false });
    problem
}

#[test]
fn a_problem_stands_in_json_as_the_contract_says() {
    insta::assert_snapshot!("problem", serde_json::to_string_pretty(&full()).unwrap());
}

#[test]
fn a_problem_reads_what_it_writes_and_the_schema_names_every_field() {
    let value = serde_json::to_value(full()).unwrap();
    assert_eq!(serde_json::from_value::<Problem>(value.clone()).unwrap(), full());
    let mut all = Schemas::new();
    Problem::schema(&mut all);
    let fields =
        |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(fields(&value), fields(&all["Problem"]["properties"]));
}

#[test]
fn a_device_learns_nothing_about_limits_or_others() {
    let told = serde_json::to_value(full().for_device()).unwrap();
    let mut told: Vec<_> = told.as_object().unwrap().keys().collect();
    told.sort();
    assert_eq!(told, ["code", "decision", "retry_after_ms", "status", "title", "type", "violated-policies"]);
}

#[test]
fn a_problem_from_elsewhere_may_have_more_or_less() {
    let problem: Problem = serde_json::from_str(
        r#"{"type":"urn:callboard:problem:new.code","title":"New","status":409,"code":"new.code","more":1}"#,
    )
    .unwrap();
    assert_eq!(problem.to_string(), "New (new.code)");
}

#[test]
fn an_unknown_code_is_ours_to_mend() {
    assert_eq!(Problem::of("no.such.code", "x").code, "server.internal");
}
