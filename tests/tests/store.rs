//! Every store keeps the same promises: one list of checks, run on each backend.

mod store {
    pub mod bench;
    pub mod cassandra;
    pub mod records;
}

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actors::error::StoreError;
use actors::storage::{
    Change, Claimed, Committed, ContentHash, ContentKind, Cursor, Fingerprint, Head, NodeRow, QuotaRow, Seen,
    SwitchRow, Switched, TokenRow,
};
use bytes::Bytes;
use quotas::scope::{RevisionNumber, Scope};
use quotas::switches::{Effect, SwitchId};
use store::bench::{Bench, within};
use store::records::{audit, commit, now_ms, number, quota, script, step, switch};

macro_rules! promises {
    ($($name:ident)*) => {
        mod embedded {
            $(#[test] fn $name() { super::Bench::embedded(super::$name); })*
        }
        mod cql {
            $(#[test] fn $name() { super::Bench::cql(super::$name); })*
        }
    };
}

promises! {
    a_content_comes_back_as_it_was
    a_content_may_be_put_again
    a_content_is_bounded
    a_commit_moves_head_revision_and_audit_together
    a_lost_commit_leaves_nothing_and_says_what_won
    the_same_deploy_again_gets_the_same_answer
    a_commit_that_makes_no_sense_is_refused
    of_many_committers_exactly_the_acknowledged_are_in_the_history
    revisions_come_newest_first_page_by_page
    a_deleted_script_keeps_its_history
    the_sweep_sees_every_head
    a_route_has_one_owner
    of_many_claims_one_wins
    the_higher_generation_wins_and_off_wins_when_equal
    a_revoked_token_stays_revoked
    of_quotas_the_higher_generation_wins_and_who_comes_late_is_told
    everyones_audit_is_newest_first
    a_note_is_in_everyones_audit
    steps_come_oldest_first_page_by_page
    a_node_is_known_until_it_is_silent_or_leaves
    the_feed_tells_of_changes
    what_was_stored_is_there_after_opening_again
}

async fn a_content_comes_back_as_it_was(bench: Bench) {
    let store = bench.open().await;
    let unit = |print: &str| ContentKind::Unit { fingerprint: fingerprint(print) };
    for size in [0, 1, 700_000, 1024 * 1024, 1024 * 1024 + 1, 2_500_000] {
        let bytes: Bytes = (0..size).map(|at| (at * 7 + at / 251) as u8).collect::<Vec<_>>().into();
        let key = ContentHash::of(&bytes);
        for kind in [ContentKind::Bundle, unit("one"), unit("two")] {
            assert_eq!(store.content(&kind, key).await, Ok(None));
            store.put_content(&kind, key, bytes.clone()).await.unwrap();
            assert!(
                store.content(&kind, key).await.unwrap().as_ref() == Some(&bytes),
                "{size} bytes as {kind:?}"
            );
        }
        assert_eq!(store.content(&unit("three"), key).await, Ok(None));
    }
}

async fn a_content_may_be_put_again(bench: Bench) {
    let (store, key) = (bench.open().await, ContentHash::of(b"key"));
    let unit = ContentKind::Unit { fingerprint: fingerprint("one") };
    for kind in [&ContentKind::Bundle, &unit] {
        for text in ["first", "first", "second"] {
            store.put_content(kind, key, Bytes::from(text)).await.unwrap();
        }
    }
    assert_eq!(store.content(&ContentKind::Bundle, key).await, Ok(Some(Bytes::from("first"))));
    assert_eq!(store.content(&unit, key).await, Ok(Some(Bytes::from("second"))));
}

async fn a_content_is_bounded(bench: Bench) {
    let (store, key) = (bench.open().await, ContentHash::of(b"key"));
    let large = Bytes::from(vec![0; actors::storage::store::CONTENT_MAX + 1]);
    let refused = store.put_content(&ContentKind::Bundle, key, large).await;
    assert_eq!(refused.map_err(|error| error.code()), Err("store.too_large"));
}

async fn a_commit_moves_head_revision_and_audit_together(bench: Bench) {
    let (store, home) = (bench.open().await, script("tv/home"));
    assert_eq!(store.head(&home).await, Ok(None));
    assert_eq!(store.revision(&home, number(1)).await, Ok(None));

    let first = commit(&home, 0, 1);
    let head = applied(store.commit(&first).await);
    assert_eq!(
        (head.seq, head.active, head.latest, head.deploy),
        (1, Some(number(1)), Some(number(1)), first.deploy)
    );
    let second = commit(&home, 1, 2);
    let head = applied(store.commit(&second).await);
    assert_eq!((head.seq, head.active, head.latest), (2, Some(number(2)), Some(number(2))));
    // Back to the first revision: no new one, one more step.
    let back = step(&home, 2, Some(1));
    let head = applied(store.commit(&back).await);
    assert_eq!((head.seq, head.active, head.latest), (3, Some(number(1)), Some(number(2))));

    assert_eq!(store.head(&home).await, Ok(Some(head)));
    assert_eq!(store.revision(&home, number(1)).await, Ok(first.revision.clone()));
    assert_eq!(store.revision(&home, number(2)).await, Ok(second.revision.clone()));
    assert_eq!(store.audit(Some(&home), 10).await, Ok(vec![back.audit, second.audit.clone(), first.audit]));
    assert_eq!(store.audit(Some(&script("tv/other")), 10).await, Ok(vec![]));
    let key = second.revision.as_ref().unwrap().idempotency_key.clone().unwrap();
    assert_eq!(store.revision_by_key(&home, &key).await, Ok(second.revision));
    assert_eq!(store.revision_by_key(&home, "no such key").await, Ok(None));
}

async fn a_lost_commit_leaves_nothing_and_says_what_won(bench: Bench) {
    let (store, home) = (bench.open().await, script("tv/home"));
    let ahead = commit(&home, 4, 1);
    assert_eq!(store.commit(&ahead).await, Ok(Committed::Lost { present: None }));
    let won = applied(store.commit(&commit(&home, 0, 1)).await);
    let lost = commit(&home, 0, 2);
    assert_eq!(store.commit(&lost).await, Ok(Committed::Lost { present: Some(won.clone()) }));
    assert_eq!(store.head(&home).await, Ok(Some(won)));
    assert_eq!(store.revisions(&home, None, 10).await.unwrap().len(), 1);
    assert_eq!(store.audit(Some(&home), 10).await.unwrap().len(), 1);
}

async fn the_same_deploy_again_gets_the_same_answer(bench: Bench) {
    let (store, home) = (bench.open().await, script("tv/home"));
    let first = commit(&home, 0, 1);
    let head = applied(store.commit(&first).await);
    assert_eq!(store.commit(&first).await, Ok(Committed::Applied(head.clone())));
    // Even when others came after it.
    let second = commit(&home, 1, 2);
    applied(store.commit(&second).await);
    applied(store.commit(&commit(&home, 2, 3)).await);
    assert_eq!(store.commit(&first).await, Ok(Committed::Applied(head)));
    assert_eq!(applied(store.commit(&second).await).seq, 2);
    assert_eq!(store.audit(Some(&home), 10).await.unwrap().len(), 3);
}

async fn a_commit_that_makes_no_sense_is_refused(bench: Bench) {
    let (store, home) = (bench.open().await, script("tv/home"));
    applied(store.commit(&commit(&home, 0, 3)).await);
    for wrong in [commit(&home, 1, 3), commit(&home, 1, 2), step(&home, 1, Some(4))] {
        assert_eq!(store.commit(&wrong).await.map_err(|error| error.code()), Err("store.invalid"));
    }
    let mut large = commit(&home, 1, 4);
    large.audit.detail = "x".repeat(actors::storage::store::ROW_MAX);
    assert_eq!(store.commit(&large).await.map_err(|error| error.code()), Err("store.too_large"));
    assert_eq!(store.head(&home).await.unwrap().unwrap().seq, 1);
}

async fn of_many_committers_exactly_the_acknowledged_are_in_the_history(bench: Bench) {
    const COMMITTERS: usize = 50;
    let (one, two) = bench.open_two().await;
    let home = script("tv/home");
    let committers = (0..COMMITTERS).map(|who| {
        let (store, home) = (Arc::clone(if who % 2 == 0 { &one } else { &two }), home.clone());
        async move {
            let mut lost = Vec::new();
            for _ in 0..4 {
                let Ok(head) = store.head(&home).await else { continue };
                let (seq, latest) =
                    head.map_or((0, 0), |head| (head.seq, head.latest.map_or(0, RevisionNumber::get)));
                let wanted = commit(&home, seq, latest + 1);
                // An unknown outcome is asked for again, under the same id, until it is known.
                let committed = loop {
                    match store.commit(&wanted).await {
                        Ok(committed) => break committed,
                        Err(StoreError::Unknown { deploy }) => assert_eq!(deploy, wanted.deploy),
                        Err(StoreError::Unavailable { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                };
                match committed {
                    Committed::Applied(head) => return (Some((head.seq, wanted.audit.id)), lost),
                    Committed::Lost { .. } => lost.push(wanted.audit.id),
                }
            }
            (None, lost)
        }
    });
    let ends = futures_util::future::join_all(committers).await;
    let acknowledged: BTreeSet<_> = ends.iter().filter_map(|(won, _)| won.clone()).collect();
    let lost: BTreeSet<_> = ends.into_iter().flat_map(|(_, lost)| lost).collect();

    let count = acknowledged.len() as u64;
    assert!(count > 0 && !lost.is_empty(), "{count} acknowledged, {} lost", lost.len());
    let head = one.head(&home).await.unwrap().unwrap();
    assert_eq!((head.seq, head.latest), (count, RevisionNumber::new(count)));
    let mut history = one.audit(Some(&home), 100).await.unwrap();
    history.reverse();
    let steps: BTreeSet<_> = (1..).zip(history.into_iter().map(|entry| entry.id)).collect();
    assert_eq!(steps, acknowledged);
    assert!(
        steps.iter().all(|(_, id)| !lost.contains(id)),
        "a commit that was called lost is in the history"
    );
    let numbers =
        one.revisions(&home, None, 100).await.unwrap().into_iter().map(|revision| revision.number.get());
    assert_eq!(numbers.collect::<Vec<_>>(), (1..=count).rev().collect::<Vec<_>>());
}

async fn revisions_come_newest_first_page_by_page(bench: Bench) {
    let (store, home) = (bench.open().await, script("tv/home"));
    applied(store.commit(&commit(&script("tv/homer"), 0, 9)).await);
    applied(store.commit(&commit(&script("tv/hom"), 0, 9)).await);
    for seq in 0..7 {
        applied(store.commit(&commit(&home, seq, seq + 1)).await);
    }
    let (mut before, mut pages) = (None, Vec::new());
    loop {
        let page = store.revisions(&home, before, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.number);
        pages.push(page.iter().map(|revision| revision.number.get()).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![7, 6, 5], vec![4, 3, 2], vec![1]]);
    assert_eq!(store.revisions(&home, None, 0).await, Ok(vec![]));
}

async fn a_deleted_script_keeps_its_history(bench: Bench) {
    let (store, home) = (bench.open().await, script("tv/home"));
    applied(store.commit(&commit(&home, 0, 1)).await);
    let mut gone = step(&home, 1, None);
    gone.deleted = true;
    let head = applied(store.commit(&gone).await);
    assert_eq!((head.deleted, head.active, head.latest), (true, None, Some(number(1))));
    assert_eq!(store.head(&home).await, Ok(Some(head)));
    let head = applied(store.commit(&commit(&home, 2, 2)).await);
    assert_eq!((head.seq, head.deleted, head.active), (3, false, Some(number(2))));
    assert_eq!(store.revisions(&home, None, 10).await.unwrap().len(), 2);
}

async fn the_sweep_sees_every_head(bench: Bench) {
    let store = bench.open().await;
    assert_eq!(store.heads().await, Ok(vec![]));
    let mut want = Vec::new();
    for name in 0..30 {
        let id = script(&format!("team{}/script{name}", name % 3));
        for seq in 0..name % 3 + 1 {
            let head = applied(store.commit(&commit(&id, seq, seq + 1)).await);
            want.retain(|(other, _)| *other != id);
            want.push((id.clone(), head));
        }
    }
    let mut found = store.heads().await.unwrap();
    found.sort_by_key(|(id, _)| id.to_string());
    want.sort_by_key(|(id, _)| id.to_string());
    assert_eq!(found, want);
}

async fn a_route_has_one_owner(bench: Bench) {
    let store = bench.open().await;
    let (home, epg) = (script("tv/home"), script("tv/epg"));
    let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(store.claim_routes(&home, &list(&["GET /home", "GET /tiles/{}"])).await, Ok(Claimed::All));
    assert_eq!(store.claim_routes(&home, &list(&["GET /home"])).await, Ok(Claimed::All));
    // What a refused claim took on the way is given back; what it had stays.
    assert_eq!(store.claim_routes(&epg, &list(&["GET /epg"])).await, Ok(Claimed::All));
    let taken = Claimed::Taken { pattern: "GET /home".into(), owner: home.clone() };
    assert_eq!(
        store.claim_routes(&epg, &list(&["GET /a", "GET /epg", "GET /home", "GET /z"])).await,
        Ok(taken)
    );
    assert_eq!(store.claim_routes(&home, &list(&["GET /a", "GET /z"])).await, Ok(Claimed::All));
    let taken = Claimed::Taken { pattern: "GET /epg".into(), owner: epg.clone() };
    assert_eq!(store.claim_routes(&home, &list(&["GET /epg"])).await, Ok(taken));
    // Only one's own can be given back.
    store.release_routes(&epg, &list(&["GET /home", "GET /nothing"])).await.unwrap();
    let taken = Claimed::Taken { pattern: "GET /home".into(), owner: home.clone() };
    assert_eq!(store.claim_routes(&epg, &list(&["GET /home"])).await, Ok(taken));
    store.release_routes(&home, &list(&["GET /home"])).await.unwrap();
    assert_eq!(store.claim_routes(&epg, &list(&["GET /home"])).await, Ok(Claimed::All));
}

async fn of_many_claims_one_wins(bench: Bench) {
    let (one, two) = bench.open_two().await;
    let patterns: Vec<_> = ["GET /b", "GET /a", "GET /c"].iter().map(ToString::to_string).collect();
    let claims = (0..8).map(|who| {
        let (store, mut patterns) = (Arc::clone(if who % 2 == 0 { &one } else { &two }), patterns.clone());
        patterns.rotate_left(who % 3);
        async move { (who, store.claim_routes(&script(&format!("tv/s{who}")), &patterns).await.unwrap()) }
    });
    let ends = futures_util::future::join_all(claims).await;
    let winners: Vec<_> = ends.iter().filter(|(_, end)| *end == Claimed::All).collect();
    assert_eq!(winners.len(), 1, "{ends:?}");
    let winner = script(&format!("tv/s{}", winners[0].0));
    for (_, end) in &ends {
        assert!(
            matches!(end, Claimed::All) || matches!(end, Claimed::Taken { owner, .. } if *owner == winner)
        );
    }
}

async fn the_higher_generation_wins_and_off_wins_when_equal(bench: Bench) {
    let store = bench.open().await;
    let home = Scope::Script(script("tv/home"));
    let put = async |row: SwitchRow, seen: Seen<'_>, kept: bool| {
        let audit = audit("switch.off", &home.to_string());
        let present = store.switches().await.unwrap();
        let switched = store.put_switch(&row, seen, &audit).await.unwrap();
        let found = store.switches().await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0] == row, kept, "{row:?}: {found:?}");
        let expected = match kept {
            true => Switched::Kept,
            false => Switched::Lost { present: Box::new(present[0].clone()) },
        };
        assert_eq!(switched, expected);
        row
    };
    let all = async |generation, off, kept| put(switch(&home, generation, off), Seen::All, kept).await;
    all(1, true, true).await;
    all(2, false, true).await;
    all(1, true, false).await;
    all(2, true, true).await;
    all(2, false, false).await;
    // Of two of one generation the one that lasts longer stays.
    let shorter = SwitchRow { until_ms: Some(1), ..switch(&home, 2, true) };
    put(shorter, Seen::All, false).await;
    let open = SwitchRow { until_ms: None, ..switch(&home, 3, true) };
    put(open.clone(), Seen::Only(&[]), false).await;
    let open = put(open, Seen::All, true).await;
    // What is off gives way to who has seen it.
    put(switch(&home, 4, false), Seen::Only(&[]), false).await;
    put(SwitchRow { observe: true, ..open.clone() }, Seen::Only(&[]), false).await;
    put(switch(&home, 4, false), Seen::Only(&[open]), true).await;
    // Only what changed something is in the audit.
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 5);
    // The same again is kept, and another kind is another switch.
    let again = store.switches().await.unwrap().remove(0);
    put(again, Seen::Only(&[]), true).await;
    for row in [switch(&Scope::All, 1, true), SwitchRow { effect: Effect::Freeze, ..switch(&home, 1, true) }]
    {
        let switched = store.put_switch(&row, Seen::Only(&[]), &audit("switch.off", "all")).await;
        assert_eq!(switched, Ok(Switched::Kept));
    }
    let ids: Vec<_> = store.switches().await.unwrap().iter().map(|row| row.id().to_string()).collect();
    assert_eq!(
        BTreeSet::from_iter(ids),
        ["all", "freeze script:tv/home", "script:tv/home"].map(str::to_owned).into()
    );
}

async fn of_quotas_the_higher_generation_wins_and_who_comes_late_is_told(bench: Bench) {
    let store = bench.open().await;
    let put = async |row: &QuotaRow| store.put_quota(row, &audit("quota.set", "team:tv")).await.unwrap();
    assert_eq!(store.quotas().await, Ok(Vec::new()));
    let first = quota("team:tv", 1, 500);
    assert!(put(&first).await);
    assert!(!put(&quota("team:tv", 1, 7)).await, "another was faster");
    assert_eq!(store.quotas().await, Ok(vec![first]));
    let back = QuotaRow { rules: Vec::new(), ..quota("team:tv", 2, 0) };
    assert!(put(&back).await);
    assert!(!put(&quota("team:tv", 1, 500)).await, "what was taken back does not come back");
    assert_eq!(store.quotas().await, Ok(vec![back]));
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 2, "only what changed something is in the audit");
    let other = quota("all", 1, 5);
    assert!(put(&other).await && put(&other).await, "the same again is there");
    assert_eq!(store.quotas().await.unwrap().len(), 2);
}

