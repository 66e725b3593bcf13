//! One `[[endpoint]]` of a manifest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use quotas::nearest::nearest;
use quotas::scope::{EndpointName, ServiceName};

use super::table::{Table, Value};
use super::{
    CONFIG_MAX, CONFIG_TEXT_MAX, ConfigValue, EndpointSpec, HandlerPath, Method, Priority, SERVICES_MAX,
    limits,
};
use crate::route_pattern::RoutePattern;

pub(super) const KEYS: [&str; 11] = [
    "name",
    "path",
    "methods",
    "handler",
    "fallback",
    "last_good",
    "priority",
    "services",
    "limits",
    "expires",
    "config",
];
/// The longest time for which a good answer is given again.
const LAST_GOOD_MAX: Duration = Duration::from_secs(600);

/// Where in the manifest an endpoint's name and path stand.
pub(super) struct Places {
    pub(super) name: Range<usize>,
    pub(super) path: Range<usize>,
}

/// Reads an endpoint; nothing where its name, path or handler cannot be told.
pub(super) fn read(table: &Table<'_>, has_file: &dyn Fn(&str) -> bool) -> Option<(EndpointSpec, Places)> {
    table.only(&KEYS);
    let path = table.required("path");
    let pattern = path.as_ref().and_then(|path| path.parsed::<RoutePattern>());
    let handler_value = table.required("handler");
    let handler = handler_value.as_ref().and_then(|value| handler(value, has_file));
    let fallback = table.optional("fallback").and_then(|value| self::handler(&value, has_file));
    let name = match table.optional("name") {
        Some(value) => value.parsed::<EndpointName>().map(|name| (name, value.span())),
        None => handler.as_ref().zip(handler_value).and_then(|(handler, value)| name_of(handler, &value)),
    };
    let methods = table.optional("methods").map_or_else(|| vec![Method::Get], |value| methods(&value));
    let last_good = table.optional("last_good").and_then(|value| last_good(&value, &methods));
    let priority = table.optional("priority").and_then(|value| priority(&value)).unwrap_or_default();
    let services = table.optional("services").map(|value| services(&value)).unwrap_or_default();
    let limits = table.optional("limits").and_then(|value| value.table("an endpoint's `limits`"));
    let expires = table.optional("expires").and_then(|value| limits::time(&value));
    let config = table.optional("config").and_then(|value| value.table("an endpoint's `config`"));
    let limits = limits.map(|table| limits::read(&table)).unwrap_or_default();
    let config = config.map(|table| settings(&table)).unwrap_or_default();
    let (name, name_span) = name?;
    let places = Places { name: name_span, path: path?.span() };
    let (path, handler) = (pattern?, handler?);
    let spec = EndpointSpec {
        name,
        path,
        methods,
        handler,
        fallback,
        last_good,
        priority,
        services,
        limits,
        expires,
        config,
    };
    Some((spec, places))
}

fn handler(value: &Value<'_>, has_file: &dyn Fn(&str) -> bool) -> Option<HandlerPath> {
    let handler: HandlerPath = value.parsed()?;
    if !has_file(&handler.file()) {
        let message = format!("the bundle has no `{}`", handler.file());
        value.cx.error(value.span(), "manifest.no_handler_file", message);
    }
    Some(handler)
}

/// The name of an endpoint that was given none.
fn name_of(handler: &HandlerPath, value: &Value<'_>) -> Option<(EndpointName, Range<usize>)> {
    match handler.function().parse() {
        Ok(name) => Some((name, value.span())),
        Err(_) => {
            let message = format!("the function `{}` cannot be the endpoint's name too", handler.function());
            let hint = "give the endpoint a `name` of small letters, digits, `_` and `-`".to_owned();
            value.cx.error_with(value.span(), "manifest.invalid_value", message, Some(hint));
            None
        }
    }
}

fn methods(value: &Value<'_>) -> Vec<Method> {
    let mut methods = Vec::new();
    let items = value.list();
    if items.as_ref().is_some_and(Vec::is_empty) {
        value.wrong("an endpoint answers at least one method");
    }
    for item in items.unwrap_or_default() {
        let Some(token) = item.text() else { continue };
        match Method::from_token(token) {
            Some(method) if methods.contains(&method) => item.wrong(format!("`{method}` is there twice")),
            Some(method) => methods.push(method),
            None if token == "HEAD" => item.wrong("`HEAD` is answered by every endpoint that answers `GET`"),
            None => {
                let known = Method::ALL.map(Method::as_str);
                item.wrong(format!("`{token}` is not a method; there are {}", known.join(", ")));
            }
        }
    }
    methods.sort();
    methods
}

fn last_good(value: &Value<'_>, methods: &[Method]) -> Option<Duration> {
    let time = limits::time(value)?;
    if time > LAST_GOOD_MAX {
        value.wrong("a good answer is given again for ten minutes at most");
    } else if !methods.contains(&Method::Get) {
        value.wrong("only the answers of a `GET` are given again");
    }
    Some(time)
}

fn priority(value: &Value<'_>) -> Option<Priority> {
    let text = value.text()?;
    let known = Priority::ALL.map(Priority::as_str);
    let priority = text.parse::<Priority>().ok();
    if priority.is_none() {
        let hint = nearest(text, known).map(|nearest| format!("did you mean `{nearest}`?"));
        let message = format!("`{text}` is not a priority; there are {}", known.join(", "));
        value.cx.error_with(value.span(), "manifest.invalid_value", message, hint);
    }
    priority
}

fn services(value: &Value<'_>) -> Vec<ServiceName> {
    let mut services = Vec::new();
    let items = value.list().unwrap_or_default();
    if items.len() > SERVICES_MAX {
        value.cx.error(value.span(), "manifest.too_many", "an endpoint calls at most 32 services");
        return services;
    }
    for item in items {
        match item.parsed::<ServiceName>() {
            Some(service) if services.contains(&service) => item.wrong(format!("`{service}` is there twice")),
            Some(service) => services.push(service),
            None => {}
        }
    }
    services
}

fn settings(table: &Table<'_>) -> BTreeMap<String, ConfigValue> {
    let mut settings = BTreeMap::new();
    for (key_span, value) in table.all() {
        let key = value.key();
        if settings.len() == CONFIG_MAX {
            value.cx.error(key_span, "manifest.too_many", "an endpoint has at most 64 settings");
            break;
        }
        let begins_well = key.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        let is_word = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !begins_well || !is_word || key.len() > 63 {
            let message = "a setting's name is a letter or `_`, then up to 62 letters, digits and `_`";
            value.cx.error(key_span, "manifest.invalid_key", message);
            continue;
        }
        let setting = match (value.as_text(), value.as_integer(), value.as_flag()) {
            (Some(text), ..) if text.len() > CONFIG_TEXT_MAX => {
                value.wrong("a setting's text has at most 4096 bytes");
                continue;
            }
            (Some(text), ..) => ConfigValue::Text(text.to_owned()),
            (_, Some(number), _) => ConfigValue::Integer(number),
            (_, _, Some(flag)) => ConfigValue::Flag(flag),
            _ => {
                value.wrong_kind("a text, a whole number, `true` or `false`");
                continue;
            }
        };
        settings.insert(key.to_owned(), setting);
    }
    settings
}
