use std::collections::BTreeSet;

use super::*;

/// Every value under a key, wherever it stands.
fn all_under<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(key));
            object.values().for_each(|value| all_under(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|value| all_under(value, key, found)),
        _ => {}
    }
}

#[test]
fn the_checked_in_document_is_the_contract() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let built = openapi();
    if std::env::var_os("CALLBOARD_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{}\n", serde_json::to_string_pretty(&built).unwrap())).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let checked_in: Value = serde_json::from_str(&text).unwrap();
    assert!(
        built == checked_in,
        "openapi.json differs from what is built: run the test with CALLBOARD_UPDATE_GOLDEN=1 and look at the difference"
    );
}

#[test]
fn every_reference_leads_to_a_schema_and_every_schema_is_used() {
    let document = openapi();
    let mut references = Vec::new();
    all_under(&document, "$ref", &mut references);
    let referred: BTreeSet<&str> = references.iter().filter_map(|reference| reference.as_str()).collect();
    let named: BTreeSet<String> = document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
        .map(|name| format!("#/components/schemas/{name}"))
        .collect();
    assert_eq!(referred, named.iter().map(String::as_str).collect());
}

#[test]
fn every_call_has_an_id_of_its_own_a_summary_and_codes_that_exist() {
    let mut ids = BTreeSet::new();
    for operation in operations::all() {
        assert!(ids.insert(operation.id), "{}", operation.id);
        assert!(operation.summary.ends_with('.') && !operation.answers.is_empty(), "{}", operation.id);
        for code in operation.problems {
            assert!(codes::find(code).is_some(), "{}: {code}", operation.id);
        }
    }
}

#[test]
fn only_health_version_and_the_contract_need_no_token() {
    let open: Vec<_> =
        operations::all().filter(|operation| operation.open).map(|operation| operation.path).collect();
    assert_eq!(open, ["/livez", "/readyz", "/v1/openapi.json", "/v1/version"]);
}

#[test]
fn every_write_can_be_tried_or_is_about_tokens_or_a_try_itself() {
    for operation in operations::all()
        .filter(|operation| operation.method != "get" && operation.tag != "tokens" && operation.id != "drill")
    {
        assert!(operation.parameters.iter().any(|parameter| parameter.name == "dry_run"), "{}", operation.id);
    }
}
