use std::collections::HashSet;

use super::*;
use crate::limits::Requested;

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

#[test]
fn every_name_reads_what_it_shows_and_has_a_place_of_its_own() {
    let policy = Policy::default();
    let mut places = HashSet::new();
    for name in Name::all() {
        assert_eq!(name.as_str().parse::<Name>(), Ok(name));
        assert_eq!(name.as_str().replace('_', "-").parse::<Name>(), Ok(name));
        assert_eq!(name.read(&name.show(1_000), &Scope::All, &policy), Ok(1_000), "{name}");
        assert!(places.insert(name.place()) && name.place() < NAMES, "{name}");
    }
    assert_eq!(places.len(), NAMES);
    assert!("speed".parse::<Name>().unwrap_err().to_string().contains("fuel_day"));
}

#[test]
fn a_value_is_never_nothing_and_never_above_the_ceiling() {
    let policy = Policy::default();
    fn check(policy: &Policy, of: &str, name: &str, text: &str, read: Option<u64>) {
        let name: Name = name.parse().unwrap();
        assert_eq!(name.read(text, &scope(of), policy).ok(), read, "{name} of {of}: {text}");
    }
    check(&policy, "team:tv", "rate", "1000/s", Some(1_000));
    check(&policy, "team:tv", "rate", "0/s", None);
    check(&policy, "team:tv", "rate", "1000", None);
    check(&policy, "endpoint:tv/home/home", "rate", "50_000/s", Some(50_000));
    check(&policy, "endpoint:tv/home/home", "rate", "50_001/s", None);
    check(&policy, "endpoint:tv/home/home", "concurrency", "1_025", None);
    check(&policy, "team:tv", "fuel-day", "5e9", Some(5_000_000_000));
    check(&policy, "team:tv", "fuel-day", "5_000", Some(5_000));
    check(&policy, "team:tv", "fuel-day", "0", None);
    check(&policy, "team:tv", "fuel-day", "0e9", None);
    check(&policy, "team:tv", "fuel-day", "1e30", None);
    check(&policy, "team:tv", "fuel-day", "-1", None);
    check(&policy, "team:tv", "fuel-day", "none", None);
    check(&policy, "team:tv", "bytes-day", "2GiB", Some(2 << 30));
    check(&policy, "team:tv", "scripts", "7", Some(7));
    check(&policy, "all", "client-rate", "20/s", Some(20));
}

#[test]
fn each_kind_of_scope_has_what_is_counted_for_it() {
    fn check(of: &str, has: &[&str], lacks: &[&str]) {
        let names: Vec<&str> = Name::of(&scope(of)).map(Name::as_str).collect();
        assert!(has.iter().all(|name| names.contains(name)), "{of}: {names:?}");
        assert!(!lacks.iter().any(|name| names.contains(name)), "{of}: {names:?}");
    }
    check("team:tv", &["rate", "burst", "concurrency", "fuel_day", "scripts"], &["client_rate"]);
    check("endpoint:tv/home/home", &["rate", "concurrency", "requests_day"], &["scripts", "client_rate"]);
    check("class:tv-2015", &["rate", "fuel_minute"], &["concurrency", "scripts"]);
    check("all", &["client_rate", "client_burst", "concurrency"], &["rate", "fuel_day"]);
    for none in ["script:tv/home", "revision:tv/home@1", "service:catalog"] {
        assert_eq!(Name::of(&scope(none)).count(), 0);
    }
}

#[test]
fn what_is_not_set_stays_and_a_burst_follows_its_rate() {
    let policy = Policy::default();
    let own = Terms::of_endpoint(&policy.endpoint(&Requested::default()), &policy);
    let set = |limit| Setting { limit: Some(limit), ..Setting::default() };
    let rate = set(5_000);
    let terms = own.with([(Name::Rate, &rate)]);
    assert_eq!((terms.get(Name::Rate).limit, terms.get(Name::Burst).limit), (5_000, 500));
    assert_eq!(terms.get(Name::Concurrency), own.get(Name::Concurrency));
    let burst = set(7);
    let terms = own.with([(Name::Burst, &burst), (Name::Rate, &rate)]);
    assert_eq!(terms.get(Name::Burst).limit, 7);
    let fuel = Name::Budget(BudgetKind::FuelDay);
    let observed = Setting { observe: true, soft_percent: Some(50), limit: None };
    let term = own.with([(fuel, &observed)]).get(fuel);
    assert_eq!((term.limit, term.soft_percent, term.observe), (own.get(fuel).limit, 50, true));
}

#[test]
fn a_node_has_its_part_of_rates_and_budgets_and_the_rest_whole() {
    let policy = Policy::default();
    let own = Terms::of_team(&policy);
    let half = own.part(0.5);
    assert_eq!(half.get(Name::Rate).limit, own.get(Name::Rate).limit / 2);
    let fuel = Name::Budget(BudgetKind::FuelDay);
    assert_eq!(half.get(fuel).limit, own.get(fuel).limit / 2);
    assert_eq!(half.get(Name::Concurrency), own.get(Name::Concurrency));
    assert_eq!(own.part(1.0), own);
    let one = own.with([(Name::Rate, &Setting { limit: Some(1), ..Setting::default() })]);
    assert_eq!(one.part(0.01).get(Name::Rate).limit, 1, "a part is never nothing");
}
