use std::time::Duration;

use quotas::limits::Policy;
use quotas::units::Bytes;

use super::*;

/// Loads a file with this content, this environment and these flags.
fn load(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("callboard.toml");
    std::fs::write(&path, file).unwrap();
    let sources = Sources {
        file: Some(path),
        environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        flags: flags
            .iter()
            .map(|(key, value)| Flag {
                key: (*key).into(),
                value: (*value).into(),
                name: format!("--set {key}"),
            })
            .collect(),
    };
    Config::load(&sources)
        .map_err(|error| error.to_string().replace(&format!("{}/", directory.path().display()), ""))
}

fn says(result: Result<Config, String>, wanted: &str) {
    match result {
        Ok(_) => panic!("this should be refused: {wanted}"),
        Err(error) => assert_eq!(error, wanted),
    }
}

#[test]
fn a_server_needs_no_configuration() {
    let config = Config::load(&Sources::default()).unwrap();
    assert_eq!(config.device.address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:8081");
    assert_eq!(config.embedded(), Some(Path::new("callboard-data")));
    assert_eq!(config.signing, SigningSource::Own("callboard-data/signing.key".into()));
    let node_memory = config.limits.node_memory;
    assert!(node_memory >= quotas::units::Bytes::mib(64), "{node_memory}");
    assert_eq!(config.limits, Policy { node_memory, ..Policy::default() });
    assert!(config.services.is_empty() && config.classes.is_empty() && config.admin_token.is_none());
}

#[test]
fn each_source_wins_over_those_before_it() {
    fn check(file: &str, variable: Option<&str>, flag: Option<&str>, address: &str, origin: &str) {
        let environment: Vec<_> =
            variable.map(|value| ("CALLBOARD_DEVICE_ADDRESS", value)).into_iter().collect();
        let flags: Vec<_> = flag.map(|value| ("device.address", value)).into_iter().collect();
        let config = load(file, &environment, &flags).unwrap();
        assert_eq!(config.device.address.to_string(), address);
        let shown = config.settings.origin("device.address").to_string();
        assert!(shown.ends_with(origin), "{shown} {origin}");
    }
    let file = "[device]\naddress = \"127.0.0.1:1\"\n";
    check("", None, None, "127.0.0.1:8080", "default");
    check(file, None, None, "127.0.0.1:1", "callboard.toml:2");
    check(file, Some("127.0.0.1:2"), None, "127.0.0.1:2", "CALLBOARD_DEVICE_ADDRESS");
    check(file, Some("127.0.0.1:2"), Some("127.0.0.1:0"), "127.0.0.1:0", "--set device.address");
    check("", None, Some("127.0.0.1:3"), "127.0.0.1:3", "--set device.address");
    // An empty variable says nothing.
    check(file, Some(""), None, "127.0.0.1:1", "callboard.toml:2");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    fn check(file: &str, wanted: &str) {
        says(load(file, &[], &[]), wanted);
    }
    check(
        "[device]\naddress = \"127.0.0.1:1\"\nadress = 1\n",
        "callboard.toml:3: there is no `device.adress`; did you mean `device.address`?",
    );
    check(
        "[limit]\nrate = \"1/s\"\n",
        "callboard.toml:1: there is no `limit`; `callboard config` lists all keys",
    );
    check(
        "[limits.cieling]\nfuel = 1\n",
        "callboard.toml:1: there is no `limits.cieling`; `callboard config` lists all keys",
    );
    check(
        "[service.catalog]\nurl = \"http://a\"\ntimeuot = \"1s\"\n",
        "callboard.toml:3: there is no `service.catalog.timeuot`; did you mean `service.catalog.timeout`?",
    );
    check("x = 1\n", "callboard.toml:1: there is no `x`; `callboard config` lists all keys");
}

#[test]
fn an_unknown_variable_is_refused_and_one_that_is_not_ours_is_passed_over() {
    fn check(name: &str, wanted: Option<&str>) {
        match wanted {
            Some(wanted) => says(load("", &[(name, "x")], &[]), wanted),
            None => drop(load("", &[(name, "x")], &[]).unwrap()),
        }
    }
    check(
        "CALLBOARD_DEVICE_ADRESS",
        Some("CALLBOARD_DEVICE_ADRESS: there is no such setting; did you mean `CALLBOARD_DEVICE_ADDRESS`?"),
    );
    for name in [
        "CALLBOARD_URL",
        "CALLBOARD_TOKEN",
        "CALLBOARD_DEVICE_URL",
        "CALLBOARD_PORT",
        "CALLBOARD_SERVICE_HOST",
        "CALLBOARD_ADMIN_SERVICE_PORT_HTTP",
        "CALLBOARD_ADMIN_PORT_8081_TCP_ADDR",
        "HOME",
    ] {
        check(name, None);
    }
}

#[test]
fn a_wrong_value_is_told_with_its_key_and_origin() {
    fn check(file: &str, wanted: &str) {
        says(load(file, &[], &[]), wanted);
    }
    check(
        "device.address = \"localhost\"",
        "callboard.toml:1: `device.address`: `localhost` is not an address and a port; write it like `127.0.0.1:8080`",
    );
    check(
        "limits.memory = \"2GiB\"",
        "callboard.toml:1: `limits.memory`: `2GiB` is too much: the most is 1GiB",
    );
    check("limits.fuel = 0", "callboard.toml:1: `limits.fuel`: `0` is too little: the least is 1");
    check("limits.fuel = -1", "callboard.toml:1: `limits.fuel`: `-1` is not a whole number");
    check(
        "limits.rate = 500",
        "callboard.toml:1: `limits.rate`: `500` is not a rate: it has to end in `/s`; write it like `500/s`",
    );
    check(
        "limits.deadline = \"soon\"",
        "callboard.toml:1: `limits.deadline`: `soon` is not a time; write it like `300ms`",
    );
    check(
        "admin.allow_plaintext = \"yes\"",
        "callboard.toml:1: `admin.allow_plaintext`: `yes` is neither `true` nor `false`",
    );
    check("store.serial = \"x\"", "callboard.toml:1: `store.serial`: `x` is none of local_serial, serial");
    check("device.address = [\"a\"]", "callboard.toml:1: `device.address`: one value is wanted, not a list");
    check("service.a.timeout = \"1s\"", "callboard.toml:1: `service.a` has to have a `url`");
    check(
        "service.A.url = \"http://a\"",
        "callboard.toml:1: `A` cannot be a name: it has to begin with a small letter or a digit",
    );
    check(
        "service.a.url = \"https://a\"",
        "callboard.toml:1: `service.a.url`: a service's url must begin with http://, for example http://127.0.0.1:9001/v1",
    );
    check(
        "class.tv.rate = \"1/s\"",
        "callboard.toml:1: `class.tv`: a class needs a `header` or a `user_agent`, or it would hold every device",
    );
    check(
        "client_key.trusted_proxies = [\"x\"]",
        "callboard.toml:1: `client_key.trusted_proxies`: `x` is no address or network; write it like `10.0.0.0/8`",
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    says(
        load("limits.fuel = 0\nlimits.ful = 1\n", &[("CALLBOARD_LIMITS_RATE", "0/s")], &[("node.pol", "1s")]),
        "callboard.toml:1: `limits.fuel`: `0` is too little: the least is 1\n\
         callboard.toml:2: there is no `limits.ful`; did you mean `limits.fuel`?\n\
         CALLBOARD_LIMITS_RATE: `limits.rate`: `0/s` is not a rate: it must not be zero; write it like `500/s`\n\
         --set node.pol: there is no `node.pol`; did you mean `node.poll`?",
    );
}

#[test]
fn a_file_that_is_no_toml_is_told_with_line_and_column() {
    let error = load("[device]\naddress = \n", &[], &[]).unwrap_err();
    assert!(error.starts_with("callboard.toml:2:"), "{error}");
}

#[test]
fn a_default_above_its_ceiling_is_blamed_on_who_chose_it() {
    says(
        load("limits.deadline = \"20s\"", &[], &[]),
        "callboard.toml:1: `limits.deadline` is 20s, above `limits.ceiling.deadline`, which is 10s",
    );
    says(
        load("limits.ceiling.deadline = \"100ms\"", &[], &[]),
        "callboard.toml:1: `limits.deadline` is 300ms, above `limits.ceiling.deadline`, which is 100ms",
    );
}

#[test]
fn a_public_admin_address_needs_a_word_about_tls() {
    let error = load("admin.address = \"0.0.0.0:8081\"", &[], &[]).unwrap_err();
    assert!(error.contains("is public") && error.contains("admin.allow_plaintext = true"), "{error}");
    let config = load("admin.address = \"0.0.0.0:8081\"\nadmin.allow_plaintext = true", &[], &[]).unwrap();
    assert!(config.admin.allow_plaintext);
    load("admin.address = \"[::1]:8081\"", &[], &[]).unwrap();
}

#[test]
fn services_and_classes_come_from_file_and_environment() {
    let file = "[service.user-info]\nurl = \"http://127.0.0.1:9001/v1\"\ntimeout = \"100ms\"\n\
                [class.tv-2015]\nheader = \"X-Model: old\"\nrate = \"5/s\"\nburst = 7\n";
    let environment = [
        ("CALLBOARD_SERVICE_USER_INFO_TIMEOUT", "50ms"),
        ("CALLBOARD_SERVICE_CATALOG_URL", "http://127.0.0.1:9002"),
    ];
    let config = load(file, &environment, &[]).unwrap();
    let names: Vec<_> = config.services.keys().map(ServiceName::as_str).collect();
    assert_eq!(names, ["catalog", "user-info"]);
    let service = &config.services[&"user-info".parse().unwrap()];
    assert_eq!((service.timeout, service.response_max), (Duration::from_millis(50), Bytes::mib(1)));
    assert_eq!(service.service().url.to_string(), "http://127.0.0.1:9001/v1");
    let class = &config.classes[0];
    assert_eq!((class.name.as_str(), class.quota.rate.get(), class.quota.burst.get()), ("tv-2015", 5, 7));
}

#[test]
fn nodes_that_share_a_store_need_a_key_that_was_given() {
    let store = [("store.url", "cql://a,b:1/callboard")];
    // Who only looks after the store needs none.
    let error = load("", &[], &store).unwrap().signing.key().unwrap_err();
    assert!(error.to_string().starts_with("nodes that share a store need one signing key"), "{error}");
    let config = load("store.serial = \"serial\"\nsigning.key_file = \"k\"", &[], &store).unwrap();
    assert_eq!(config.signing, SigningSource::Given("k".into()));
    let (key, older) = ("0a".repeat(32), format!("{}, {}", "0b".repeat(32), "0c".repeat(32)));
    let variables = [(SIGNING_KEY_VARIABLE, &*key), (OLDER_KEYS_VARIABLE, &*older)];
    let rotating = load("", &variables, &store).unwrap();
    assert_eq!(rotating.signing.key().unwrap(), [0x0a; 32]);
    assert_eq!(rotating.older_keys.keys().unwrap(), [[0x0b; 32], [0x0c; 32]]);
    match &config.store {
        StoreConfig::Cql(cql) => assert_eq!(cql.to_string(), "cql://a:9042,b:1/callboard"),
        StoreConfig::Embedded => panic!("a shared store was asked for"),
    }
    says(
        load("", &[(SIGNING_KEY_VARIABLE, "short")], &store),
        "CALLBOARD_SIGNING_KEY: a key has to be 64 hex digits",
    );
}

#[test]
fn what_is_shown_says_the_same_when_it_is_read_again() {
    let key = "ab".repeat(32);
    let file = "limits.fuel = 1_000\nadmin.allowed_hosts = [\"a.example\", \"b\\\"c\"]\n\
                service.a.url = \"http://a\"\nclass.tv.user_agent = \"Tizen \\\\ 2\"\n";
    let environment = [(SIGNING_KEY_VARIABLE, key.as_str()), (ADMIN_TOKEN_VARIABLE, "cb_secret")];
    let config = load(file, &environment, &[]).unwrap();
    let shown = config.show();
    let again = load(&shown, &environment, &[]).unwrap();
    let values = |config: &Config| -> Vec<_> {
        config.settings.iter().map(|(name, setting)| (name.to_owned(), setting.value.clone())).collect()
    };
    assert_eq!(values(&again), values(&config));
    let both = format!("{shown}{}{config:?}", config.show_json());
    assert!(!both.contains(&key) && !both.contains("cb_secret"), "{both}");
    assert!(shown.contains("# the first admin token is in CALLBOARD_ADMIN_TOKEN and not shown"), "{shown}");
}

#[test]
fn what_is_shown_by_default() {
    let environment = [
        ("CALLBOARD_NODE_NAME", "n1"),
        ("CALLBOARD_NODE_WORKERS", "2"),
        ("CALLBOARD_NODE_SLOW_WORKERS", "2"),
        ("CALLBOARD_LIMITS_NODE_MEMORY", "4GiB"),
        ("CALLBOARD_COMPILER_AT_ONCE", "1"),
    ];
    let sources = Sources {
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..Sources::default()
    };
    insta::assert_snapshot!("shown_by_default", Config::load(&sources).unwrap().show());
}
