//! The canonical form of a request's path: its segments, decoded once.
//!
//! Invariant: a path that a proxy before us or a script behind us could read in another way is refused, not
//! repaired.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The decoded segments of a path; none for `/`. A slash at the end is a last, empty segment.
pub(super) fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, &'static str> {
    let rest = path.strip_prefix('/').ok_or("the path does not begin with a slash")?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let mut segments = Vec::with_capacity(8);
    let mut raw = rest.split('/').peekable();
    while let Some(segment) = raw.next() {
        if segment.is_empty() && raw.peek().is_some() {
            return Err("the path has an empty segment");
        }
        segments.push(decoded(segment)?);
    }
    Ok(segments)
}

fn decoded(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    let segment = if raw.contains('%') {
        if !has_whole_escapes(raw.as_bytes()) {
            return Err("the path has a percent sign without two hex digits");
        }
        percent_decode_str(raw).decode_utf8().map_err(|_| "the path is no UTF-8")?
    } else {
        Cow::Borrowed(raw)
    };
    match &*segment {
        "." | ".." => Err("the path has a dot segment"),
        text if text.contains('/') => Err("the path has an encoded slash"),
        text if text.contains('\\') => Err("the path has a backslash"),
        text if text.contains('\0') => Err("the path has a NUL"),
        _ => Ok(segment),
    }
}

fn has_whole_escapes(raw: &[u8]) -> bool {
    raw.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| raw.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form_or_is_refused() {
        fn check(path: &str, expected: Result<&[&str], &str>) {
            let found = segments(path);
            match expected {
                Ok(expected) => assert_eq!(found.unwrap(), expected, "{path}"),
                Err(problem) => assert!(found.unwrap_err().contains(problem), "{path}"),
            }
        }
        check("/", Ok(&[]));
        check("/a", Ok(&["a"]));
        check("/a/", Ok(&["a", ""]));
        check("/a/b%20c", Ok(&["a", "b c"]));
        check("/%61", Ok(&["a"]));
        check("/%252e", Ok(&["%2e"]));
        check("/...", Ok(&["..."]));
        check("/%c3%a4", Ok(&["ä"]));
        check("", Err("begin"));
        check("*", Err("begin"));
        check("//", Err("empty"));
        check("//a", Err("empty"));
        check("/a//b", Err("empty"));
        check("/.", Err("dot"));
        check("/a/../b", Err("dot"));
        check("/a/%2e%2E", Err("dot"));
        check("/a/.%2e/b", Err("dot"));
        check("/a%2fb", Err("encoded slash"));
        check("/a%5cb", Err("backslash"));
        check("/a\\b", Err("backslash"));
        check("/a%00", Err("NUL"));
        check("/%", Err("percent"));
        check("/%4", Err("percent"));
        check("/%zz", Err("percent"));
        check("/%ff", Err("UTF-8"));
    }
}
