//! Quotas over time, on a real server: set and shown, warned of and refused, observed, over, kept by a restart, and
//! nobody's business but the team's.

use std::time::Duration;

use api::client::{Upload, Wait};
use api::{
    ActivateRequest, ClientError, Problem, QuotaChange, QuotaMode, QuotaOrigin, QuotaRequest, QuotaRule,
    QuotaState,
};
use api::{Role, TokenRequest};
use bytes::Bytes;
use tests::device::{Device, Reply};
use tests::server::{Options, Server, TOKEN, bundle};
use tests::wait::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// How long a state may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Burns about a thousand units of fuel.
const BURNS: &str = "pub fn main(request) { let n = 0; while n < 1000 { n += 1; } `done` }";
const WIDE: &str = "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000";

fn change(name: &str, limit: &str) -> QuotaChange {
    QuotaChange { name: name.to_owned(), limit: Some(limit.to_owned()), soft_percent: None, mode: None }
}

fn request(rules: Vec<QuotaChange>) -> QuotaRequest {
    QuotaRequest { rules, reason: "a test".to_owned(), until: None }
}

async fn set(server: &Server, scope: &str, rules: Vec<QuotaChange>) {
    server.client().set_quotas(scope, "*", &request(rules), false).await.unwrap();
}

async fn rule(server: &Server, scope: &str, rule: &str) -> QuotaRule {
    let state: QuotaState = server.client().quotas(scope).await.unwrap();
    let found = state.rules.iter().find(|one| one.rule == rule).cloned();
    found.unwrap_or_else(|| panic!("{scope} has no rule {rule}: {state:?}"))
}

fn problem<T: std::fmt::Debug>(done: Result<T, ClientError>) -> Problem {
    match done {
        Err(ClientError::Problem(problem)) => *problem,
        other => panic!("no problem: {other:?}"),
    }
}

async fn deployed() -> (Server, Device) {
    let server = Server::start(PROGRAM);
    server.deploy_with("tv/home", WIDE, BURNS).await.unwrap();
    let device = Device::of(&server.device);
    (server, device)
}

/// Calls until it is refused; the answers before, and the refusal.
async fn call_until_refused(device: &Device, most: usize) -> (Vec<Reply>, Reply) {
    let mut answered = Vec::new();
    for _ in 0..most {
        let reply = device.get("/tv/home").await;
        if reply.status != 200 {
            return (answered, reply);
        }
        answered.push(reply);
    }
    panic!("{most} calls were answered");
}

