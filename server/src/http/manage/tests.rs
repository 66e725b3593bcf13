mod kit;

use api::client::{List, Upload, Wait};
use api::{ActivateRequest, Client, ClientError, Role, SwitchRequest, SwitchState, TokenRequest};

use self::kit::*;

const JSON: (&str, &str) = ("content-type", "application/json");
const TAR: (&str, &str) = ("content-type", "application/x-tar");
const QUOTA: &str = r#"{"rules":[{"name":"rate","limit":"9/s"}],"reason":"a test"}"#;
const OFF: &str = r#"{"state":"off","reason":"a test"}"#;

async fn status(client: &Client, line: &str) -> u16 {
    client.raw(ask(line, &[], "")).await.unwrap().status.as_u16()
}

fn code<T>(done: Result<T, ClientError>) -> String {
    match done {
        Ok(_) => "ok".to_owned(),
        Err(ClientError::Problem(problem)) => problem.code,
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_deploy_is_seen_moved_and_taken_away() {
    with_door(|kit| async move {
        let ana = kit.with_role(Role::Deployer, Some("tv")).await;
        let upload = Upload {
            message: "first & last".to_owned(),
            tag: Some("v1".to_owned()),
            timeout: Some("50s".to_owned()),
            idempotency_key: Some("k1".to_owned()),
            ..Upload::default()
        };
        let one = ana.upload("tv", "home", archive("tv/home", "one"), &upload).await.unwrap();
        assert_eq!((one.revision.number, one.active, one.converged, one.repeated), (1, Some(1), true, false));
        assert_eq!(
            (one.revision.message.as_str(), one.revision.tag.as_deref()),
            ("first & last", Some("v1"))
        );
        assert_eq!(one.endpoints, ["tv/home/hello"]);
        let again = ana.upload("tv", "home", archive("tv/home", "one"), &upload).await.unwrap();
        assert!(again.repeated && again.revision.number == 1);
        let other = ana.upload("tv", "home", archive("tv/home", "other"), &upload).await;
        assert_eq!(code(other), "idempotency.mismatch");

        let dry = Upload { dry_run: true, ..Upload::default() };
        let dry = ana.upload("tv", "home", archive("tv/home", "two"), &dry).await.unwrap();
        assert!(dry.dry_run && dry.revision.number == 2);
        let kept = Upload { keep_inactive: true, ..Upload::default() };
        let kept = ana.upload("tv", "home", archive("tv/home", "two"), &kept).await.unwrap();
        assert_eq!((kept.revision.number, kept.active), (2, Some(1)));

        let history = ana.revisions("tv", "home", &List::default()).await.unwrap();
        let numbers: Vec<_> =
            history.items.iter().map(|revision| (revision.number, revision.active)).collect();
        assert_eq!(numbers, [(2, false), (1, true)]);
        let first = List { limit: Some(1), ..List::default() };
        let page = ana.revisions("tv", "home", &first).await.unwrap();
        let rest = List { cursor: page.cursor, ..List::default() };
        assert_eq!(ana.revisions("tv", "home", &rest).await.unwrap().items[0].number, 1);
        let detail = ana.revision("tv", "home", 1).await.unwrap();
        assert_eq!(detail.files.len(), 2);
        let source = ana.file("tv", "home", 1, "main.rn").await.unwrap();
        assert!(source.starts_with(b"pub fn hello"));
        assert_eq!(code(ana.file("tv", "home", 1, "none.rn").await), "resource.unknown");
        assert_eq!(code(ana.revision("tv", "home", 9).await), "revision.unknown");

        let head = ana.active("tv", "home").await.unwrap();
        let two = ActivateRequest { revision: 2, reason: Some("it is better".to_owned()) };
        let moved = ana.activate("tv", "home", &head.etag, &two, false, Wait::Node).await.unwrap();
        assert_eq!((moved.before, moved.head.active), (Some(1), Some(2)));
        let stale = ana.activate("tv", "home", &head.etag, &two, false, Wait::Node).await;
        let Err(ClientError::Problem(stale)) = stale else { panic!("{stale:?}") };
        assert_eq!((stale.status, stale.code.as_str()), (412, "deploy.conflict"));
        assert_eq!(stale.present, Some(moved.head.clone()));

        let line = "PUT /v1/scripts/tv/home/active";
        for (headers, expected) in [
            (vec![JSON], (428, "precondition.missing")),
            (vec![JSON, ("if-match", "7")], (400, "precondition.invalid")),
            (vec![JSON, ("if-match", "W/\"7\"")], (400, "precondition.invalid")),
            (vec![("if-match", "*")], (415, "request.media_type")),
        ] {
            let raw = ana.raw(ask(line, &headers, r#"{"revision":1}"#)).await.unwrap();
            assert_eq!(outcome(&raw), (expected.0, expected.1.to_owned()), "{headers:?}");
        }
        let raw = ana.raw(ask(line, &[JSON, ("if-match", "*")], r#"{"revision":1}"#)).await.unwrap();
        assert_eq!(raw.headers["etag"], value(&raw)["head"]["etag"].as_str().unwrap());

        let scripts = ana.scripts(&List::default()).await.unwrap();
        assert_eq!(scripts.items[0].script, "home");
        let gone = ana.delete_script("tv", "home", "*", Some("no more"), false).await.unwrap();
        assert!(gone.head.deleted && gone.removed == ["tv/home/hello"]);
        assert_eq!(code(ana.endpoint("tv", "home", "hello").await), "endpoint.unknown");

        let audit = kit.admin().audit(&List::default()).await.unwrap();
        let whats: Vec<_> = audit.items.iter().map(|entry| entry.what.as_str()).collect();
        assert!(whats.contains(&"revision.deploy") && whats.contains(&"script.delete"), "{whats:?}");
        let mine = ana.audit(&List { limit: Some(1), ..List::default() }).await.unwrap();
        let rest = List { cursor: mine.cursor, ..List::default() };
        let rest = ana.audit(&rest).await.unwrap().items;
        assert!(
            mine.items.len() == 1
                && !rest.is_empty()
                && rest.iter().all(|entry| entry.id != mine.items[0].id)
        );
        assert!(rest.iter().all(|entry| !entry.subject.starts_with("token:")));
    });
}

#[test]
fn a_role_may_what_it_may_on_every_route() {
    with_door(|kit| async move {
        let admin = kit.admin();
        for id in ["tv/home", "radio/home"] {
            let (team, script) = id.split_once('/').unwrap();
            admin.upload(team, script, archive(id, "one"), &Upload::default()).await.unwrap();
        }
        let clients = [
            kit.nobody(),
            kit.with_role(Role::Viewer, None).await,
            kit.with_role(Role::Viewer, Some("tv")).await,
            kit.with_role(Role::Viewer, Some("radio")).await,
            kit.with_role(Role::Deployer, Some("tv")).await,
            kit.with_role(Role::Deployer, Some("radio")).await,
            kit.with_role(Role::Operator, None).await,
            admin,
        ];
        let any = ("if-match", "*");
        // Nobody; viewers of all, tv, radio; deployers of tv, radio; operator; admin. All of it is only tried.
        let anybody = [200; 8];
        let bearers = [401, 200, 200, 200, 200, 200, 200, 200];
        let of_tv = [401, 200, 200, 404, 200, 404, 200, 200];
        let deploys = [401, 403, 403, 404, 200, 404, 200, 200];
        let switches = [401, 403, 403, 403, 200, 403, 200, 200];
        for (line, headers, body, expected) in [
            ("GET /livez", vec![], "", anybody),
            ("GET /healthz", vec![], "", anybody),
            ("GET /readyz?verbose", vec![], "", anybody),
            ("GET /metrics", vec![], "", [401, 200, 403, 403, 403, 403, 200, 200]),
            ("GET /v1/openapi.json", vec![], "", anybody),
            ("GET /v1/version", vec![], "", anybody),
            ("HEAD /v1/whoami", vec![], "", bearers),
            ("GET /v1/limits", vec![], "", bearers),
            ("GET /v1/nodes", vec![], "", bearers),
            ("GET /v1/scripts", vec![], "", bearers),
            ("GET /v1/endpoints", vec![], "", bearers),
            ("GET /v1/switches", vec![], "", bearers),
            ("GET /v1/audit", vec![], "", bearers),
            ("GET /v1/quotas/all", vec![], "", bearers),
            ("GET /v1/quotas/endpoint:tv/home/hello", vec![], "", of_tv),
            ("GET /v1/quotas/team:tv", vec![], "", of_tv),
            ("GET /v1/scripts/tv/home/active", vec![], "", of_tv),
            ("GET /v1/scripts/tv/home/revisions", vec![], "", of_tv),
            ("GET /v1/scripts/tv/home/revisions/1", vec![], "", of_tv),
            ("GET /v1/scripts/tv/home/revisions/1/files/main.rn", vec![], "", of_tv),
            ("GET /v1/endpoints/tv/home/hello", vec![], "", of_tv),
            ("PUT /v1/scripts/tv/home/active?dry_run=true", vec![JSON, any], r#"{"revision":1}"#, deploys),
            ("DELETE /v1/scripts/tv/home?dry_run=true", vec![any], "", deploys),
            (
                "PUT /v1/quotas/team:tv?dry_run=true",
                vec![JSON, any],
                QUOTA,
                [401, 403, 403, 404, 403, 404, 200, 200],
            ),
            (
                "DELETE /v1/quotas/team:tv?dry_run=true",
                vec![any],
                "",
                [401, 403, 403, 404, 403, 404, 200, 200],
            ),
            ("PUT /v1/switches/script:tv/home?dry_run=true", vec![JSON], OFF, switches),
            ("PUT /v1/switches/revision:tv/home@1?dry_run=true", vec![JSON], OFF, switches),
            ("PUT /v1/switches/all?dry_run=true", vec![JSON], OFF, [401, 403, 403, 403, 403, 403, 200, 200]),
            (
                "DELETE /v1/endpoints/tv/home/hello/quarantine?dry_run=true",
                vec![],
                "",
                [401, 403, 403, 404, 403, 404, 200, 200],
            ),
            ("GET /v1/tokens", vec![], "", [401, 403, 403, 403, 403, 403, 403, 200]),
            ("DELETE /v1/tokens/none", vec![], "", [401, 403, 403, 403, 403, 403, 403, 404]),
        ] {
            for (place, (client, expected)) in clients.iter().zip(expected).enumerate() {
                let raw = client.raw(ask(line, &headers, body)).await.unwrap();
                assert_eq!(raw.status.as_u16(), expected, "{line} of {place}: {}", value(&raw));
            }
        }
        let line = "POST /v1/scripts/tv/home/revisions?dry_run=true";
        // A script need not exist to be made, so there is nothing to hide.
        let uploads = [401, 403, 403, 403, 200, 403, 200, 200];
        for (place, (client, expected)) in clients.iter().zip(uploads).enumerate() {
            let raw = client.raw(ask(line, &[TAR], archive("tv/home", "two"))).await.unwrap();
            assert_eq!(raw.status.as_u16(), expected, "{line} of {place}: {}", value(&raw));
        }
        let seen = clients[4].scripts(&List::default()).await.unwrap().items;
        assert_eq!(seen.iter().map(|script| script.team.as_str()).collect::<Vec<_>>(), ["tv"]);
        let radio = List { team: Some("radio".to_owned()), ..List::default() };
        assert!(clients[4].scripts(&radio).await.unwrap().items.is_empty());
        assert!(clients[4].endpoints(&radio).await.unwrap().items.is_empty());
        assert!(clients[4].audit(&radio).await.unwrap().items.is_empty());
        let radio = List { script: Some("radio/home".to_owned()), ..List::default() };
        assert!(clients[4].audit(&radio).await.unwrap().items.is_empty());
    });
}

#[test]
fn what_another_team_has_looks_like_what_is_not_there() {
    with_door(|kit| async move {
        kit.admin().upload("radio", "home", archive("radio/home", "one"), &Upload::default()).await.unwrap();
        let ana = kit.with_role(Role::Operator, Some("tv")).await;
        let any = ("if-match", "*");
        for (line, headers, body) in [
            ("GET /v1/scripts/radio/NAME/active", vec![], ""),
            ("GET /v1/scripts/radio/NAME/revisions", vec![], ""),
            ("GET /v1/scripts/radio/NAME/revisions/1", vec![], ""),
            ("GET /v1/scripts/radio/NAME/revisions/1/files/main.rn", vec![], ""),
            ("PUT /v1/scripts/radio/NAME/active", vec![JSON, any], r#"{"revision":1}"#),
            ("DELETE /v1/scripts/radio/NAME", vec![any], ""),
            ("POST /v1/scripts/radio/NAME/revisions", vec![TAR], "x"),
            ("GET /v1/endpoints/radio/NAME/hello", vec![], ""),
            ("DELETE /v1/endpoints/radio/NAME/hello/quarantine", vec![], ""),
            ("GET /v1/quotas/script:radio/NAME", vec![], ""),
            ("PUT /v1/switches/script:radio/NAME", vec![JSON], OFF),
            ("DELETE /v1/switches/script:radio/NAME", vec![], ""),
        ] {
            let mut bodies = Vec::new();
            for name in ["home", "none"] {
                let raw = ana.raw(ask(&line.replace("NAME", name), &headers, body)).await.unwrap();
                let text = String::from_utf8(raw.body.to_vec()).unwrap();
                bodies.push((raw.status, text.replace(&format!("radio/{name}"), "radio/NAME")));
            }
            assert_eq!(bodies[0], bodies[1], "{line}");
            assert!([403, 404].contains(&bodies[0].0.as_u16()), "{line}");
        }
        // An admin is told the same of what is not there.
        let admin = kit.admin().raw(ask("GET /v1/scripts/radio/none/active", &[], "")).await.unwrap();
        let stranger = ana.raw(ask("GET /v1/scripts/radio/none/active", &[], "")).await.unwrap();
        assert_eq!(admin.body, stranger.body);
        // A route that is taken is told without the name of a stranger that has it.
        let taken = archive_at("tv/home", "/radio/home/hello");
        let stranger = ana.upload("tv", "home", taken.clone(), &Upload::default()).await;
        let Err(ClientError::Problem(stranger)) = stranger else { panic!("{stranger:?}") };
        assert_eq!(stranger.detail.as_deref(), Some("GET /radio/home/hello is answered by another script"));
        let admin = kit.admin().upload("tv", "home", taken, &Upload::default()).await;
        let Err(ClientError::Problem(admin)) = admin else { panic!("{admin:?}") };
        assert_eq!(admin.detail.as_deref(), Some("GET /radio/home/hello is answered by radio/home"));
    });
}

#[test]
fn a_wrong_token_is_refused_and_many_lock_the_address() {
    with_door(|kit| async move {
        let ana = kit.with_role(Role::Viewer, None).await;
        let whoami = "GET /v1/whoami";
        let raw = kit.nobody().raw(ask(whoami, &[], "")).await.unwrap();
        assert_eq!(outcome(&raw), (401, "auth.missing".to_owned()));
        assert_eq!(raw.headers["www-authenticate"], "Bearer");
        for token in ["Basic x", "Bearer", "Bearer ", "x"] {
            let raw = kit.nobody().raw(ask(whoami, &[("authorization", token)], "")).await.unwrap();
            assert_eq!(raw.status, 401, "{token}");
        }
        let wrong = kit.client("cb_aaaaaaaa_wrong");
        for _ in 0..10 {
            let raw = wrong.raw(ask(whoami, &[], "")).await.unwrap();
            assert_eq!(outcome(&raw), (401, "auth.invalid".to_owned()));
        }
        let raw = wrong.raw(ask(whoami, &[], "")).await.unwrap();
        assert_eq!(outcome(&raw), (429, "rate.exceeded".to_owned()));
        let wait: u64 = raw.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait));
        // What a person chose may be guessed and is not even compared; what was made here cannot be.
        assert_eq!(status(&kit.admin(), whoami).await, 429);
        assert_eq!(status(&ana, whoami).await, 200);
        assert_eq!(status(&kit.nobody(), "GET /livez").await, 200);
    });
}

#[test]
fn tokens_are_made_shown_once_and_revoked() {
    with_door(|kit| async move {
        let admin = kit.admin();
        let who = admin.whoami().await.unwrap();
        assert_eq!((who.name.as_str(), who.role, who.token), ("admin", Role::Admin, None));
        let wanted = TokenRequest {
            role: Role::Deployer,
            team: Some("tv".to_owned()),
            note: "ci".to_owned(),
            expires: Some(api::time_from_ms(api::time_to_ms(api::time_now()) + 3_600_000)),
        };
        let made = admin.create_token(&wanted).await.unwrap();
        let ci = kit.client(&made.secret);
        let who = ci.whoami().await.unwrap();
        assert_eq!(
            (who.role, who.team.as_deref(), who.from.as_str()),
            (Role::Deployer, Some("tv"), "127.0.0.1")
        );
        assert_eq!(who.token.as_deref(), Some(made.token.id.as_str()));
        let listed = admin.tokens().await.unwrap();
        assert!(listed.items.contains(&made.token));
        assert!(!serde_json::to_string(&listed).unwrap().contains(&made.secret));
        assert!(admin.revoke_token(&made.token.id).await.unwrap().revoked);
        assert!(admin.revoke_token(&made.token.id).await.unwrap().revoked);
        assert_eq!(code(ci.whoami().await), "auth.invalid");
        assert_eq!(code(admin.revoke_token("none").await), "token.unknown");
        let of_team = TokenRequest { role: Role::Admin, ..wanted.clone() };
        assert_eq!(code(admin.create_token(&of_team).await), "request.invalid");
        let past = TokenRequest { expires: Some(api::time_from_ms(1)), ..wanted };
        assert_eq!(code(admin.create_token(&past).await), "request.invalid");
    });
}

#[test]
fn the_first_admin_is_made_once_and_only_where_there_is_none() {
    use crate::config::Secret;
    use crate::http::auth::Tokens;
    with_door(|kit| async move {
        let changes = kit.node.shared().tokens_changed();
        let (tokens, made) = Tokens::bootstrap(&kit.node, None).await.unwrap();
        let made = made.unwrap();
        let from = "127.0.0.1".parse().unwrap();
        assert_eq!(tokens.bearer(made.reveal(), from).await.unwrap().role, Role::Admin);
        assert!(Tokens::bootstrap(&kit.node, None).await.unwrap().1.is_none());
        let short = Secret::new("fifteen letters".to_owned());
        assert!(Tokens::bootstrap(&kit.node, Some(&short)).await.is_err());
        // Another door of the same store learns of it as soon as the store was looked at.
        until("the change was seen", || kit.node.shared().tokens_changed() > changes).await;
        assert_eq!(kit.client(made.reveal()).whoami().await.unwrap().role, Role::Admin);
    });
}

#[test]
fn a_switch_is_set_listed_and_released() {
    with_door(|kit| async move {
        let admin = kit.admin();
        admin.upload("tv", "home", archive("tv/home", "one"), &Upload::default()).await.unwrap();
        let off = SwitchRequest::kill("runaway");
        let dry = admin.switch_off("team:tv", &off, true).await.unwrap();
        assert!(dry.dry_run && dry.endpoints == ["tv/home/hello"] && dry.before.is_none());
        assert!(admin.switches().await.unwrap().items.is_empty());
        let done = admin.switch_off("team:tv", &off, false).await.unwrap();
        assert_eq!(done.switch.as_ref().map(|switch| switch.by.as_str()), Some("admin"));
        assert_eq!(admin.switches().await.unwrap().items, [done.switch.clone().unwrap()]);
        let radio = kit.with_role(Role::Viewer, Some("radio")).await;
        assert!(radio.switches().await.unwrap().items.is_empty());
        let on = admin.switch_on("team:tv", Some("mended"), false).await.unwrap();
        let told =
            |switch: Option<api::Switch>| switch.map(|switch| (switch.by, switch.reason, switch.generation));
        assert_eq!((on.switch, told(on.before)), (None, told(done.switch)));
        assert_eq!(code(admin.switch_on("team:tv", None, false).await), "switch.unknown");
        assert_eq!(code(admin.switch_on("nothing", None, false).await), "scope.invalid");
        let observe = SwitchRequest { state: SwitchState::Observe, ..off.clone() };
        let observed = admin.switch_off("team:tv", &observe, true).await.unwrap().switch.unwrap();
        assert_eq!(observed.state, SwitchState::Observe);
        let past = SwitchRequest { until: Some(api::time_from_ms(1)), ..off.clone() };
        assert_eq!(code(admin.switch_off("team:tv", &past, false).await), "request.invalid");
        let silent = SwitchRequest { reason: " ".to_owned(), ..off };
        assert_eq!(code(admin.switch_off("team:tv", &silent, false).await), "request.invalid");
    });
}

#[test]
fn a_request_that_makes_no_sense_is_told_why() {
    with_door(|kit| async move {
        let admin = kit.admin();
        let check = async |line: &str,
                           headers: &[(&str, &str)],
                           body: &str,
                           expected: u16,
                           code: &str,
                           says: &str| {
            let raw = admin.raw(ask(line, headers, body.to_owned())).await.unwrap();
            assert_eq!(outcome(&raw), (expected, code.to_owned()), "{line}");
            let detail = value(&raw)["detail"].as_str().unwrap_or_default().to_owned();
            assert!(detail.contains(says), "{line}: {detail}");
        };
        let bad = "request.invalid";
        check("GET /v1/scripts?limti=1", &[], "", 400, bad, "`limti`").await;
        check("GET /v1/whoami?x", &[], "", 400, bad, "`x`").await;
        check("GET /v1/scripts?limit=1&limit=2", &[], "", 400, bad, "twice").await;
        check("GET /v1/scripts?limit=0", &[], "", 400, bad, "1 to 1000").await;
        check("GET /v1/scripts?limit=many", &[], "", 400, bad, "`limit`").await;
        check("GET /v1/scripts?cursor=x", &[], "", 400, "cursor.invalid", "").await;
        check("GET /v1/scripts/Tv/home/active", &[], "", 400, "scope.invalid", "`Tv`").await;
        check("GET /v1/scripts/tv/home/revisions/x", &[], "", 400, "scope.invalid", "`x`").await;
        check("GET /v1/decisions/none", &[], "", 404, "decision.unknown", "").await;
        check("GET /v1/none", &[], "", 404, "resource.unknown", "/v1/none").await;
        check("GET /", &[], "", 404, "resource.unknown", "/").await;
        check("PUT /v1/switches/all?dry_run=maybe", &[JSON], OFF, 400, bad, "`dry_run`").await;
        check("PUT /v1/switches/all", &[JSON], r#"{"state":"off","raeson":"x"}"#, 400, bad, "`raeson`").await;
        check("PUT /v1/switches/all", &[JSON], r#"{"state":"of","reason":"x"}"#, 400, bad, "`of`").await;
        check("PUT /v1/switches/all", &[JSON], "{", 400, bad, "EOF").await;
        check("PUT /v1/switches/all", &[], OFF, 415, "request.media_type", "application/json").await;
        check("POST /v1/scripts/tv/home/revisions", &[JSON], "{}", 415, "request.media_type", "x-tar").await;
        check("POST /v1/scripts/tv/home/revisions", &[TAR], "no tar", 422, "script.invalid", "").await;
        let key = ("idempotency-key", "\"");
        let raw =
            admin.raw(ask("POST /v1/scripts/tv/home/revisions", &[TAR, key], archive("tv/home", "x"))).await;
        assert_eq!(outcome(&raw.unwrap()), (400, "idempotency.invalid".to_owned()));
        let large = format!("{{\"state\":\"off\",\"reason\":\"{}\"}}", "x".repeat(70_000));
        check("PUT /v1/switches/all", &[JSON], &large, 413, "request.too_large", "64KiB").await;
        let zip = ("content-type", "application/gzip");
        let raw = admin.raw(ask("POST /v1/scripts/tv/home/revisions", &[zip], vec![0; 9 << 20])).await;
        assert!(raw.is_err() || raw.is_ok_and(|raw| outcome(&raw) == (413, "request.too_large".to_owned())));

        let raw = admin.raw(ask("PATCH /v1/scripts/tv/home/active", &[], "")).await.unwrap();
        assert_eq!(outcome(&raw), (405, "method.not_allowed".to_owned()));
        assert_eq!(raw.headers["allow"], "GET, HEAD, PUT");
    });
}

#[test]
fn every_answer_has_an_id_and_is_neither_kept_nor_guessed() {
    with_door(|kit| async move {
        let admin = kit.admin();
        for (line, sent, kept) in [
            ("GET /livez", "a-1.b_2", true),
            ("GET /v1/none", "a", true),
            ("GET /v1/whoami", "not good", false),
            ("GET /v1/whoami", "", false),
            ("GET /v1/whoami", &"x".repeat(65), false),
        ] {
            let raw = admin.raw(ask(line, &[("x-request-id", sent)], "")).await.unwrap();
            let id = raw.headers["x-request-id"].to_str().unwrap();
            assert_eq!(id == sent, kept, "{line} {sent}");
            assert!(kept || id.len() == 26);
            assert_eq!(raw.headers["x-content-type-options"], "nosniff");
            assert_eq!(raw.headers["cache-control"], "no-store");
            assert!(!raw.headers.contains_key("access-control-allow-origin"));
        }
        for (headers, expected) in [
            (vec![("host", "evil.example")], (421, "host.refused")),
            (vec![("host", "localhost:1")], (200, "")),
            (vec![("origin", "http://evil.example")], (403, "auth.forbidden")),
            (vec![("origin", "http://localhost:8081")], (200, "")),
        ] {
            let raw = admin.raw(ask("GET /v1/whoami", &headers, "")).await.unwrap();
            assert_eq!(outcome(&raw), (expected.0, expected.1.to_owned()), "{headers:?}");
            assert!(raw.headers.contains_key("x-request-id"));
        }
    });
}

#[test]
fn the_probes_say_how_the_node_is() {
    with_door(|kit| async move {
        let nobody = kit.nobody();
        nobody.live().await.unwrap();
        let health = nobody.ready().await.unwrap();
        let names: Vec<_> = health.checks.iter().map(|check| (check.name.as_str(), check.ok)).collect();
        assert!(health.ready);
        assert!(names.iter().all(|(_, ok)| *ok), "{names:?}");
        let names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["loaded", "open", "converged", "in step", "one key", "own address", "store"]);
        let metrics = kit.admin().metrics().await.unwrap();
        assert!(metrics.contains("callboard_store_up 1\n") && metrics.ends_with("# EOF\n"), "{metrics}");
        assert_eq!(nobody.contract().await.unwrap()["openapi"], "3.1.0");
        assert_eq!(nobody.version().await.unwrap().api, api::openapi::API_VERSION);
        let limits = kit.admin().limits().await.unwrap();
        assert_eq!(
            (limits.endpoint_default.deadline.as_str(), limits.endpoint_default.fuel),
            ("300ms", 2_000_000)
        );
        let quotas = kit.admin().quotas("all").await.unwrap();
        assert_eq!((quotas.rules[0].rule.as_str(), quotas.rules[0].remaining), ("rate.client", 40));
        assert_eq!((quotas.rules[1].rule.as_str(), quotas.rules[1].remaining), ("concurrency.node", 2_048));
        assert_eq!(kit.admin().nodes().await.unwrap().items[0].ready, Some(true));
        kit.node.drain().await;
        let health = nobody.ready().await.unwrap();
        assert!(!health.ready && health.checks.iter().any(|check| check.name == "open" && !check.ok));
        nobody.live().await.unwrap();
        assert_eq!(kit.admin().nodes().await.unwrap().items[0].ready, Some(false));
    });
}