async fn steps_come_oldest_first_page_by_page(bench: Bench) {
    let (store, home) = (bench.open().await, script("tv/home"));
    assert_eq!(store.steps(&home, 0, 10).await, Ok(Vec::new()));
    let mut sent = Vec::new();
    for number in 1..=5 {
        let commit = commit(&home, number - 1, number);
        applied(store.commit(&commit).await);
        sent.push(commit.audit);
    }
    let mut found = Vec::new();
    loop {
        let page = store.steps(&home, found.len() as u64, 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found.iter().map(|step| step.head.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(found.into_iter().map(|step| step.audit).collect::<Vec<_>>(), sent);
}

async fn a_node_is_known_until_it_is_silent_or_leaves(bench: Bench) {
    let (one, two) = bench.open_two().await;
    let node = |name: &str| NodeRow {
        name: name.into(),
        admin: "http://127.0.0.1:8081".into(),
        version: "1".into(),
        build: "b".into(),
        started_ms: 1,
        seen_ms: now_ms(),
        key: Some("k1".into()),
    };
    let (stays, leaves, ends) = (node("stays"), node("leaves"), node("ends"));
    one.put_node(&stays, Duration::from_secs(60)).await.unwrap();
    one.put_node(&leaves, Duration::from_secs(60)).await.unwrap();
    one.put_node(&ends, Duration::from_secs(2)).await.unwrap();
    let names =
        async || two.nodes().await.unwrap().into_iter().map(|node| node.name).collect::<BTreeSet<_>>();
    assert!(names().await.contains("leaves"));
    one.drop_node("leaves").await.unwrap();
    within("who is silent is forgotten", async || {
        (names().await == BTreeSet::from(["stays".to_owned()])).then_some(())
    })
    .await;
    assert_eq!(two.nodes().await, Ok(vec![stays]));
}

async fn a_note_is_in_everyones_audit(bench: Bench) {
    let store = bench.open().await;
    let note = audit("quarantine.on", "endpoint:tv/home/main");
    store.note(&note).await.unwrap();
    assert_eq!(store.audit(None, 10).await, Ok(vec![note]));
}

async fn a_revoked_token_stays_revoked(bench: Bench) {
    let store = bench.open().await;
    let token = TokenRow {
        id: "t1".into(),
        hash: [7; 32],
        role: "deployer".into(),
        team: Some("tv".parse().unwrap()),
        note: "for the build".into(),
        created_ms: now_ms(),
        expires_ms: None,
        revoked: false,
    };
    let other = TokenRow { id: "t2".into(), team: None, expires_ms: Some(9), ..token.clone() };
    let revoked = TokenRow { revoked: true, ..token.clone() };
    for row in [&token, &other, &revoked, &token] {
        store.put_token(row, &audit("token.put", "all")).await.unwrap();
    }
    let mut found = store.tokens().await.unwrap();
    found.sort_by_key(|row| row.id.clone());
    assert_eq!(found, [revoked, other]);
    assert_eq!(store.audit(None, 10).await.unwrap().len(), 3);
}

async fn everyones_audit_is_newest_first(bench: Bench) {
    let store = bench.open().await;
    let mut want = Vec::new();
    for at in 0..6_u64 {
        // Half of them yesterday, all in order.
        let at_ms = now_ms() + at - if at < 3 { 86_400_000 } else { 0 };
        let mut entry = audit("x", "all");
        entry.at_ms = at_ms;
        if at % 2 == 0 {
            let mut commit = commit(&script("tv/home"), at / 2, at / 2 + 1);
            commit.audit = entry.clone();
            applied(store.commit(&commit).await);
        } else {
            store.put_switch(&switch(&Scope::All, at, true), Seen::All, &entry).await.unwrap();
        }
        want.insert(0, entry);
    }
    assert_eq!(store.audit(None, 10).await.unwrap(), want);
    assert_eq!(store.audit(None, 2).await.unwrap(), want[..2]);
    assert_eq!(store.audit(Some(&script("tv/home")), 1).await.unwrap(), want[1..2]);
}

async fn the_feed_tells_of_changes(bench: Bench) {
    let (store, reader) = bench.open_two().await;
    let home = script("tv/home");
    let (_, start) = reader.changes(&Cursor::default()).await.unwrap();
    applied(store.commit(&commit(&home, 0, 1)).await);
    let told = async |since: Cursor, change: Change| {
        within("the feed tells of a change", async || {
            let (changes, cursor) = reader.changes(&since).await.unwrap();
            changes.contains(&change).then_some(cursor)
        })
        .await
    };
    let cursor = told(start, Change::Script(home.clone(), 1)).await;
    applied(store.commit(&commit(&home, 1, 2)).await);
    let cursor = told(cursor, Change::Script(home.clone(), 2)).await;
    store.put_switch(&switch(&Scope::All, 1, true), Seen::All, &audit("switch.off", "all")).await.unwrap();
    let cursor = told(cursor, Change::Switch(SwitchId::kill(Scope::All))).await;
    let token = TokenRow {
        id: "t1".into(),
        hash: [7; 32],
        role: String::new(),
        team: None,
        note: String::new(),
        created_ms: 0,
        expires_ms: None,
        revoked: false,
    };
    store.put_token(&token, &audit("token.put", "all")).await.unwrap();
    let cursor = told(cursor, Change::Tokens).await;
    store.put_quota(&quota("team:tv", 1, 5), &audit("quota.set", "team:tv")).await.unwrap();
    told(cursor, Change::Quota(Scope::parse("team:tv").unwrap())).await;
    // A lost commit changes nothing, so nothing is told of it.
    let lost = commit(&home, 1, 3);
    assert!(matches!(store.commit(&lost).await, Ok(Committed::Lost { .. })));
    let (changes, _) = reader.changes(&start).await.unwrap();
    assert!(!changes.contains(&Change::Script(home, 3)));
}

async fn what_was_stored_is_there_after_opening_again(bench: Bench) {
    let (home, key) = (script("tv/home"), ContentHash::of(b"x"));
    let store = bench.open().await;
    let stored = commit(&home, 0, 1);
    let head = applied(store.commit(&stored).await);
    store.put_content(&ContentKind::Bundle, key, Bytes::from("x")).await.unwrap();
    let row = switch(&Scope::All, 3, true);
    store.put_switch(&row, Seen::All, &audit("switch.off", "all")).await.unwrap();
    let set = quota("team:tv", 3, 500);
    store.put_quota(&set, &audit("quota.set", "team:tv")).await.unwrap();
    store.claim_routes(&home, &["GET /home".to_owned()]).await.unwrap();
    drop(store);

    let store = bench.open().await;
    store.ping().await.unwrap();
    assert_eq!(store.head(&home).await, Ok(Some(head)));
    assert_eq!(store.revision(&home, number(1)).await, Ok(stored.revision));
    assert_eq!(store.audit(Some(&home), 10).await, Ok(vec![stored.audit]));
    assert_eq!(store.content(&ContentKind::Bundle, key).await, Ok(Some(Bytes::from("x"))));
    assert_eq!(store.switches().await, Ok(vec![row]));
    assert_eq!(store.quotas().await, Ok(vec![set]));
    let taken = store.claim_routes(&script("tv/epg"), &["GET /home".to_owned()]).await;
    assert!(matches!(taken, Ok(Claimed::Taken { .. })));
    // A cursor of before is no reason to fail.
    store.changes(&Cursor::default()).await.unwrap();
}

fn applied(committed: Result<Committed, StoreError>) -> Head {
    match committed {
        Ok(Committed::Applied(head)) => head,
        other => panic!("the commit was not applied: {other:?}"),
    }
}

fn fingerprint(text: &str) -> Fingerprint {
    Fingerprint::parse(text).unwrap()
}
