//! The README's five minutes, line by line, against a real demo.

use std::path::Path;
use std::process::Command;

use tests::server::{Options, Server, TOKEN};

fn tour() -> Vec<String> {
    let readme = include_str!("../../README.md");
    readme
        .split("```sh tour\n")
        .skip(1)
        .map(|block| block.split("```").next().expect("a block ends").to_owned())
        .collect()
}

/// Runs a block as somebody who pastes it: one shell, in a directory of its own.
fn paste(block: &str, directory: &Path, server: &Server) -> String {
    let block = block
        .replace("http://127.0.0.1:8080", &server.device)
        .replace("export PATH=\"$PWD/target/debug:$PATH\"", "true")
        .replace("$(cat callboard-data/admin-token)", TOKEN);
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &block])
        .current_dir(directory)
        .env("PATH", format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default()))
        .env("CALLBOARD_URL", &server.admin)
        .env("CALLBOARD_TOKEN", TOKEN)
        .output()
        .expect("bash runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{block}\n{text}");
    text
}

#[test]
fn the_five_minutes_work_line_by_line() {
    let program = env!("CARGO_BIN_EXE_callboard-under-test");
    let server = Server::start_with(program, Options { demo: true, ..Options::default() });
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::os::unix::fs::symlink(program, directory.path().join("callboard")).expect("a link to the program");

    let blocks = tour();
    let expected: [&[&str]; 5] = [
        &["Hello TV", "\"hello\":\"Ada\"", "tv/home/home"],
        &["Hello Ana"],
        &["requst", "main.rn", "Hello Ana"],
        &["HTTP/1.1 50", "Hello neighbour"],
        &["Hello again", "switch.off", "maintenance", "never ends", "demo/my-first is gone"],
    ];
    assert_eq!(blocks.len(), expected.len());
    for (block, expected) in blocks.iter().zip(expected) {
        let said = paste(block, directory.path(), &server);
        for words in expected {
            assert!(said.contains(words), "{words:?} is missing after\n{block}\nwhich said\n{said}");
        }
    }
}

#[test]
fn every_command_of_the_readme_is_known() {
    let program = env!("CARGO_BIN_EXE_callboard-under-test");
    let help = Command::new(program).arg("--help").output().expect("the program runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let readme = include_str!("../../README.md");
    let commands = readme.lines().filter_map(|line| line.trim_start().strip_prefix("callboard "));
    let mut seen = 0;
    for command in commands {
        let name = command.split_whitespace().next().expect("a command");
        assert!(help.contains(&format!("  {name}")), "callboard {name} is in the README and not in --help");
        seen += 1;
    }
    assert!(seen >= 10, "{seen} commands");
}
