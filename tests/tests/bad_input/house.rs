//! A server with two teams that must not learn of each other, and what has to hold after anything was sent.

use api::client::{Ask, List, Raw};
use api::{Client, Role, Token, TokenRequest};
use bytes::Bytes;
use tests::device::Device;
use tests::server::{Server, TOKEN};

/// A body in JSON.
pub const JSON: (&str, &str) = ("content-type", "application/json");
/// A plain archive.
pub const TAR: (&str, &str) = ("content-type", "application/x-tar");

/// What the script of the team `radio` answers, which nobody else has to know.
const SECRET: &str = "frequency-99-17";
/// The team `tv`'s own script.
const HOME: &str = r#"
use callboard::Response;

pub fn main(request) {
    if request.query("fall") is String {
        request.json()?["key"]
    } else if request.query("read") is String {
        match request.json() {
            Ok(json) => Response::json(json),
            Err(error) => Response::text(`no: ${error}`).with_status(422),
        }
    } else {
        `at home`
    }
}
"#;

/// A server with two teams.
pub struct House {
    /// The server.
    pub server: Server,
    child: Option<u32>,
}

impl House {
    /// Opens one: `tv/home` and `radio/hush` are served.
    pub async fn open() -> Self {
        let server = Server::start(env!("CARGO_BIN_EXE_callboard-under-test"));
        server.deploy("tv/home", HOME).await.expect("the own script is deployed");
        let hush = format!("pub fn main(request) {{ \"{SECRET}\" }}");
        server.deploy("radio/hush", &hush).await.expect("the other's script is deployed");
        let child = server.child_pid();
        Self { server, child }
    }

    /// A client without a token.
    pub fn nobody(&self) -> Client {
        Client::new(self.server.admin.parse().expect("an address"))
    }

    /// A client with a new token.
    pub async fn with_role(&self, role: Role, team: Option<&str>) -> Client {
        self.made(role, team).await.0
    }

    /// The same, and the token.
    pub async fn made(&self, role: Role, team: Option<&str>) -> (Client, Token) {
        let team = team.map(str::to_owned);
        let wanted = TokenRequest { role, team, note: "a test".to_owned(), expires: None };
        let made = self.server.client_with(TOKEN).create_token(&wanted).await.expect("a token is made");
        (self.server.client_with(&made.secret), made.token)
    }

    /// What the other team's script answers.
    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// What an answer shows of the other team, where the request did not name it.
    pub fn leaks(&self, what: &str, answer: &str) -> Option<String> {
        let shown =
            ["radio", "hush", SECRET].into_iter().find(|word| answer.contains(word) && !what.contains(word));
        shown.map(|word| format!("{what}: shows {word:?}: {answer}"))
    }

    /// In what an answer is unlike what it should be.
    pub fn unlike(&self, what: &str, raw: &Raw, status: u16, code: &str, says: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&raw.body).into_owned();
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let found = (raw.status.as_u16(), problem["code"].as_str().unwrap_or_default());
        let mut wrong: Vec<String> = self.leaks(what, &text).into_iter().collect();
        if found != (status, code) {
            wrong.push(format!("{what}: {found:?}, expected {:?}: {text:.300}", (status, code)));
        } else if !problem["detail"].as_str().unwrap_or_default().contains(says) {
            wrong.push(format!("{what}: does not say {says:?}: {text:.300}"));
        }
        let media = raw.headers.get("content-type").and_then(|value| value.to_str().ok());
        if media != Some("application/problem+json") || !raw.headers.contains_key("x-request-id") {
            wrong.push(format!("{what}: {:?}", raw.headers));
        }
        if problem["status"] != status || problem["title"].as_str().is_none_or(str::is_empty) {
            wrong.push(format!("{what}: not a whole problem: {text:.300}"));
        }
        wrong
    }

    /// All is as it was: both endpoints answer, nothing was added, and nobody was replaced.
    pub async fn stands(&self) {
        let device = Device::of(&self.server.device);
        for (path, body) in [("/tv/home", "at home"), ("/radio/hush", SECRET)] {
            let reply = device.get(path).await;
            let revision = reply.header("callboard-revision");
            assert_eq!((reply.status, reply.body.as_str(), revision), (200, body, "1"), "{path}");
        }
        let admin = self.server.client();
        for (team, script) in [("tv", "home"), ("radio", "hush")] {
            let history = admin.revisions(team, script, &List::default()).await.expect("the history");
            let numbers: Vec<u64> = history.items.iter().map(|revision| revision.number).collect();
            assert_eq!(numbers, [1], "{team}/{script}");
        }
        let scripts = admin.scripts(&List::default()).await.expect("the scripts").items;
        let endpoints = admin.endpoints(&List::default()).await.expect("the endpoints").items;
        assert_eq!((scripts.len(), endpoints.len()), (2, 2));
        assert!(admin.switches().await.expect("the switches").items.is_empty());
        assert_eq!(self.server.child_pid(), self.child, "the serving process was never replaced");
    }
}

/// A request in one line, `PUT /v1/…`, with headers.
pub fn ask(line: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Ask {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut ask = Ask::new(method.parse().expect("a method"), path);
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        ask.headers.append(name, http::HeaderValue::from_str(value).expect("a header's value"));
    }
    ask.body = body.into();
    ask
}
