//! Requests that two programs could read in two ways, each with a second request hidden in it.

use std::net::SocketAddr;
use std::time::Duration;

use super::wire::Wire;

/// What the hidden request's endpoint answers.
pub const MARK: &str = "found-what-was-hidden";
/// Two requests, one behind the other, that nobody hides.
pub const OPEN: &str =
    "GET /good/hello HTTP/1.1\r\nHost: x\r\n\r\nGET /good/hidden HTTP/1.1\r\nHost: x\r\n\r\n";
const HIDDEN: &str = "GET /good/hidden HTTP/1.1\r\nHost: x\r\n\r\n";

/// Something ambiguous.
pub struct Case {
    /// What it is.
    pub name: &'static str,
    /// What is said.
    pub bytes: Vec<u8>,
    /// The statuses that the one answer may have.
    pub expected: &'static [u16],
}

/// The server makes nothing of it.
const REFUSED: &[u16] = &[400];

/// Says it and listens until the connection ends.
pub async fn say(door: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut wire = Wire::connect(door).await;
    // The server may have heard enough before all was said.
    let _ = wire.send(bytes).await;
    wire.until_closed(Duration::from_secs(20)).await.expect("the server ends what makes no sense")
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let length = HIDDEN.len();
    let both = length + 5;
    let post =
        |headers: &str, body: &str| format!("POST /good/echo HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}");
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let ended = format!("0\r\n\r\n{HIDDEN}");
    let with = |headers: &str| post(headers, &ended);
    let own = |line: &str, headers: &str| format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{HIDDEN}");
    let refused = [
        // Which of the two counts?
        ("a length and chunks", with(&format!("Content-Length: {both}\r\nTransfer-Encoding: chunked\r\n"))),
        ("chunks and a length", with(&format!("Transfer-Encoding: chunked\r\nContent-Length: {both}\r\n"))),
        ("chunks and a short length", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
        ("chunks and no length", with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n")),
        ("two lengths", post(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), HIDDEN)),
        (
            "two lengths, the other first",
            post(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n"), HIDDEN),
        ),
        ("a list of lengths", post(&format!("Content-Length: 0, {length}\r\n"), HIDDEN)),
        ("a length with a sign", post(&format!("Content-Length: +{length}\r\n"), HIDDEN)),
        ("a length below zero", post("Content-Length: -1\r\n", HIDDEN)),
        ("a length in hex", post("Content-Length: 0x2\r\n", HIDDEN)),
        ("a length with a space in it", post("Content-Length: 0 0\r\n", HIDDEN)),
        ("a length beyond all numbers", post("Content-Length: 18446744073709551616\r\n", HIDDEN)),
        ("an empty length", post("Content-Length:\r\n", HIDDEN)),
        // Is that still a transfer encoding?
        ("an unknown encoding", with("Transfer-Encoding: xchunked\r\n")),
        ("chunks, then something else", with("Transfer-Encoding: chunked, identity\r\n")),
        ("something else, then chunks", with("Transfer-Encoding: identity, chunked\r\n")),
        ("two encodings", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")),
        ("chunks twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("a vertical tab", with("Transfer-Encoding: \x0bchunked\r\n")),
        ("an encoding in quotes", with("Transfer-Encoding: \"chunked\"\r\n")),
        ("identity and a length", post("Transfer-Encoding: identity\r\nContent-Length: 0\r\n", HIDDEN)),
        ("a space before the colon", with("Transfer-Encoding : chunked\r\n")),
        ("a space before the length's colon", post(&format!("Content-Length : {length}\r\n"), HIDDEN)),
        ("a NUL in a name", with("Transfer-\0Encoding: chunked\r\n")),
        ("a NUL in a value", post("X: a\0b\r\n", HIDDEN)),
        ("a line without a colon", post("Content-Length\r\n", HIDDEN)),
        (
            "an old version with chunks",
            with("Transfer-Encoding: chunked\r\n").replacen("HTTP/1.1", "HTTP/1.0", 1),
        ),
        // Where does a line end?
        ("a folded line", own("GET /good/hello", "X: a\r\n b\r\n")),
        ("a folded encoding", with("Transfer-Encoding:\r\n chunked\r\n")),
        ("a folded length", post(&format!("Content-Length:\r\n {length}\r\n"), HIDDEN)),
        ("a folded first line", own("GET /good/hello", " X: a\r\n")),
        ("an encoding behind a bare CR", with("X: a\rTransfer-Encoding: chunked\r\n")),
        ("an encoding behind a bare LF", with("Content-Length: 5\r\nX: a\nTransfer-Encoding: chunked\r\n")),
        ("two hosts", own("GET /good/hello", "Host: y\r\n")),
        ("no host", format!("GET /good/hello HTTP/1.1\r\n\r\n{HIDDEN}")),
        ("a space in the path", own("GET /good/hello x", "")),
        ("a first line of two words", format!("GET /good/hello\r\nHost: x\r\n\r\n{HIDDEN}")),
        ("an unknown version", format!("GET /good/hello HTTP/9.9\r\nHost: x\r\n\r\n{HIDDEN}")),
        // How long is a chunk?
        ("a size of letters", chunked(&format!("zz\r\n{HIDDEN}"))),
        ("a size below zero", chunked(&format!("-1\r\n{HIDDEN}"))),
        ("a size with a prefix", chunked(&format!("0x5\r\nhello\r\n{ended}"))),
        ("a size beyond all numbers", chunked(&format!("fffffffffffffffff\r\nhello\r\n{ended}"))),
        ("no size", chunked(&format!("\r\n{HIDDEN}"))),
        ("a space before the size", chunked(&format!(" 5\r\nhello\r\n{ended}"))),
        ("a size behind a bare LF", chunked(&format!("5\nhello\n{ended}"))),
        ("a size behind a bare CR", chunked(&format!("5\rhello\r\n{ended}"))),
        ("more than the size says", chunked(&format!("3\r\nhello\r\n{ended}"))),
        ("less than the size says", chunked(&format!("6\r\nhello\r\n{ended}"))),
        ("a bare LF in an extension", chunked(&format!("5;a\nb\r\nhello\r\n{ended}"))),
    ];
    // Well formed, with a request as its body: the body is nothing but a body, read or not.
    let body = |line: &str, headers: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{HIDDEN}"
        )
    };
    let unread: [(&str, String, &[u16]); 6] = [
        ("a body that nobody reads", body("GET /good/hello", ""), &[200]),
        ("a body on an unknown route", body("POST /good/none", ""), &[404]),
        ("a body with another method", body("DELETE /good/echo", ""), &[405]),
        ("a body on a malformed path", body("POST /good//echo", ""), &[400]),
        ("a body that is encoded", body("POST /good/echo", "Content-Encoding: gzip\r\n"), &[415]),
        ("a body that is too large", post("Content-Length: 99999999\r\n", HIDDEN), &[413]),
    ];
    // The same on a connection that is to go on.
    let kept = unread
        .clone()
        .map(|(name, text, expected)| (name, text.replace("Connection: close\r\n", ""), expected));
    // A line that ends in a bare LF may be taken for one, by all alike: then it is one request as any other.
    let bare: [(&str, String, &[u16]); 2] = [
        (
            "a head of bare LFs",
            "GET /good/hello HTTP/1.1\nHost: x\nConnection: close\n\n".to_owned(),
            &[200, 400],
        ),
        (
            "a length behind a bare LF",
            post(&format!("X: a\nContent-Length: {length}\r\nConnection: close\r\n"), HIDDEN),
            // The body is the hidden request's text, which the endpoint gives back: nobody answered it.
            &[200, 400],
        ),
    ];
    let case = |(name, text, expected): (&'static str, String, &'static [u16])| Case {
        name,
        bytes: text.into_bytes(),
        expected,
    };
    let refused = refused.into_iter().map(|(name, text)| (name, text, REFUSED));
    refused.chain(unread).chain(kept).chain(bare).map(case).collect()
}
