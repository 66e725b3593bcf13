//! What one team takes for itself, the others do without: none of it is what they need.

use std::fmt::Write;
use std::time::{Duration, Instant};

use api::client::Upload;
use api::{ClientError, Role, SwitchRequest, SwitchState, TokenRequest};
use tests::device::Device;
use tests::server::{Options, Server, TOKEN, bundle};
use tests::service::Service;
use tests::wait::until;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const SMALL: &str = "pub fn main(request) { `small` }";
const LIMIT: Duration = Duration::from_secs(60);

fn server(arguments: &[&str]) -> Server {
    let arguments =
        arguments.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]).collect();
    Server::start_with(
        env!("CARGO_BIN_EXE_callboard-under-test"),
        Options { arguments, ..Options::default() },
    )
}

fn code<T: std::fmt::Debug>(done: Result<T, ClientError>) -> String {
    match done {
        Err(ClientError::Problem(problem)) => problem.code,
        Err(other) => panic!("{other:?}"),
        Ok(_) => "ok".to_owned(),
    }
}

/// A source that compiles to so many texts of 32 KiB each, which are written in a few bytes.
fn texts(count: u32) -> String {
    let mut source = format!("const C0 = \"{}\";\n", "x".repeat(64));
    for n in 0..9 {
        let _ = writeln!(source, "const C{} = `${{C{n}}}${{C{n}}}`;", n + 1);
    }
    for n in 0..count {
        let _ = writeln!(source, "const D{n} = `${{C9}}{n}`;");
    }
    let used: String = (0..count).map(|n| format!("{n} => D{n},\n")).collect();
    source + &format!("pub fn main(request) {{ match request.path().len() {{ {used} _ => C9 }} }}")
}

/// A source that takes long to compile.
fn many_arms() -> String {
    let arms: String = (0..4_000).map(|n| format!("{n} => {n},\n")).collect();
    format!("pub fn main(request) {{ match request.path().len() {{ {arms} _ => 0 }} }}")
}

#[tokio::test]
async fn a_small_script_that_compiles_to_much_is_refused_at_once() {
    let server = server(&["compiler.at_once=1", "compiler.wall=60s"]);
    assert_eq!(code(server.deploy("tv/some", &texts(10)).await), "ok");
    for count in [600, 1_200] {
        let began = Instant::now();
        assert_eq!(code(server.deploy("tv/much", &texts(count)).await), "compiler.too_large", "{count}");
        assert!(began.elapsed() < LIMIT / 2, "it held its slot for {:?}", began.elapsed());
    }
    assert_eq!(code(server.deploy("radio/small", SMALL).await), "ok");
}