#[tokio::test]
async fn a_budget_warns_refuses_with_its_reason_and_keeps_what_was_used() {
    let (server, device) = deployed().await;
    assert_eq!(device.get("/tv/home").await.status, 200);
    let used = rule(&server, "team:tv", "budget.fuel_day.team").await;
    assert_eq!((used.source.from, used.mode), (QuotaOrigin::Default, QuotaMode::Enforce));
    let a_call = used.used;
    assert!(a_call >= 1_000, "{used:?}");

    // Room for ten calls, and the tenth finds something left.
    let limit = (a_call * 10).to_string();
    set(&server, "team:tv", vec![change("fuel-day", &limit)]).await;
    let (answered, refused) = call_until_refused(&device, 20).await;
    assert_eq!(answered.len(), 9, "one was made before, and what was used stays used");
    let warned = answered.iter().position(|reply| !reply.header("ratelimit").is_empty());
    assert_eq!(warned, Some(7), "the ninth call finds eight tenths used");
    assert_eq!(answered[7].header("ratelimit-policy"), format!("\"team-fuel_day\";q={limit};w=86400"));

    assert_eq!((refused.status, &*refused.code()), (429, "budget.exceeded"));
    assert_eq!(refused.header("callboard-refused"), "budget.exceeded");
    assert!(refused.header("ratelimit").starts_with("\"team-fuel_day\";r=0;t="), "{refused:?}");
    let back: u64 = refused.header("retry-after").parse().unwrap();
    assert!((82_800..=90_000).contains(&back), "something is left a day after the first hour: {back}");
    let told: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    assert!(told.get("limit").is_none() && told.get("scope").is_none(), "a device learns no numbers: {told}");
    let decision = server.client().decision(told["decision"].as_str().unwrap()).await.unwrap();
    assert_eq!(decision.rule, "budget.fuel_day.team");
    let why = decision.problem;
    assert_eq!((why.scope.as_deref(), why.code.as_str()), (Some("team:tv"), "budget.exceeded"));
    assert!(why.limit.is_some() && why.observed.is_some() && why.advice.is_some(), "{why:?}");
    assert!(why.since.unwrap() < why.until.unwrap());

    let full = rule(&server, "team:tv", "budget.fuel_day.team").await;
    assert_eq!((full.remaining, full.refused, full.limit.as_str()), (0, 1, limit.as_str()));
    assert_eq!(full.source.from, QuotaOrigin::Operator);
    assert_eq!(full.source.reason.as_deref(), Some("a test"));
    assert!(full.used >= a_call * 10 && full.used < a_call * 11, "{full:?}");

    // Another endpoint of the team shares it, another team does not.
    server.deploy_with("tv/more", WIDE, BURNS).await.unwrap();
    server.deploy_with("radio/home", WIDE, BURNS).await.unwrap();
    assert_eq!(device.get("/tv/more").await.code(), "budget.exceeded");
    assert_eq!(device.get("/radio/home").await.status, 200);

    // Half as much again is left when the limit is raised by so much, and all of the default after a reset.
    set(&server, "team:tv", vec![change("fuel_day", &(a_call * 15).to_string())]).await;
    let (answered, _) = call_until_refused(&device, 20).await;
    assert_eq!(answered.len(), 5);
    server.client().reset_quotas("team:tv", "*", Some("done"), false).await.unwrap();
    assert_eq!(device.get("/tv/home").await.status, 200);
    let metrics = server.client().metrics().await.unwrap();
    let line = r#"callboard_quota_refusals_total{rule="budget.fuel_day.team",mode="enforce"} 3"#;
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains(r#"callboard_events_total{event="budget_nearly_used"}"#));
    let audit = server.client().audit(&Default::default()).await.unwrap().items;
    let set = audit.iter().filter(|entry| entry.what.starts_with("quota.")).map(|entry| entry.what.as_str());
    assert_eq!(set.collect::<Vec<_>>(), ["quota.reset", "quota.set", "quota.set"]);
}

#[tokio::test]
async fn requests_rates_and_concurrency_can_be_set_and_observed_while_calls_go_on() {
    let (server, device) = deployed().await;
    let observed = QuotaChange { mode: Some(QuotaMode::Observe), ..change("requests-day", "5") };
    set(&server, "endpoint:tv/home/main", vec![observed]).await;
    for _ in 0..12 {
        assert_eq!(device.get("/tv/home").await.status, 200);
    }
    let counted = rule(&server, "endpoint:tv/home/main", "budget.requests_day.endpoint").await;
    assert_eq!(
        (counted.mode, counted.observed, counted.refused, counted.used),
        (QuotaMode::Observe, 7, 0, 5)
    );
    let metrics = server.client().metrics().await.unwrap();
    assert!(metrics.contains("callboard_events_total{event=\"budget_nearly_used\"} 1\n"), "once: {metrics}");
    let metrics = server.client().metrics().await.unwrap();
    let line = r#"callboard_quota_refusals_total{rule="budget.requests_day.endpoint",mode="observe"} 7"#;
    assert!(metrics.contains(line), "{metrics}");

    // The same enforced refuses from the next call on.
    set(&server, "endpoint:tv/home/main", vec![change("requests-day", "5")]).await;
    assert_eq!(device.get("/tv/home").await.code(), "budget.exceeded");
    set(
        &server,
        "endpoint:tv/home/main",
        vec![change("requests-day", "1000"), change("rate", "1/s"), change("burst", "2")],
    )
    .await;
    let (answered, refused) = call_until_refused(&device, 20).await;
    assert!((1..=3).contains(&answered.len()), "{}", answered.len());
    assert_eq!(refused.code(), "rate.exceeded");
    let state = server.client().quotas("endpoint:tv/home/main").await.unwrap();
    let rate = state.rules.iter().find(|rule| rule.rule == "rate.endpoint").unwrap();
    assert_eq!((rate.limit.as_str(), rate.burst), ("1/s", Some(2)));
}

#[tokio::test]
async fn a_change_is_checked_against_what_it_is_based_on_and_against_the_ceilings() {
    let (server, _) = deployed().await;
    let client = server.client();
    let put = async |scope: &str, etag: &str, rules: Vec<QuotaChange>, dry_run: bool| {
        client.set_quotas(scope, etag, &request(rules), dry_run).await
    };
    let etag = client.quotas("team:tv").await.unwrap().etag;
    assert_eq!(etag, "\"0\"");
    let tried = put("team:tv", &etag, vec![change("rate", "7/s")], true).await.unwrap();
    assert!(tried.dry_run && tried.set.len() == 1);
    assert_eq!(rule(&server, "team:tv", "rate.team").await.limit, "2000/s");
    let done = put("team:tv", &etag, vec![change("rate", "7000/s")], false).await.unwrap();
    assert_eq!(done.etag, "\"1\"");
    let stale = problem(put("team:tv", &etag, vec![change("rate", "8/s")], false).await);
    assert_eq!((stale.status, stale.code.as_str()), (412, "quota.conflict"));
    // What is not named stays.
    let done = put("team:tv", "\"1\"", vec![change("scripts", "9")], false).await.unwrap();
    let names: Vec<&str> = done.set.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["rate", "scripts"]);
    assert_eq!(rule(&server, "team:tv", "rate.team").await.limit, "7000/s");

    for (scope, name, limit) in [
        ("team:tv", "rate", "0/s"),
        ("team:tv", "fuel_day", "0"),
        ("team:tv", "fuel_day", "none"),
        ("team:tv", "speed", "1"),
        ("endpoint:tv/home/main", "rate", "50_001/s"),
        ("endpoint:tv/home/main", "scripts", "1"),
        ("script:tv/home", "rate", "1/s"),
        ("all", "rate", "1/s"),
    ] {
        let refused = problem(put(scope, "*", vec![change(name, limit)], false).await);
        assert_eq!((refused.status, refused.code.as_str()), (422, "quota.invalid"), "{scope} {name}={limit}");
    }
    let node = QuotaChange { mode: Some(QuotaMode::Observe), ..change("concurrency", "9") };
    assert_eq!(problem(put("all", "*", vec![node], false).await).code, "quota.invalid");
    put("all", "*", vec![change("client_rate", "5/s"), change("concurrency", "99")], false).await.unwrap();
    let clients = rule(&server, "all", "rate.client").await;
    assert_eq!((clients.limit.as_str(), clients.burst), ("5/s", Some(10)));
    assert_eq!(rule(&server, "all", "concurrency.node").await.limit, "99");
}

