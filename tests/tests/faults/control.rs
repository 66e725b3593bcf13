//! Switches, quotas, tokens and fallbacks that change while calls go on.

use std::rc::Rc;
use std::time::Duration;

use api::{QuotaChange, QuotaRequest, Role, TokenRequest};
use tests::wait::until;

use super::experiment::{Done, Experiment, HOLD};
use super::stage::{PATIENCE, PLENTY, Stage, code, ended_only, get};
use super::tally::Kind::{Availability, Data, Isolation};

/// Operators that flip switches at the same time, and how often each turns one off and on.
const OPERATORS: usize = 8;
const FLIPS: usize = 63;

pub fn all() -> Vec<Experiment> {
    vec![
        Experiment::of("switches are flipped a thousand times", Availability, flips),
        Experiment::of("a switch is turned off under a last good answer", Availability, last_good),
        Experiment::of("a quota is set to the least and back", Isolation, least_quota),
        Experiment::of("a token is revoked while it is used", Data, revoked),
    ]
}

async fn flips(stage: Rc<Stage>) -> Done {
    let operators: Vec<_> = (0..OPERATORS)
        .map(|number| {
            let stage = Rc::clone(&stage);
            tokio::task::spawn_local(async move {
                let (team, device) = (format!("bad-{number}"), stage.device());
                stage.deploy(&format!("{team}/blinks"), PLENTY, "pub fn main(request) { `on` }").await;
                let (scope, path) = (format!("endpoint:{team}/blinks/main"), format!("/{team}/blinks"));
                for flip in 0..FLIPS {
                    assert_eq!(stage.off(&scope).await, "ok", "{scope}, {flip}");
                    assert_eq!(
                        get(&device, &path).await.code(),
                        "switch.off",
                        "{scope}, {flip}: acknowledged off"
                    );
                    assert_eq!(stage.on(&scope).await, "ok", "{scope}, {flip}");
                    assert_eq!(get(&device, &path).await.body, "on", "{scope}, {flip}: acknowledged on");
                }
            })
        })
        .collect();
    for operator in operators {
        operator.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
    }
    let off = stage.server.client().switches().await.expect("they are told").items;
    assert!(off.is_empty(), "{off:?}");
    Ok(())
}

async fn last_good(stage: Rc<Stage>) -> Done {
    let manifest = format!("last_good = \"5m\"\n{PLENTY}");
    stage.deploy("bad/news", &manifest, "pub fn main(request) { `news` }").await;
    stage.prove("/bad/news").await;
    let load = stage.crowd("/bad/news", 4);
    let device = stage.device();
    for _ in 0..5 {
        assert_eq!(stage.off("endpoint:bad/news/main").await, "ok");
        let reply = get(&device, "/bad/news").await;
        let fallback = reply.header("callboard-fallback");
        assert_eq!((fallback, &*reply.body), ("last-good; because=switch.off", "news"));
        assert_eq!(stage.on("endpoint:bad/news/main").await, "ok");
        let reply = get(&device, "/bad/news").await;
        let fallback = reply.header("callboard-fallback");
        assert!(!fallback.contains("switch.off") && reply.body == "news", "{fallback}, {}", reply.body);
    }
    // A call that ran when the switch was flipped is stopped, and has the last good answer, too.
    ended_only(&load.run_for(HOLD / 4).await, &["200"]);
    Ok(())
}

async fn least_quota(stage: Rc<Stage>) -> Done {
    stage.deploy("bad/thirsty", PLENTY, "pub fn main(request) { `more` }").await;
    stage.prove("/bad/thirsty").await;
    let load = stage.crowd("/bad/thirsty", 4);
    let (client, device) = (stage.server.client(), stage.device());
    let least = |name: &str| QuotaChange {
        name: name.to_owned(),
        limit: Some(if name == "rate" { "1/s" } else { "1" }.to_owned()),
        soft_percent: None,
        mode: None,
    };
    let request = QuotaRequest {
        rules: vec![least("rate"), least("burst"), least("concurrency")],
        reason: "a fault".to_owned(),
        until: None,
    };
    for round in 0..5 {
        client.set_quotas("team:bad", "*", &request, false).await.expect("it is set");
        let (reply, _) = until("the quota is used up", PATIENCE, async || {
            let reply = get(&device, "/bad/thirsty").await;
            (reply.status == 429).then_some(reply)
        })
        .await;
        assert!(["rate.exceeded", "concurrency.exceeded"].contains(&&*reply.code()), "{round}: {reply:?}");
        client.reset_quotas("team:bad", "*", Some("enough"), false).await.expect("it is taken back");
        until("all are answered again", PATIENCE, async || {
            (get(&device, "/bad/thirsty").await.status == 200).then_some(())
        })
        .await;
    }
    let calls = load.run_for(HOLD / 4).await;
    ended_only(&calls, &["200", "429 rate.exceeded", "429 concurrency.exceeded"]);
    Ok(())
}

async fn revoked(stage: Rc<Stage>) -> Done {
    let team = Some("bad".to_owned());
    let wanted = TokenRequest { role: Role::Deployer, team, note: "a fault".to_owned(), expires: None };
    let made = stage.server.client().create_token(&wanted).await.expect("a token is made");
    let bearer = stage.server.client_with(&made.secret);
    let uses: Vec<_> = (0..4)
        .map(|_| {
            let bearer = bearer.clone();
            tokio::spawn(async move {
                loop {
                    match code(bearer.whoami().await) {
                        known if known == "ok" => tokio::time::sleep(Duration::from_millis(5)).await,
                        other => return other,
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(HOLD / 2).await;
    assert!(uses.iter().all(|one| !one.is_finished()), "it is good until it is revoked");
    stage.server.client().revoke_token(&made.token.id).await.expect("it is revoked");
    let off = code(bearer.whoami().await);
    assert_eq!(off, "auth.invalid", "whoever begins after the answer is not let in");
    for one in uses {
        assert_eq!(one.await.expect("it is told"), "auth.invalid");
    }
    Ok(())
}
