//! Route patterns: the path that an endpoint answers, as its manifest writes it.
//!
//! Invariant: a pattern was validated when it was made, so it is canonical but for the names of its
//! parameters: two patterns that match the same paths have the same canonical text.
//! Not here: finding the endpoint for a request's path.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The most segments of a pattern.
pub const SEGMENTS_MAX: usize = 32;
/// The longest pattern, in bytes.
pub const PATTERN_MAX: usize = 1_024;

/// Text that is not a route pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a path for an endpoint: {problem}; write it like `/tv/home/{{user}}`")]
pub struct ParseRouteError {
    /// The text that was given, cut where it is too long.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl ParseRouteError {
    /// The stable code of this error.
    pub const CODE: &'static str = "route.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text and no other.
    Literal(String),
    /// `{name}`: any one segment that is not empty.
    Parameter(String),
    /// `{name*}`: all that is left, at least one segment; only at the end.
    Tail(String),
}

/// The path that an endpoint answers: `/tv/home/{user}`, `/art/{path*}` or `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoutePattern {
    segments: Vec<Segment>,
}

impl RoutePattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, ParseRouteError> {
        text.parse()
    }

    /// Its segments, none for `/`.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of its parameters, in order, that of the tail included.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// The pattern without the names of its parameters: `/tv/home/{}`, `/art/{*}`.
    pub fn canonical(&self) -> String {
        self.written(|_| "")
    }

    /// Whether there is a path that both match.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.segments.iter(), other.segments.iter());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                // A tail takes the rest of the other, which has at least this one segment.
                (Some(Segment::Tail(_)), Some(_)) | (Some(_), Some(Segment::Tail(_))) => return true,
                (Some(Segment::Literal(ours)), Some(Segment::Literal(theirs))) if ours != theirs => {
                    return false;
                }
                _ => {}
            }
        }
    }

    /// Orders patterns that overlap by which is to be asked first: segment by segment a literal comes before a
    /// parameter and a parameter before a tail.
    pub fn specificity(&self, other: &Self) -> Ordering {
        self.segments.iter().map(Segment::rank).cmp(other.segments.iter().map(Segment::rank))
    }

    fn written<'a>(&'a self, name: impl Fn(&'a str) -> &'a str) -> String {
        if self.segments.is_empty() {
            return "/".to_owned();
        }
        let mut text = String::new();
        for segment in &self.segments {
            text.push('/');
            match segment {
                Segment::Literal(literal) => text.push_str(literal),
                Segment::Parameter(parameter) => text.push_str(&format!("{{{}}}", name(parameter))),
                Segment::Tail(tail) => text.push_str(&format!("{{{}*}}", name(tail))),
            }
        }
        text
    }
}

impl Segment {
    /// The parameter's name, where it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) | Self::Tail(name) => Some(name),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Literal(_) => 0,
            Self::Parameter(_) => 1,
            Self::Tail(_) => 2,
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let (name, is_tail) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
            let mut bytes = name.bytes();
            let first = bytes.next().ok_or("a parameter has no name")?;
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if !(first.is_ascii_alphabetic() || first == b'_') || !bytes.all(is_word) || name.len() > 63 {
                return Err("a parameter's name is a letter, then up to 62 letters, digits and `_`");
            }
            return Ok(if is_tail { Self::Tail(name.into()) } else { Self::Parameter(name.into()) });
        }
        match text {
            "" => return Err("a segment is empty"),
            "." | ".." => return Err("a segment is `.` or `..`"),
            _ => {}
        }
        if text.contains(['{', '}']) {
            return Err("a parameter is a whole segment in braces");
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~!$&'()*+,;=:@-".contains(&byte);
        if !text.bytes().all(is_plain) {
            return Err("only letters, digits and the characters ._~!$&'()*+,;=:@- may stand in a segment");
        }
        Ok(Self::Literal(text.into()))
    }
}