#[tokio::test]
async fn what_was_set_ends_by_itself_and_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = Some(directory.path().join("data"));
    let mut server = Server::start_with(PROGRAM, Options { data: data.clone(), ..Options::default() });
    server.deploy_with("tv/home", WIDE, BURNS).await.unwrap();
    set(&server, "team:tv", vec![change("rate", "123/s")]).await;
    let soon = api::time_from_ms(api::time_to_ms(api::time_now()) + 3_000);
    let for_now = QuotaRequest {
        until: Some(soon),
        ..request(vec![change("concurrency", "17"), change("rate", "50/s")])
    };
    server.client().set_quotas("team:tv", "*", &for_now, false).await.unwrap();
    assert_eq!(rule(&server, "team:tv", "concurrency.team").await.limit, "17");
    let rate = rule(&server, "team:tv", "rate.team").await;
    assert_eq!((rate.limit.as_str(), rate.burst, rate.source.until), ("50/s", Some(10), Some(soon)));
    let listed = server.client().quotas_set().await.unwrap().items;
    let names: Vec<_> =
        listed[0].set.iter().map(|set| (set.name.as_str(), set.source.until.is_some())).collect();
    assert_eq!(names, [("rate", false), ("rate", true), ("concurrency", true)], "{listed:?}");
    let (_, took) = until("the time of the limit is over", PATIENCE, async || {
        (rule(&server, "team:tv", "concurrency.team").await.limit == "256").then_some(())
    })
    .await;
    println!("back to the default {took:?} after a time of 3 s was set");
    // What was set for good was only covered.
    assert_eq!(rule(&server, "team:tv", "rate.team").await.limit, "123/s");

    server.kill();
    drop(server);
    server = Server::start_with(PROGRAM, Options { data, ..Options::default() });
    let rate = rule(&server, "team:tv", "rate.team").await;
    assert_eq!((rate.limit.as_str(), rate.source.from), ("123/s", QuotaOrigin::Operator));
    assert_eq!(rule(&server, "team:tv", "concurrency.team").await.limit, "256");
}

