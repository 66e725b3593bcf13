//! A service that stops answering is left alone, taken up again bit by bit, and nobody else's concern.

use std::time::Duration;

use tests::device::Device;
use tests::server::{Options, Server};
use tests::service::Service;
use tests::wait::until;

const LIMIT: Duration = Duration::from_secs(60);
/// Requests without which a breaker concludes nothing.
const LEAST: usize = 20;

#[tokio::test]
async fn a_service_that_stops_answering_is_left_alone_and_taken_up_again_when_it_answers() {
    let (shaky, steady) = (Service::silent(), Service::slow(Duration::ZERO));
    let settings = [
        format!("service.shaky.url={}", shaky.url()),
        format!("service.steady.url={}", steady.url()),
        "service.shaky.timeout=100ms".to_owned(),
        "service.steady.timeout=10s".to_owned(),
        "limits.client.rate=100_000/s".to_owned(),
        "limits.client.burst=100_000".to_owned(),
    ];
    let arguments = settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect();
    let server = Server::start_with(
        env!("CARGO_BIN_EXE_callboard-under-test"),
        Options { arguments, ..Options::default() },
    );
    for name in ["shaky", "steady"] {
        let manifest = format!("services = [\"{name}\"]\n[endpoint.limits]\ndeadline = \"10s\"\n");
        let ask = format!(
            "use callboard::service;
            pub async fn main(request) {{
                match service::get(\"{name}\", \"/\").await {{ Ok(_) => `answered`, Err(error) => error.kind() }}
            }}"
        );
        server.deploy_with(&format!("tv/{name}"), &manifest, &ask).await.expect("it is deployed");
    }
    let device = Device::of(&server.device);
    let ask = async |name: &str| device.get(&format!("/tv/{name}")).await.body;

    let mut replies = Vec::new();
    while replies.last().is_none_or(|reply| reply != "open") {
        replies.push(ask("shaky").await);
        assert!(replies.len() <= 2 * LEAST, "{replies:?}");
    }
    replies.pop();
    assert!(replies.len() >= LEAST && replies.iter().all(|reply| reply == "timeout"), "{replies:?}");
    assert_eq!(ask("steady").await, "answered", "another service is none of its concern");

    // A team learns for itself: what makes a service fail may be what that team asks for.
    let manifest = "services = [\"shaky\"]\n[endpoint.limits]\ndeadline = \"10s\"\n";
    let ask_it = "use callboard::service;
        pub async fn main(request) {
            match service::get(\"shaky\", \"/\").await { Ok(_) => `answered`, Err(error) => error.kind() }
        }";
    server.deploy_with("radio/shaky", manifest, ask_it).await.expect("it is deployed");
    assert_eq!(device.get("/radio/shaky").await.body, "timeout", "its own breaker is closed");

    shaky.answer();
    let mut seen = Vec::new();
    until("all requests are answered again", LIMIT, async || {
        let replies = [ask("shaky").await, ask("shaky").await, ask("shaky").await, ask("shaky").await];
        seen.extend_from_slice(&replies);
        seen.ends_with(&vec!["answered".to_owned(); 100]).then_some(())
    })
    .await;
    let refused =
        seen.iter().skip_while(|reply| *reply != "answered").filter(|reply| *reply == "open").count();
    assert!(refused > 0, "after the first answers not all requests were let in at once");
}