impl FromStr for RoutePattern {
    type Err = ParseRouteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem| ParseRouteError { text: text.chars().take(80).collect(), problem };
        if text.len() > PATTERN_MAX {
            return Err(wrong("it is longer than 1024 bytes"));
        }
        let rest = text.strip_prefix('/').ok_or_else(|| wrong("it has to begin with `/`"))?;
        let mut segments: Vec<Segment> = Vec::new();
        if !rest.is_empty() {
            for segment in rest.split('/') {
                if matches!(segments.last(), Some(Segment::Tail(_))) {
                    return Err(wrong("what takes the rest of the path has to come last"));
                }
                let segment = Segment::parse(segment).map_err(wrong)?;
                if segment.name().is_some() && segments.iter().any(|s| s.name() == segment.name()) {
                    return Err(wrong("two parameters have one name"));
                }
                segments.push(segment);
                if segments.len() > SEGMENTS_MAX {
                    return Err(wrong("it has more than 32 segments"));
                }
            }
        }
        Ok(Self { segments })
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(|name| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> RoutePattern {
        RoutePattern::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_pattern_reads_what_it_writes_and_forgets_only_names_when_canonical() {
        for (text, canonical) in [
            ("/", "/"),
            ("/hello", "/hello"),
            ("/tv/home/{user}", "/tv/home/{}"),
            ("/art/{path*}", "/art/{*}"),
            ("/{a}/x/{b}", "/{}/x/{}"),
            ("/a.b/c~d/(e)*;f=g@h:i,j+k!$&'-_", "/a.b/c~d/(e)*;f=g@h:i,j+k!$&'-_"),
        ] {
            assert_eq!(pattern(text).to_string(), text);
            assert_eq!(pattern(text).canonical(), canonical);
        }
        assert_eq!(pattern("/{a}/x/{b*}").parameters().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_wrong_pattern_is_answered_with_what_is_wrong() {
        let deep = "/a".repeat(SEGMENTS_MAX + 1);
        let long = format!("/{}", "a".repeat(PATTERN_MAX));
        for (text, problem) in [
            ("", "it has to begin with `/`"),
            ("tv", "it has to begin with `/`"),
            ("//", "a segment is empty"),
            ("/tv/", "a segment is empty"),
            ("/tv//home", "a segment is empty"),
            ("/tv/../home", "a segment is `.` or `..`"),
            ("/tv/.", "a segment is `.` or `..`"),
            ("/{a*}/b", "what takes the rest of the path has to come last"),
            ("/{a}/{a}", "two parameters have one name"),
            ("/{a}/{a*}", "two parameters have one name"),
            ("/{}", "a parameter has no name"),
            ("/{*}", "a parameter has no name"),
            ("/{1a}", "a parameter's name is a letter, then up to 62 letters, digits and `_`"),
            ("/{a}b", "a parameter is a whole segment in braces"),
            ("/a%2fb", "only letters, digits and the characters ._~!$&'()*+,;=:@- may stand in a segment"),
            ("/ä", "only letters, digits and the characters ._~!$&'()*+,;=:@- may stand in a segment"),
            ("/a?b", "only letters, digits and the characters ._~!$&'()*+,;=:@- may stand in a segment"),
            (&deep, "it has more than 32 segments"),
            (&long, "it is longer than 1024 bytes"),
        ] {
            assert_eq!(RoutePattern::parse(text).unwrap_err().problem, problem, "{text}");
        }
    }

    #[test]
    fn patterns_overlap_when_one_path_matches_both() {
        for (one, other, overlap) in [
            ("/a", "/a", true),
            ("/a", "/b", false),
            ("/a", "/{x}", true),
            ("/{x}", "/{y}", true),
            ("/a/{x}", "/{y}/b", true),
            ("/a/{x}", "/b/{y}", false),
            ("/a", "/a/b", false),
            ("/a", "/a/{rest*}", false),
            ("/", "/{rest*}", false),
            ("/a/b/c", "/a/{rest*}", true),
            ("/{x*}", "/a/b/c", true),
            ("/b/c", "/a/{rest*}", false),
            ("/a/{x*}", "/a/b/{y*}", true),
            ("/", "/", true),
        ] {
            assert_eq!(pattern(one).overlaps(&pattern(other)), overlap, "{one} {other}");
            assert_eq!(pattern(other).overlaps(&pattern(one)), overlap, "{other} {one}");
        }
    }

    #[test]
    fn the_more_literal_pattern_comes_first() {
        let mut patterns = ["/{x*}", "/{x}/b", "/a/{y*}", "/a/{y}", "/a/b"].map(pattern);
        patterns.sort_by(RoutePattern::specificity);
        let texts = patterns.map(|pattern| pattern.to_string());
        assert_eq!(texts, ["/a/b", "/a/{y}", "/a/{y*}", "/{x}/b", "/{x*}"]);
    }
}
