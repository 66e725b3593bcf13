use super::*;

/// Reads the text as a scraper would: name, labels, value; with the type that was said before.
fn samples(text: &str) -> Vec<(String, f64)> {
    let (mut families, mut samples) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            if let Some(family) = comment.strip_prefix("TYPE ") {
                families.push(family.split(' ').next().unwrap().to_owned());
            }
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let name = sample.split('{').next().unwrap();
        assert!(families.last().is_some_and(|family| name.starts_with(family)), "{line}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        samples.push((sample.to_owned(), value.parse().unwrap()));
    }
    families.sort();
    let all = families.len();
    families.dedup();
    assert_eq!(families.len(), all);
    assert!(text.ends_with("# EOF\n"));
    samples
}

fn stats() -> EndpointStats {
    let mut latency = hdrhistogram::Histogram::new(2).unwrap();
    for micros in [900, 4_000, 4_000, 70_000_000] {
        latency.record(micros).unwrap();
    }
    let mut stats = EndpointStats::new(Some("tv/home/home".parse().unwrap()));
    stats.outcomes = [("ok", 3), ("rate.exceeded", 2)].into();
    stats.latency = latency;
    stats.fuel = 42;
    stats.running = std::time::Duration::from_millis(1_500);
    stats.in_flight = 7;
    stats
}

#[test]
fn the_text_is_what_a_scraper_reads() {
    let mut rest = stats();
    rest.endpoint = None;
    let scrape = Scrape {
        switch_hits: vec![("kill", "off", 3), ("cap", "observe", 0)],
        endpoints: vec![rest, stats()],
        store: true,
        routes: 5,
        events: vec![("deploy applied", 3)],
        ..Scrape::default()
    };
    let samples = samples(&scrape.text().unwrap());
    let labels = "team=\"tv\",script=\"home\",endpoint=\"home\"";
    let value =
        |name: &str| samples.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name}")).1;
    let check = |name: &str, wanted: f64| assert_eq!(value(name), wanted, "{name}");
    check(&format!("callboard_calls_total{{{labels},outcome=\"ok\"}}"), 3.0);
    check(&format!("callboard_calls_total{{{labels},outcome=\"rate.exceeded\"}}"), 2.0);
    check(&format!("callboard_call_duration_seconds_count{{{labels}}}"), 4.0);
    check(&format!("callboard_call_duration_seconds_bucket{{le=\"0.001\",{labels}}}"), 1.0);
    check(&format!("callboard_call_duration_seconds_bucket{{le=\"0.005\",{labels}}}"), 3.0);
    check(&format!("callboard_call_duration_seconds_bucket{{le=\"10.0\",{labels}}}"), 3.0);
    check(&format!("callboard_call_duration_seconds_bucket{{le=\"+Inf\",{labels}}}"), 4.0);
    check(&format!("callboard_fuel_total{{{labels}}}"), 42.0);
    check(&format!("callboard_running_seconds_total{{{labels}}}"), 1.5);
    check(&format!("callboard_in_flight{{{labels}}}"), 7.0);
    check("callboard_calls_total{team=\"_rest\",script=\"_rest\",endpoint=\"_rest\",outcome=\"ok\"}", 3.0);
    check("callboard_store_up", 1.0);
    check("callboard_routes", 5.0);
    check("callboard_events_total{event=\"deploy_applied\"}", 3.0);
    check(&format!("callboard_build_info{{version=\"{VERSION}\"}}"), 1.0);
}
