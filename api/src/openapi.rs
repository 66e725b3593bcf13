//! The contract as an OpenAPI 3.1 document, built from the shapes and a table of the calls.
//!
//! Invariant: the checked-in `openapi.json` is what this builds; a schema comes from the type that crosses the
//! wire, so only the table can be wrong.
//! Not here: the device plane, whose routes belong to the scripts.

mod operations;

use serde_json::{Map, Value, json};

use self::operations::{Answer, Operation, Place};
use crate::codes;
use crate::problem::{MEDIA_TYPE, Problem};
use crate::shape::{Schemas, Shape};

/// The version of the contract.
pub const API_VERSION: &str = "1";

/// The OpenAPI document of the admin plane.
pub fn openapi() -> Value {
    let mut all = Schemas::new();
    Problem::schema(&mut all);
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations::all() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe(operation, &mut all);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "callboard",
            "version": API_VERSION,
            "description": "The admin plane. Names are snake_case; times are RFC 3339 in UTC; sizes, rates and \
                durations are texts such as `8MiB`, `500/s` and `300ms`, in and out. Requests refuse fields that \
                they do not know; answers may grow. Every failure is `application/problem+json` with a stable code.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": all,
        },
    })
}

fn describe(operation: &Operation, all: &mut Schemas) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": responses(operation, all),
    });
    let parameters = parameters(operation);
    if !parameters.is_empty() {
        described["parameters"] = Value::Array(parameters);
    }
    if let Some((media, shape)) = operation.body {
        let schema = shape(all);
        described["requestBody"] = json!({ "required": true, "content": { media: { "schema": schema } } });
    }
    if operation.open {
        described["security"] = json!([]);
    }
    described
}

/// The parameters in the path's braces, then those that the table names.
fn parameters(operation: &Operation) -> Vec<Value> {
    let within = operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let in_path = within.map(|name| {
        let kind = if name == "number" { "integer" } else { "string" };
        json!({
            "name": name, "in": "path", "required": true,
            "description": operations::path_parameter(name),
            "schema": { "type": kind },
        })
    });
    let named = operation.parameters.iter().map(|parameter| {
        let mut schema = match parameter.kind {
            "" => json!({ "type": "string" }),
            kind if kind.contains('|') => {
                json!({ "type": "string", "enum": kind.split('|').collect::<Vec<_>>() })
            }
            kind => json!({ "type": kind }),
        };
        if !parameter.default.is_empty() {
            schema["default"] = match parameter.kind {
                "boolean" => json!(parameter.default == "true"),
                "integer" => parameter.default.parse::<u64>().map_or(Value::Null, Value::from),
                _ => json!(parameter.default),
            };
        }
        let place = match parameter.place {
            Place::Query => "query",
            Place::Header { .. } => "header",
        };
        let required = matches!(parameter.place, Place::Header { required: true });
        json!({
            "name": parameter.name, "in": place, "required": required,
            "description": parameter.doc, "schema": schema,
        })
    });
    in_path.chain(named).collect()
}

fn responses(operation: &Operation, all: &mut Schemas) -> Value {
    let mut responses = Map::new();
    for answer in operation.answers {
        let Answer { status, doc, media, shape, etag } = answer;
        let mut response = json!({ "description": doc });
        if !media.is_empty() {
            response["content"] = json!({ *media: { "schema": shape(all) } });
        }
        if *etag {
            let doc = "The state's tag, for `If-Match`.";
            response["headers"] = json!({ "ETag": { "description": doc, "schema": { "type": "string" } } });
        }
        responses.insert(status.to_string(), response);
    }
    let schema = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    let mut named: Vec<&codes::Code> =
        operation.problems.iter().filter_map(|code| codes::find(code)).collect();
    if !operation.open {
        named.extend(
            ["auth.missing", "auth.invalid", "auth.expired", "auth.forbidden"]
                .map(|code| codes::find(code).unwrap_or(codes::INTERNAL)),
        );
    }
    named.sort_by_key(|code| (code.status, code.code));
    for group in named.chunk_by(|one, next| one.status == next.status) {
        let text: Vec<String> =
            group.iter().map(|code| format!("`{}`: {}.", code.code, code.title)).collect();
        let problem = json!({ "description": text.join(" "), "content": { MEDIA_TYPE: schema } });
        responses.entry(group[0].status.to_string()).or_insert(problem);
    }
    let other = "Any other problem; its code says which.";
    responses
        .insert("default".to_owned(), json!({ "description": other, "content": { MEDIA_TYPE: schema } }));
    Value::Object(responses)
}

#[cfg(test)]
mod tests;
