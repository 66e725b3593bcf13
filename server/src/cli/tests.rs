use std::collections::BTreeMap;

use clap::CommandFactory;

use super::exit::exit_of;
use super::*;

/// The help of a command and of all below it.
fn helps(command: &mut clap::Command, path: &str, all: &mut BTreeMap<String, String>) {
    let text = command.render_long_help().to_string();
    let trimmed: Vec<_> = text.lines().map(str::trim_end).collect();
    all.insert(path.replace(' ', "_"), trimmed.join("\n"));
    let names: Vec<String> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_owned())
        .collect();
    for name in names {
        let below = command.find_subcommand_mut(&name).unwrap();
        helps(below, &format!("{path} {name}"), all);
    }
}

#[test]
fn every_help_is_what_a_person_was_shown() {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut all = BTreeMap::new();
    helps(&mut command, "callboard", &mut all);
    let text: Vec<_> =
        all.iter().map(|(name, text)| format!("=== {}\n{text}\n", name.replace('_', " "))).collect();
    insta::assert_snapshot!("help", text.join("\n"));
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_secret_is_never_the_value_of_a_flag() {
    fn walk(command: &clap::Command) {
        for argument in command.get_arguments() {
            let name = argument.get_long().unwrap_or_default();
            let secret = ["token", "secret", "password", "key"].iter().any(|word| name.ends_with(word));
            assert!(!secret, "{} --{name}", command.get_name());
        }
        command.get_subcommands().for_each(walk);
    }
    walk(&Cli::command());
}

#[test]
fn a_refusal_is_told_from_a_failure() {
    fn check(status: u16, code: &str, exit: Exit) {
        assert_eq!(exit_of(status, code), exit, "{status} {code}");
    }
    check(401, "auth.missing", Exit::Refused);
    check(403, "auth.forbidden", Exit::Refused);
    check(409, "route.conflict", Exit::Refused);
    check(412, "deploy.conflict", Exit::Refused);
    check(422, "idempotency.mismatch", Exit::Refused);
    check(429, "rate.exceeded", Exit::Refused);
    check(503, "node.draining", Exit::Refused);
    check(422, "script.invalid", Exit::Failed);
    check(404, "revision.unknown", Exit::Failed);
    check(500, "server.internal", Exit::Failed);
}
