//! Rows that somebody garbled by hand: only what they are about suffers, it is named, and the rest is served.

use std::time::{SystemTime, UNIX_EPOCH};

use api::{ClientError, Role, TokenRequest};
use runtime::bundle::Bundle;
use tests::cassandra::Cassandra;
use tests::server::Server;
use tests::wait::until;

use super::stage::{PATIENCE, Stage, answer, answers, check, count, deploy, files, off, upload_files};

/// The scripts, by what is garbled of them.
const SCRIPTS: [&str; 9] = [
    "tv/whole",
    "tv/head",
    "tv/step",
    "tv/revision",
    "tv/bundle",
    "tv/unit",
    "tv/envelope",
    "tv/route",
    "tv/switch",
];
/// One whose files are too many for one row.
const LARGE: &str = "tv/large";
/// Those of them that a server which never had them cannot serve.
const LOST: [&str; 3] = ["tv/head", "tv/revision", "tv/bundle"];

#[tokio::test]
async fn a_garbled_row_harms_only_what_it_is_about() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let stage = Stage::on(cassandra);
    let one = stage.server("one", &["node.sweep=1s"]);
    for id in SCRIPTS {
        deploy(&one, id, id).await.unwrap();
    }
    upload_files(&one, LARGE, &large(), LARGE, None).await.unwrap();
    // One that is garbled and one that is not.
    for scope in ["script:tv/switch", "team:other"] {
        one.client().switch_off(scope, &off(), false).await.unwrap();
    }
    let token =
        |note: &str| TokenRequest { role: Role::Viewer, team: None, note: note.to_owned(), expires: None };
    let mut tokens = Vec::new();
    for note in ["garbled", "whole"] {
        tokens.push(one.client().create_token(&token(note)).await.unwrap());
    }
    let stored = async || (count(&one, "switch_stored").await == 2).then_some(());
    until("the switches are stored", PATIENCE, stored).await;
    garble(&stage, &tokens[0].token.id).await;

    let two = stage.server("two", &["node.sweep=1s"]);
    until("it is loaded", PATIENCE, async || two.client().ready().await.unwrap().ready.then_some(())).await;
    scripts(&stage, &one, &two).await;
    others(&stage, &one, &two, &tokens).await;
    changes(&one, &two).await;
    stage.passes_through_the_wire(&two).await;
}