#[tokio::test]
async fn to_a_team_its_own_quotas_are_to_be_seen_and_another_teams_are_not_there() {
    let (server, _) = deployed().await;
    server.deploy_with("radio/home", WIDE, BURNS).await.unwrap();
    let token = |role, team: Option<&str>| TokenRequest {
        role,
        team: team.map(str::to_owned),
        note: String::new(),
        expires: None,
    };
    let made = server.client().create_token(&token(Role::Operator, Some("radio"))).await.unwrap();
    let radio = server.client_with(&made.secret);
    assert!(radio.quotas("team:radio").await.unwrap().rules.len() > 10);
    let rules = || request(vec![change("rate", "1/s")]);
    for (there, not) in [("team:tv", "team:xx"), ("endpoint:tv/home/main", "endpoint:xx/home/main")] {
        for (found, missing) in [
            (problem(radio.quotas(there).await), problem(radio.quotas(not).await)),
            (
                problem(radio.set_quotas(there, "*", &rules(), false).await),
                problem(radio.set_quotas(not, "*", &rules(), false).await),
            ),
            (
                problem(radio.reset_quotas(there, "*", None, false).await),
                problem(radio.reset_quotas(not, "*", None, false).await),
            ),
        ] {
            assert_eq!((found.status, &found.code), (404, &missing.code), "{there}");
            let told = found.detail.unwrap().replace(there, not);
            assert_eq!(Some(told), missing.detail);
        }
    }
    for scope in ["team:radio", "all"] {
        let refused = problem(radio.set_quotas(scope, "*", &rules(), false).await);
        assert_eq!(refused.code, "auth.forbidden", "a team does not give itself more: {scope}");
    }
    let viewer = server.client().create_token(&token(Role::Deployer, None)).await.unwrap();
    let refused = server.client_with(&viewer.secret).set_quotas("team:tv", "*", &rules(), false).await;
    assert_eq!(problem(refused).code, "auth.forbidden");
}

#[tokio::test]
async fn a_team_keeps_so_much_and_is_told_what_to_do_about_it() {
    let (server, device) = deployed().await;
    let refuses = async |server: &Server, id: &str, rule: &str, limit: &str, observed: &str| {
        let refused = problem(server.deploy_with(id, WIDE, BURNS).await);
        assert_eq!((refused.status, refused.code.as_str()), (429, "quota.exceeded"), "{refused:?}");
        assert!(refused.detail.as_deref().is_some_and(|detail| detail.starts_with(rule)), "{refused:?}");
        assert_eq!((refused.limit.as_deref(), refused.observed.as_deref()), (Some(limit), Some(observed)));
        assert_eq!(refused.scope.as_deref(), Some("team:tv"));
        assert!(refused.advice.is_some());
        refused
    };
    set(&server, "team:tv", vec![change("scripts", "1")]).await;
    refuses(&server, "tv/more", "team.scripts", "1", "2").await;
    server.deploy_with("tv/home", WIDE, BURNS).await.expect("what is there can be deployed anew");
    set(&server, "team:tv", vec![change("scripts", "5"), change("endpoints", "1")]).await;
    refuses(&server, "tv/more", "team.endpoints", "1", "2").await;
    set(&server, "team:tv", vec![change("endpoints", "5"), change("revisions", "2")]).await;
    refuses(&server, "tv/home", "team.revisions", "2", "3").await;
    set(&server, "team:tv", vec![change("revisions", "50"), change("unit-bytes", "1")]).await;
    let refused = problem(server.deploy_with("tv/more", WIDE, BURNS).await);
    assert!(refused.detail.is_some_and(|detail| detail.starts_with("team.unit_bytes")));
    set(&server, "team:tv", vec![change("unit-bytes", "1GiB"), change("deploys-hour", "2")]).await;
    let refused = refuses(&server, "tv/more", "team.deploys_hour", "2", "3").await;
    assert!(refused.retry_after_ms.is_some_and(|ms| ms > 3_000_000), "{refused:?}");
    server.deploy_with("radio/home", WIDE, BURNS).await.expect("another team's are its own");
    // Nothing of what was refused is there, and what was there goes on.
    assert_eq!(device.get("/tv/more").await.status, 404);
    assert_eq!(device.get("/tv/home").await.status, 200);
    let deploys = rule(&server, "team:tv", "team.deploys_hour").await;
    assert_eq!((deploys.used, deploys.remaining), (2, 0));
}