#[tokio::test]
async fn a_team_that_compiles_much_does_not_make_another_wait_for_all_of_it() {
    let server = server(&["compiler.at_once=1", "compiler.wall=60s"]);
    let slow = many_arms();
    let mut deploys = Vec::new();
    for n in 0..12 {
        let id = format!("slow-{n}");
        let archive = bundle(&format!("tv/{id}"), "", &slow).to_archive();
        let client = server.client();
        deploys.push(tokio::spawn(async move {
            let archive = bytes::Bytes::from(archive);
            let upload = Upload::default();
            // Of one team only so many arrive at one time.
            while code(client.upload("tv", &id, archive.clone(), &upload).await) == "compiler.busy" {
                tokio::task::yield_now().await;
            }
        }));
    }
    // When the first is done the others have arrived.
    until("one is compiled", LIMIT, async || {
        deploys.iter().any(tokio::task::JoinHandle::is_finished).then_some(())
    })
    .await;
    assert_eq!(code(server.deploy("radio/small", SMALL).await), "ok");
    let waiting = deploys.iter().filter(|deploy| !deploy.is_finished()).count();
    assert!(waiting >= 2, "{waiting} of twelve still wait, so the neighbour waited for the others");
    deploys.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_team_whose_scripts_take_the_compiler_long_stalls_no_other_and_pays_for_itself() {
    let server = server(&["compiler.at_once=1", "compiler.wall=60s"]);
    let bomb = (0..40)
        .map(|n| format!("const A{n} = {{ let s = \"aaaaaaaa\"; let n = 0; while n < 23 {{ s = `${{s}}${{s}}`; n += 1; }} 1 }};\n"))
        .collect::<String>();
    let mut bombs = Vec::new();
    for n in 0..4 {
        let id = format!("bomb-{n}");
        let archive =
            bytes::Bytes::from(bundle(&format!("tv/{id}"), "", &format!("{bomb}{SMALL}")).to_archive());
        let client = server.client();
        let tried = Upload { dry_run: true, ..Upload::default() };
        bombs.push(tokio::spawn(async move { code(client.upload("tv", &id, archive, &tried).await) }));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    assert_eq!(code(server.deploy("radio/small", SMALL).await), "ok");
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    assert!(bombs.iter().all(|bomb| !bomb.is_finished()), "the first holds the slot all the while");
    bombs.iter().for_each(tokio::task::JoinHandle::abort);
    // What it waited for is not what it used.
    let rules = server.client().quotas("team:radio").await.unwrap().rules;
    let compiled = rules.iter().find(|rule| rule.rule == "team.compile_hour").unwrap();
    assert!(compiled.used <= 1, "{compiled:?}");
}

#[tokio::test]
async fn a_team_that_uploads_slowly_refuses_no_other() {
    let server = server(&[]);
    let address = server.admin.trim_start_matches("http://").to_owned();
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut connection = TcpStream::connect(&address).await.expect("it listens");
        let head = format!(
            "POST /v1/scripts/tv/home/revisions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/x-tar\r\ncontent-length: 100000\r\n\r\nabc"
        );
        connection.write_all(head.as_bytes()).await.expect("it reads");
        slow.push(connection);
    }
    until("the team's places are taken", LIMIT, async || {
        (code(server.deploy("tv/other", SMALL).await) == "compiler.busy").then_some(())
    })
    .await;
    assert_eq!(code(server.deploy("radio/small", SMALL).await), "ok");
    drop(slow);
    until("the places are given back", LIMIT, async || {
        (code(server.deploy("tv/other", SMALL).await) == "ok").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_team_turns_off_so_much_and_its_operators_more() {
    let server = server(&[]);
    let wanted = TokenRequest {
        role: Role::Deployer,
        team: Some("tv".to_owned()),
        note: "a test".to_owned(),
        expires: None,
    };
    let made = server.client().create_token(&wanted).await.expect("a token is made");
    let (deployer, operator) = (server.client_with(&made.secret), server.client());
    let off = SwitchRequest::kill("a test");
    for n in 0..100 {
        let done = deployer.switch_off(&format!("script:tv/s{n}"), &off, false).await;
        assert_eq!(code(done), "ok", "{n}");
    }
    let one_more = "script:tv/one-more";
    let refused = deployer.switch_off(one_more, &off, false).await;
    assert_eq!(code(refused), "switch.too_many");
    until("what is off can be changed, as soon as the store has caught up", LIMIT, async || {
        let changed = code(deployer.switch_off("script:tv/s7", &off, false).await);
        assert!(["ok", "store.unavailable"].contains(&changed.as_str()), "{changed}");
        (changed == "ok").then_some(())
    })
    .await;
    assert_eq!(code(operator.switch_off(one_more, &off, false).await), "ok");
    for scope in ["script:tv/s7", "script:tv/s8"] {
        assert_eq!(code(deployer.switch_on(scope, None, false).await), "ok");
    }
    assert_eq!(code(deployer.switch_off("script:tv/s7", &off, false).await), "ok");
    assert_eq!(code(deployer.switch_off("script:tv/s8", &off, false).await), "switch.too_many");
}

#[tokio::test]
async fn what_an_operator_switched_of_a_team_is_not_the_teams_to_change() {
    let server = server(&[]);
    let token = |note: &str| TokenRequest {
        role: Role::Deployer,
        team: Some("tv".to_owned()),
        note: note.to_owned(),
        expires: None,
    };
    let of = async |note: &str| {
        let made = server.client().create_token(&token(note)).await.expect("a token is made");
        server.client_with(&made.secret)
    };
    let (mine, colleague, operator) = (of("mine").await, of("a colleague's").await, server.client());
    let kill = SwitchRequest::kill("a test");
    let observe = SwitchRequest { state: SwitchState::Observe, ..kill.clone() };
    let brief = SwitchRequest {
        until: Some(api::time_from_ms(api::time_to_ms(api::time_now()) + 1_000)),
        ..kill.clone()
    };
    assert_eq!(code(operator.switch_off("script:tv/harm", &kill, false).await), "ok");
    for deployer in [&mine, &colleague] {
        assert_eq!(code(deployer.switch_on("script:tv/harm", None, false).await), "switch.held");
        for weaker in [&kill, &observe, &brief] {
            assert_eq!(code(deployer.switch_off("script:tv/harm", weaker, false).await), "switch.held");
        }
    }
    // Beside it, and what they set themselves, is theirs.
    assert_eq!(code(mine.switch_off("script:tv/own", &kill, false).await), "ok");
    assert_eq!(code(colleague.switch_on("script:tv/own", None, false).await), "switch.held");
    assert_eq!(code(mine.switch_on("script:tv/own", None, false).await), "ok");
    assert_eq!(code(operator.switch_on("script:tv/harm", None, false).await), "ok");
}

#[tokio::test]
async fn a_team_whose_requests_pile_up_at_a_service_leaves_room_for_others() {
    let service = Service::silent();
    let mut arguments = service.arguments("slow");
    arguments.extend(["--set".to_owned(), "service.slow.concurrency=4".to_owned()]);
    let server = Server::start_with(
        env!("CARGO_BIN_EXE_callboard-under-test"),
        Options { arguments, ..Options::default() },
    );
    let ask = "use callboard::service;
        pub async fn main(request) {
            match service::get(\"slow\", \"/\").await { Ok(_) => `answered`, Err(error) => `${error.kind()}: ${error}` }
        }";
    for id in ["tv/ask", "radio/ask"] {
        let manifest = "services = [\"slow\"]\n[endpoint.limits]\ndeadline = \"10s\"\n";
        assert_eq!(code(server.deploy_with(id, manifest, ask).await), "ok");
    }
    let call = |path: &'static str| {
        let device = Device::of(&server.device);
        tokio::spawn(async move { device.get(path).await.body })
    };
    let waiting = async |count| {
        until("requests wait", LIMIT, async || (service.waiting() == count).then_some(())).await;
    };
    let mut calls = vec![call("/tv/ask"), call("/tv/ask")];
    waiting(2).await;
    let refused = call("/tv/ask").await.expect("a reply");
    assert_eq!(refused, "full: service slow: 2 requests of the team tv are under way, its share of 4");
    calls.push(call("/radio/ask"));
    waiting(3).await;
    service.answer();
    for call in calls {
        assert_eq!(call.await.expect("a reply"), "answered");
    }
}
