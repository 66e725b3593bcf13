//! A server that answers as it is told, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// An answer for requests whose first line begins so.
pub struct Rule {
    pub begins: &'static str,
    pub status: u16,
    pub headers: &'static str,
    pub body: String,
}

/// A server on a free port. Its thread ends with the process.
pub struct Fake {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Answers each request by the first rule that fits; a request that fits none is never answered.
    pub fn start(rules: Vec<Rule>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (rules, seen) = (Arc::new(rules), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (rules, seen) = (Arc::clone(&rules), Arc::clone(&seen));
                std::thread::spawn(move || answer(stream.unwrap(), &rules, &seen));
            }
        });
        Self { url, asked }
    }

    /// The requests so far: first line and headers.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(stream: TcpStream, rules: &[Rule], seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        std::io::copy(&mut reader.by_ref().take(length.unwrap_or(0)), &mut std::io::sink()).unwrap();
        seen.lock().unwrap().push(head.clone());
        let Some(rule) = rules.iter().find(|rule| head.starts_with(rule.begins)) else { continue };
        let Rule { status, headers, body, .. } = rule;
        let text = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
        (&stream).write_all(text.as_bytes()).unwrap();
    }
}