/// Garbles a row of each table.
async fn garble(stage: &Stage<'_>, token: &str) {
    let session = stage.session().await;
    let run = async |statement: String| {
        if let Err(error) = session.query_unpaged(statement.clone(), ()).await {
            panic!("{statement}: {error}");
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let (minute, day) = (now / 60_000, now / 86_400_000);
    let garbage = actors::storage::ContentHash::of(&[0xde, 0xad]);
    let statements = [
        "UPDATE scripts SET active = -7 WHERE script = 'tv/head'".to_owned(),
        "UPDATE scripts SET body = 0xdead WHERE script = 'tv/step' AND kind = 'step' AND number = 1"
            .to_owned(),
        "UPDATE scripts SET body = 0xdead WHERE script = 'tv/revision' AND kind = 'revision' AND number = 1"
            .to_owned(),
        // No script at all.
        "INSERT INTO scripts (script, kind, number, seq) VALUES ('no script', 'step', 1, 1)".to_owned(),
        format!("UPDATE bundles SET body = 0xdead WHERE hash = 0x{}", hash_of("tv/bundle")),
        "UPDATE routes SET script = '' WHERE pattern = 'GET /tv/route'".to_owned(),
        "UPDATE switches SET body = 0xdead WHERE id = 'script:tv/switch'".to_owned(),
        format!("UPDATE tokens SET body = 0xdead WHERE id = '{token}'"),
        format!("INSERT INTO audit_feed (day, at, id, body) VALUES ({day}, {now}, 'garbled', 0xdead)"),
        format!(
            "INSERT INTO changes (bucket, at, id, kind, subject, seq) VALUES ({minute}, {now}, uuid(), 'script', \
             'no script', -1)"
        ),
        format!("INSERT INTO changes (bucket, at, id) VALUES ({minute}, {now}, uuid())"),
        "INSERT INTO nodes (fleet, name, body) VALUES ('all', 'ghost', 0xdead)".to_owned(),
        // Not even a checksum fits; and one that fits what is no unit.
        format!("units {} body = 0xdead", hash_of("tv/unit")),
        format!("units {} body = 0xdead, sum = 0x{garbage}, size = 2", hash_of("tv/envelope")),
    ];
    let parts = format!("SELECT sum FROM bundles WHERE hash = 0x{}", large().hash());
    let parts = session.query_unpaged(parts, ()).await.unwrap().into_rows_result().unwrap();
    let sum = actors::storage::ContentHash(parts.single_row::<(Vec<u8>,)>().unwrap().0.try_into().unwrap());
    run(format!("DELETE FROM parts WHERE sum = 0x{sum} AND part = 1")).await;
    let units = session.query_unpaged("SELECT hash, fingerprint FROM units", ()).await.unwrap();
    let units = units.into_rows_result().unwrap();
    let build = units.rows::<(Vec<u8>, String)>().unwrap().next().unwrap().unwrap().1;
    for statement in statements {
        run(match statement.strip_prefix("units ").and_then(|rest| rest.split_once(' ')) {
            Some((hash, set)) => {
                format!("UPDATE units SET {set} WHERE hash = 0x{hash} AND fingerprint = '{build}'")
            }
            None => statement,
        })
        .await;
    }
}

/// The files of the large script.
fn large() -> Bundle {
    let mut all = files(LARGE, LARGE).files().clone();
    for number in 0..2 {
        let lines: String = (0..40_000).map(|line| format!("// line {line} of {number}\n")).collect();
        all.insert(format!("notes-{number}.txt").parse().unwrap(), lines.as_bytes().into());
    }
    Bundle::from_files(all).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

/// The hash of the bundle that [`deploy`] makes of a script whose text is its name.
fn hash_of(id: &str) -> String {
    files(id, id).hash().to_string()
}

/// Who is served by the server that comes new, and by the one that had them all.
async fn scripts(stage: &Stage<'_>, one: &Server, two: &Server) {
    assert_eq!((answer(one, LARGE).await, answer(two, LARGE).await), (LARGE.into(), "route.unknown".into()));
    for id in SCRIPTS {
        let wanted = if LOST.contains(&id) { "route.unknown" } else { id };
        if id == "tv/switch" {
            // Its switch could not be read: it runs here, and is off where that is known.
            assert_eq!((answer(one, id).await, answer(two, id).await), ("switch.off".into(), id.into()));
            continue;
        }
        assert_eq!(answer(one, id).await, id, "one");
        assert_eq!(answer(two, id).await, wanted, "two");
    }
    for name in [
        "head tv/head",
        "tv/revision",
        "tv/bundle",
        "a part of it is missing",
        "no script",
        "script:tv/switch",
    ] {
        rejected(stage, name).await;
    }
    let (ok, detail) = check(two, "converged").await;
    println!("two: converged: {ok}: {detail}");
    assert!(!ok && detail.starts_with("3 scripts"), "{detail}");
    for (event, least) in
        [("row_rejected", 2), ("script_rejected", 3), ("unit_rejected", 2), ("unit_recompiled", 2)]
    {
        let times = count(two, event).await;
        println!("two: {event}: {times}");
        assert!(times >= least, "{event}: {times}");
    }
    // What was compiled anew is stored: whoever comes next finds it.
    assert_eq!((count(one, "unit_rejected").await, count(one, "unit_recompiled").await), (0, 0));
}

/// Waits until the log of the second server names what was rejected: it is written a little later.
async fn rejected(stage: &Stage<'_>, name: &str) {
    let (line, _) = until(&format!("{name} is named in the log"), PATIENCE, async || {
        let log = stage.log("two");
        log.lines().find(|line| line.contains(name) && line.contains("rejected")).map(str::to_owned)
    })
    .await;
    println!("two: {line}");
}

/// Switches, tokens, audit, nodes: the rest is there.
async fn others(stage: &Stage<'_>, one: &Server, two: &Server, tokens: &[api::TokenMade]) {
    let off: Vec<String> =
        two.client().switches().await.unwrap().items.into_iter().map(|switch| switch.scope).collect();
    assert_eq!(off, ["team:other"]);
    // The operator can turn it off again, and on.
    two.client().switch_off("script:tv/switch", &super::stage::off(), false).await.unwrap();
    assert_eq!(answer(two, "tv/switch").await, "switch.off");
    let (_, took) = until("it is on again", PATIENCE, async || {
        two.client().switch_on("script:tv/switch", None, false).await.ok()
    })
    .await;
    println!("two: the garbled switch is off and on again after {took:?}");
    assert_eq!(answer(two, "tv/switch").await, "tv/switch");

    let secrets: Vec<&str> = tokens.iter().map(|made| &*made.secret).collect();
    assert!(two.client_with(secrets[0]).whoami().await.is_err());
    two.client_with(secrets[1]).whoami().await.unwrap();
    let notes: Vec<String> =
        two.client().tokens().await.unwrap().items.into_iter().map(|token| token.note).collect();
    assert_eq!(notes, ["whole"]);

    let audit = two.client().audit(&Default::default()).await.unwrap().items;
    assert!(audit.iter().any(|entry| entry.subject == "revision:tv/whole@1"), "{audit:?}");
    let of_step = api::client::List { script: Some("tv/step".to_owned()), ..Default::default() };
    assert!(two.client().audit(&of_step).await.unwrap().items.is_empty());
    let nodes: Vec<String> =
        two.client().nodes().await.unwrap().items.into_iter().map(|node| node.name).collect();
    println!("two knows the nodes {nodes:?}");
    assert!(!nodes.iter().any(|name| name == "ghost"));
    for name in ["garbled", "ghost", "step tv/step", &tokens[0].token.id] {
        rejected(stage, name).await;
    }
    // What was garbled is replaced, and the other node hears of it.
    answers(one, "tv/switch", "tv/switch", PATIENCE).await;
    assert_eq!(one.client().switches().await.unwrap().items.len(), 1);
}

/// Changes go on, through both, of the garbled scripts too as far as may be.
async fn changes(one: &Server, two: &Server) {
    deploy(one, "tv/whole", "changed").await.unwrap();
    println!("a change is followed after {:?}", answers(two, "tv/whole", "changed", PATIENCE).await);
    // The same files again replace a bundle that cannot be read; others are a way out of the rest.
    for id in ["tv/step", "tv/revision", "tv/bundle", "tv/unit", "tv/envelope"] {
        let text = if id == "tv/bundle" { id.to_owned() } else { format!("{id} mended") };
        deploy(two, id, &text).await.unwrap_or_else(|error| panic!("{id}: {error}"));
        answers(one, id, &text, PATIENCE).await;
        answers(two, id, &text, PATIENCE).await;
    }
    upload_files(two, LARGE, &large(), LARGE, None).await.unwrap();
    answers(two, LARGE, LARGE, PATIENCE).await;
    for id in ["tv/head", "tv/route"] {
        let refused = deploy(two, id, "mended").await;
        let Err(ClientError::Problem(problem)) = refused else { panic!("{id}: {refused:?}") };
        println!("{id}: {problem}");
        assert_eq!(problem.code, "store.corrupt");
        assert_eq!(answer(one, id).await, id);
    }
    let (ok, detail) = check(two, "converged").await;
    assert!(ok, "{detail}");
}