#[tokio::test]
async fn an_endpoint_for_a_test_ends_by_itself_and_gives_its_place_back() {
    let server = Server::start(PROGRAM);
    let device = Device::of(&server.device);
    let expires = format!("expires = \"3s\"\n{WIDE}");
    server.deploy_with("tv/trial", &expires, BURNS).await.unwrap();
    set(&server, "team:tv", vec![change("endpoints", "1")]).await;
    assert_eq!(device.get("/tv/trial").await.status, 200);
    assert_eq!(problem(server.deploy_with("tv/more", WIDE, BURNS).await).code, "quota.exceeded");
    let (gone, _) = until("the endpoint ends", PATIENCE, async || {
        let reply = device.get("/tv/trial").await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!((gone.status, &*gone.code()), (410, "endpoint.expired"));
    let told = server.client().endpoint("tv", "trial", "main").await.unwrap().problem;
    assert!(told.as_deref().is_some_and(|told| told.contains("`expires`")), "{told:?}");
    server.deploy_with("tv/more", WIDE, BURNS).await.expect("its place is free");
    assert_eq!(device.get("/tv/more").await.status, 200);
}

#[tokio::test]
async fn an_operator_sets_shows_and_resets_quotas_on_the_command_line() {
    let (server, _) = deployed().await;
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(PROGRAM);
        command.arg("quota").args(arguments).env("NO_COLOR", "1");
        let output =
            command.env("CALLBOARD_URL", &server.admin).env("CALLBOARD_TOKEN", TOKEN).output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said)
    };
    let observe =
        ["set", "team:tv", "rate=1000/s", "fuel-day=5e9", "--soft", "70", "--reason", "busy", "--observe"];
    // What refuses now would not: that is asked first.
    let (code, said) = run(&observe);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("rate.team (2000/s)") && said.contains("budget.fuel_day.team"), "{said}");
    let (code, said) = run(&[&observe[..], &["--yes"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("rate 1000/s, only counted") && said.contains("warning from 70 %"), "{said}");
    let (_, said) = run(&["show", "team:tv"]);
    let line = said.lines().find(|line| line.starts_with("budget.fuel_day.team")).unwrap();
    assert!(line.contains("5000000000") && line.contains("would 0") && line.ends_with("busy"), "{line}");
    let (_, said) = run(&["show", "team:tv", "--json"]);
    let state: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    assert!(state.to_string().contains("\"soft\":\"3500000000\""), "{state}");
    let (code, said) = run(&["set", "team:tv", "rate=0/s", "--reason", "none"]);
    assert!(code == Some(1) || code == Some(3), "{code:?} {said}");
    assert!(said.contains("must not be zero"), "{said}");
    let (code, said) = run(&["reset", "team:tv"]);
    assert!(code == Some(0) && said.contains("nothing set"), "{said}");
    assert_eq!(rule(&server, "team:tv", "rate.team").await.limit, "2000/s");
}

#[tokio::test]
async fn whatever_keys_clients_invent_the_memory_stays_what_it_is() {
    let arguments = ["--set", "client_key.header=x-client", "--set", "client_key.trusted_proxies=127.0.0.1"];
    let arguments = arguments.map(str::to_owned).into();
    let server = Server::start_with(PROGRAM, Options { arguments, ..Options::default() });
    server.deploy_with("tv/home", WIDE, BURNS).await.unwrap();
    set(&server, "all", vec![change("client-rate", "1/s"), change("client-burst", "1")]).await;
    set(&server, "team:tv", vec![change("rate", "100000/s"), change("burst", "100000")]).await;
    let device = Device::of(&server.device);
    let call = async |key: String| device.send("GET", "/tv/home", &[("x-client", &key)], Bytes::new()).await;
    for n in 0..1_000 {
        call(format!("warm {n}")).await;
    }
    let before = resident(&server);
    let (mut answered, keys) = (0, 5_000);
    for n in 0..keys {
        answered += usize::from(call(format!("client {n}")).await.status == 200);
    }
    let grown = resident(&server).saturating_sub(before);
    println!("{keys} distinct clients: {answered} answered, the server grew by {grown} KiB");
    assert!(answered > keys * 8 / 10, "clients are told apart: {answered}");
    assert!(grown < 8 * 1_024, "{grown} KiB");
    let same = call("client 1".to_owned()).await;
    let again = call("client 1".to_owned()).await;
    assert!([same.status, again.status].contains(&429), "one client is limited: {same:?} {again:?}");
}

/// The memory of the serving process, in KiB.
fn resident(server: &Server) -> u64 {
    let pid = server.child_pid().expect("a child serves");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

#[tokio::test]
async fn a_scope_of_which_nothing_is_here_is_said_to_wait() {
    let (server, _) = deployed().await;
    let client = server.client();
    for (scope, present) in
        [("team:tv", true), ("team:tw", false), ("endpoint:tv/home/none", false), ("all", true)]
    {
        let asked = request(vec![change("concurrency", "20")]);
        assert_eq!(client.set_quotas(scope, "*", &asked, false).await.unwrap().present, present, "{scope}");
    }
    let listed: Vec<_> =
        client.quotas_set().await.unwrap().items.into_iter().map(|one| (one.scope, one.present)).collect();
    let expected = [("all", true), ("endpoint:tv/home/none", false), ("team:tv", true), ("team:tw", false)];
    for (scope, present) in expected {
        assert!(listed.contains(&(scope.to_owned(), present)), "{scope}: {listed:?}");
    }
    // It holds of what comes.
    server.deploy_with("tw/home", WIDE, BURNS).await.unwrap();
    assert_eq!(rule(&server, "team:tw", "concurrency.team").await.limit, "20");
}

#[tokio::test]
async fn what_a_team_may_keep_holds_whichever_way_it_comes_to_answer() {
    let server = Server::start(PROGRAM);
    let client = server.client();
    let none = Upload { keep_inactive: true, ..Upload::default() };
    let archive =
        |id: &str, more: &str| bytes::Bytes::from(bundle(id, &format!("{WIDE}{more}"), BURNS).to_archive());
    let second = "\n[[endpoint]]\npath = \"/tv/home/second\"\nname = \"second\"\nhandler = \"main::main\"\n";
    server.deploy_with("tv/home", WIDE, BURNS).await.unwrap();
    set(&server, "team:tv", vec![change("endpoints", "1"), change("scripts", "1")]).await;

    // Deployed without a word, and let answer afterwards.
    client.upload("tv", "home", archive("tv/home", second), &none).await.unwrap();
    let activate = async |script: &str, revision: u64| {
        let request = ActivateRequest { revision, reason: None };
        client.activate("tv", script, "*", &request, false, Wait::Node).await
    };
    let refused = problem(activate("home", 2).await);
    assert_eq!((refused.code.as_str(), refused.observed.as_deref()), ("quota.exceeded", Some("2")));

    // Deleted and brought back beside another one.
    client.delete_script("tv", "home", "*", None, false).await.unwrap();
    server.deploy_with("tv/more", WIDE, BURNS).await.unwrap();
    assert_eq!(problem(activate("home", 1).await).code, "quota.exceeded");
    client.delete_script("tv", "more", "*", None, false).await.unwrap();
    activate("home", 1).await.unwrap();

    // The way back is open when the limits came down meanwhile.
    set(&server, "team:tv", vec![change("endpoints", "2")]).await;
    client.upload("tv", "home", archive("tv/home", second), &Upload::default()).await.unwrap();
    set(&server, "team:tv", vec![change("endpoints", "1")]).await;
    activate("home", 2).await.unwrap();
}

#[tokio::test]
async fn of_many_deploys_at_one_time_as_many_are_made_as_may_be() {
    let server = Server::start(PROGRAM);
    server.deploy_with("tv/first", WIDE, BURNS).await.unwrap();
    set(&server, "team:tv", vec![change("scripts", "3"), change("deploys-hour", "6")]).await;
    let codes = async |ids: Vec<String>| {
        let all = ids.iter().map(|id| server.deploy_with(id, WIDE, BURNS));
        let all = futures_util::future::join_all(all).await;
        all.into_iter().filter(Result::is_ok).count()
    };
    assert_eq!(
        codes((0..24).map(|n| format!("tv/s{n}")).collect()).await,
        2,
        "three scripts, and one was there"
    );
    set(&server, "team:tv", vec![change("scripts", "100")]).await;
    assert_eq!(
        codes((0..24).map(|n| format!("tv/t{n}")).collect()).await,
        3,
        "six deploys, and three were made"
    );
    // What is only tried is counted for nothing.
    let tried = Upload { dry_run: true, ..Upload::default() };
    let archive = bundle("tv/first", WIDE, BURNS).to_archive().into();
    server.client().upload("tv", "first", archive, &tried).await.unwrap();
}
