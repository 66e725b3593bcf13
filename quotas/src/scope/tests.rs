use super::*;

#[test]
fn every_scope_reads_what_it_writes() {
    for text in [
        "all",
        "team:tv",
        "script:tv/home",
        "endpoint:tv/home/home",
        "revision:tv/home@7",
        "class:tv-2015",
        "service:catalog",
        "region:eu-west-1",
        "node:TV-7.example:8081",
    ] {
        assert_eq!(Scope::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn a_wrong_scope_is_answered_with_what_is_wrong_and_an_example() {
    fn check(text: &str, says: &str) {
        assert_eq!(Scope::parse(text).unwrap_err().to_string(), says);
    }
    check(
        "tv/home",
        "`tv/home` is not a scope: it has to be `all` or a kind, a `:` and a name; write it like `endpoint:tv/home/home`",
    );
    check(
        "device:tv",
        "`device:tv` is not a scope: the kind has to be team, script, endpoint, revision, class, service, region or node, or the whole `all`; write it like `endpoint:tv/home/home`",
    );
    check(
        "team:TV",
        "`TV` is not a team's name: it has to begin with a small letter or a digit; write it like `tv`",
    );
    check(
        "node:a b",
        "`a b` is not a node's name: it has to be 1 to 63 printable characters without spaces; write it like `tv-7.example`",
    );
    check("team:", "`` is not a team's name: it is empty; write it like `tv`");
    check(
        "script:tv/home/x",
        "`tv/home/x` is not a script: it has more than two parts; write it like `tv/home`",
    );
    check(
        "endpoint:tv/home",
        "`tv/home` is not an endpoint: it needs a team, a script and a name with a `/` between each; write it like `tv/home/home`",
    );
    check(
        "revision:tv/home@0",
        "`0` is not a revision's number: it has to be a whole number from one up; write it like `7`",
    );
    check(
        "revision:tv/home@+7",
        "`+7` is not a revision's number: it has to be a whole number from one up; write it like `7`",
    );
}

#[test]
fn a_name_is_short_and_plain() {
    assert!(TeamName::parse(&"a".repeat(NAME_MAX)).is_ok());
    assert!(TeamName::parse(&"a".repeat(NAME_MAX + 1)).is_err());
    for name in ["-a", "_a", "a b", "a/b", "ä", "a:b", "a@b"] {
        assert!(TeamName::parse(name).is_err(), "{name}");
    }
    for name in ["0", "a-_9", "tv-2015"] {
        assert_eq!(TeamName::parse(name).unwrap().as_str(), name);
    }
}

#[test]
fn revisions_count_from_one() {
    assert_eq!(RevisionNumber::first().get(), 1);
    assert_eq!(RevisionNumber::first().next().get(), 2);
    assert_eq!(RevisionNumber::new(0), None);
}
