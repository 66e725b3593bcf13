//! The reference for authors of scripts, written from tables: what `callboard` brings, and every function of
//! the standard library with what it costs.
//!
//! Invariant: the page in the tree is the one that these tables make; a test compares them, and every
//! example is compiled.

use std::fmt::Write;

use crate::metered;

/// One function or method for scripts.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// How it is called.
    pub call: &'static str,
    /// What it does.
    pub does: &'static str,
    /// An expression that uses it, in a handler with `request`.
    pub example: &'static str,
}

const fn row(call: &'static str, does: &'static str, example: &'static str) -> Row {
    Row { call, does, example }
}

/// A part of the reference.
pub type Part = (&'static str, &'static str, &'static [Row]);

/// What `callboard` brings, part by part.
pub const PARTS: &[Part] = &[
    (
        "The request",
        "What a handler is given.",
        &[
            row("request.method()", "The method, upper case.", "request.method()"),
            row("request.path()", "The path, without the query.", "request.path()"),
            row(
                "request.param(name)",
                "A parameter of the route, decoded; `()` where there is none.",
                "request.param(\"user\")",
            ),
            row(
                "request.query(name)",
                "The first parameter of that name in the query, decoded; `()` where there is none.",
                "request.query(\"name\")",
            ),
            row(
                "request.header(name)",
                "A header, its name in any case; `()` where there is none.",
                "request.header(\"accept\")",
            ),
            row(
                "request.device_class()",
                "The class of the device by the operator's rules; `()` where none fits.",
                "request.device_class()",
            ),
            row("request.text()", "The body as text: a `Result`.", "request.text()?"),
            row("request.bytes()", "The body as bytes.", "request.bytes()"),
            row("request.json()", "The body as JSON: a `Result` that says what is wrong.", "request.json()?"),
        ],
    ),
    (
        "The answer",
        "`use callboard::Response;` when a plain value does not say it all.",
        &[
            row(
                "Response::json(value)",
                "200 with the value as JSON; keys of objects are sorted.",
                "callboard::Response::json(#{ a: 1 })",
            ),
            row("Response::text(text)", "200 with text.", "callboard::Response::text(\"a\")"),
            row("Response::bytes(bytes)", "200 with bytes.", "callboard::Response::bytes(b\"a\")"),
            row(
                "Response::status(status)",
                "A status from 200 to 599 and no body.",
                "callboard::Response::status(404)",
            ),
            row(
                ".with_status(status)",
                "The same answer with another status.",
                "callboard::Response::text(\"a\").with_status(201)",
            ),
            row(
                ".with_header(name, value)",
                "The same answer with one more header, 64 and 16 KiB together at most. What would split or reframe the answer is refused, and so is what speaks for every path of the server: `alt-svc`, `clear-site-data`, `nel`, `public-key-pins`, `report-to`, `reporting-endpoints`, `service-worker-allowed`, `strict-transport-security`.",
                "callboard::Response::text(\"a\").with_header(\"x-a\", \"b\")",
            ),
        ],
    ),
    (
        "JSON",
        "`Json` is a checked text: what is passed on unread stays the bytes that came.",
        &[
            row(
                "json!(value)",
                "A new JSON text, keys in the order of writing, any expression as a value.",
                "json!({ \"a\": [1, request.path()] })",
            ),
            row(
                "json_push!(list, value)",
                "Appends an element to a JSON list in place.",
                "{ let list = json!([]); json_push!(list, { \"a\": 1 }); list }",
            ),
            row(
                "json[key]",
                "A field or element: a plain value, or `Json` again; `()` where there is none.",
                "request.json()?[\"a\"][0]",
            ),
            row(".get(key)", "The same as an `Option`.", "request.json()?.get(\"a\")"),
            row(".len()", "How many elements or fields.", "request.json()?.len()"),
            row(".keys()", "The keys of an object, in order.", "request.json()?.keys()"),
            row(
                ".iter()",
                "The elements of a list; the fields of an object as `(key, value)`.",
                "request.json()?.iter().count()",
            ),
            row(
                ".value()",
                "The whole as objects and vectors that can be changed.",
                "request.json()?.value()",
            ),
            row("json::parse(text)", "Reads JSON from text: a `Result`.", "callboard::json::parse(\"[1]\")?"),
            row("json::stringify(value)", "Any value as JSON text.", "callboard::json::stringify([1])"),
        ],
    ),
    (
        "Services",
        "`use callboard::service;` for the services that the manifest lists. An answer of 400 and above is an `Err`.",
        &[
            row(
                "service::get(name, path)",
                "Asks for a path of a service; to be awaited.",
                "callboard::service::get(\"users\", \"/a\").await?",
            ),
            row(
                "service::delete(name, path)",
                "Deletes.",
                "callboard::service::delete(\"users\", \"/a\").await?",
            ),
            row(
                "service::post(name, path, body)",
                "Posts a body: text as `text/plain` and bytes as `application/octet-stream` unless a header of `post_with` says otherwise, everything else as JSON.",
                "callboard::service::post(\"users\", \"/a\", #{ a: 1 }).await?",
            ),
            row(
                "service::put(name, path, body)",
                "Puts a body.",
                "callboard::service::put(\"users\", \"/a\", \"text\").await?",
            ),
            row(
                "service::get_with(name, path, options)",
                "The same with `#{ headers: #{…}, query: #{…} }`; also `delete_with`, `post_with`, `put_with`.",
                "callboard::service::get_with(\"users\", \"/a\", #{ query: #{ q: 1 } }).await?",
            ),
            row(
                "answer.status()",
                "The status.",
                "callboard::service::get(\"users\", \"/a\").await?.status()",
            ),
            row(
                "answer.header(name)",
                "A header; `()` where there is none.",
                "callboard::service::get(\"users\", \"/a\").await?.header(\"etag\")",
            ),
            row(
                "answer.json(), .text(), .bytes()",
                "The body; the first two are a `Result`.",
                "callboard::service::get(\"users\", \"/a\").await?.json()?",
            ),
            row(
                "error.kind()",
                "`timeout`, `unreachable`, `full` (of all requests to it, or of this team's: half of its places), `limited` (the same, while it takes fewer than it should), `open` (it failed too often of late and is left alone for a moment), `off`, `too_large`, `protocol` or `status`.",
                "match callboard::service::get(\"users\", \"/a\").await { Err(e) => e.kind(), Ok(_) => \"\" }",
            ),
            row(
                "error.status(), .body()",
                "What was answered; `()` where nothing was.",
                "match callboard::service::get(\"users\", \"/a\").await { Err(e) => e.status(), Ok(_) => () }",
            ),
        ],
    ),
    (
        "The rest",
        "Each a module of `callboard`.",
        &[
            row(
                "log::info(text)",
                "A line in the log, with the request's id; also `debug`, `warn`, `error`.",
                "callboard::log::info(\"a\")",
            ),
            row(
                "config::get(name)",
                "A value of `[endpoint.config]` in the manifest; `()` where there is none.",
                "callboard::config::get(\"rows\")",
            ),
            row("time::unix_ms()", "Milliseconds since 1970.", "callboard::time::unix_ms()"),
            row("time::rfc3339(ms)", "The same as text.", "callboard::time::rfc3339(0)"),
            row("uuid::v4()", "A random id.", "callboard::uuid::v4()"),
            row(
                "base64::encode(data)",
                "Base64; also `encode_url`, without padding.",
                "callboard::base64::encode(\"a\")",
            ),
            row(
                "base64::decode(text)",
                "The bytes: a `Result`; also `decode_url`.",
                "callboard::base64::decode(\"YQ==\")?",
            ),
            row("url::encode(text)", "For a part of a path or a query.", "callboard::url::encode(\"a b\")"),
            row("url::decode(text)", "The text: a `Result`.", "callboard::url::decode(\"a%20b\")?"),
            row("hash::blake3(data)", "BLAKE3 as hexadecimal text.", "callboard::hash::blake3(\"a\")"),
        ],
    ),
];

/// The whole reference as Markdown.
pub fn page() -> String {
    let mut out = String::from(
        "# Reference for scripts\n\nWritten from the tables in `runtime/src`; a test keeps it true.\n",
    );
    for (title, intro, rows) in PARTS {
        let _ = write!(out, "\n## {title}\n\n{intro}\n\n| | |\n| --- | --- |\n");
        for Row { call, does, .. } in *rows {
            let _ = writeln!(out, "| `{call}` | {does} |");
        }
    }
    out.push_str(
        "\n## The standard library and what it costs\n\nA unit of fuel is a checkpoint: one turn of a loop, one \
         call of a function. What native functions add to that:\n",
    );
    for table in metered::tables() {
        let _ = write!(
            out,
            "\n### std::{}\n\n| function | cost | why |\n| --- | --- | --- |\n",
            table.path.join("::")
        );
        let of_types =
            table.types.iter().flat_map(|of| of.functions.iter().map(move |function| (of.name, function)));
        for (of, function) in of_types.chain(table.functions.iter().map(|function| ("", function))) {
            let dot = if of.is_empty() { "" } else { "." };
            let name = function.name.text().replace('|', "\\|");
            let _ = writeln!(
                out,
                "| `{of}{dot}{name}` | {} | {} |",
                function.cost.words(),
                function.reason.replace('|', "\\|")
            );
        }
    }
    out.push_str("\n### Left out\n\n| | why |\n| --- | --- |\n");
    for (name, why) in metered::LEFT_OUT {
        let _ = writeln!(out, "| `{name}` | {why} |");
    }
    out
}
