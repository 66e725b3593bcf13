//! A tree of segments: from a method and decoded segments to what answers them.
//!
//! Invariant: of all patterns that match, the most specific that has the method is found: segment by segment
//! a literal comes before a parameter and a parameter before a tail.

use std::borrow::Cow;

use foldhash::{HashMap, HashMapExt};
use runtime::manifest::Method;
use runtime::route_pattern::Segment;

#[derive(Debug)]
pub(super) struct Trie<T> {
    literals: HashMap<Box<str>, Self>,
    parameter: Option<Box<Self>>,
    tail: Vec<(Method, T)>,
    here: Vec<(Method, T)>,
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { literals: HashMap::new(), parameter: None, tail: Vec::new(), here: Vec::new() }
    }
}

impl<T: Clone> Trie<T> {
    /// Adds what answers a pattern; what is there already stays.
    pub(super) fn insert(&mut self, pattern: &[Segment], method: Method, value: &T) {
        let answers = match pattern {
            [] => &mut self.here,
            [Segment::Literal(text), rest @ ..] => {
                return self.literals.entry(text.as_str().into()).or_default().insert(rest, method, value);
            }
            [Segment::Parameter(_), rest @ ..] => {
                return self.parameter.get_or_insert_default().insert(rest, method, value);
            }
            [Segment::Tail(_), ..] => &mut self.tail,
        };
        if answers.iter().all(|(known, _)| *known != method) {
            answers.push((method, value.clone()));
        }
    }
}

impl<T> Trie<T> {
    /// What answers, or the methods that would be answered. No method finds nothing, and all of them.
    pub(super) fn find(&self, path: &[Cow<'_, str>], method: Option<Method>) -> Result<&T, Vec<Method>> {
        let mut others = Vec::new();
        match self.walk(path, method, &mut others) {
            Some(found) => Ok(found),
            None => {
                others.sort_unstable();
                others.dedup();
                Err(others)
            }
        }
    }

    fn walk(&self, path: &[Cow<'_, str>], method: Option<Method>, others: &mut Vec<Method>) -> Option<&T> {
        let [first, rest @ ..] = path else { return pick(&self.here, method, others) };
        if let Some(next) = self.literals.get(&**first)
            && let Some(found) = next.walk(rest, method, others)
        {
            return Some(found);
        }
        // An empty segment, behind a slash at the end, is nobody's parameter.
        if first.is_empty() {
            return None;
        }
        if let Some(next) = &self.parameter
            && let Some(found) = next.walk(rest, method, others)
        {
            return Some(found);
        }
        if path.last().is_some_and(|last| last.is_empty()) {
            return None;
        }
        pick(&self.tail, method, others)
    }
}

fn pick<'a, T>(
    answers: &'a [(Method, T)],
    method: Option<Method>,
    others: &mut Vec<Method>,
) -> Option<&'a T> {
    let found = answers.iter().find(|(known, _)| Some(*known) == method);
    if found.is_none() {
        others.extend(answers.iter().map(|(known, _)| *known));
    }
    found.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use runtime::route_pattern::RoutePattern;

    use super::*;

    fn trie(routes: &[(&str, Method)]) -> Trie<String> {
        let mut trie = Trie::default();
        for (pattern, method) in routes {
            let parsed = RoutePattern::parse(pattern).unwrap();
            trie.insert(parsed.segments(), *method, &format!("{method} {pattern}"));
        }
        trie
    }

    fn cut(path: &str) -> Vec<Cow<'_, str>> {
        path.split('/').skip(1).filter(|_| path != "/").map(Cow::Borrowed).collect()
    }

    #[test]
    fn the_most_specific_pattern_that_has_the_method_answers() {
        let routes = trie(&[
            ("/", Method::Get),
            ("/a", Method::Get),
            ("/a/b", Method::Get),
            ("/a/{x}", Method::Post),
            ("/a/{x}", Method::Get),
            ("/a/{x}/c", Method::Get),
            ("/a/b/d", Method::Get),
            ("/a/{rest*}", Method::Delete),
            ("/a/{rest*}", Method::Get),
        ]);
        let check = |method, path: &str, expected: Result<&str, &[Method]>| {
            let found = routes.find(&cut(path), method);
            let found = found.as_ref().map(|found| found.as_str()).map_err(|others| others.as_slice());
            assert_eq!(found, expected, "{method:?} {path}");
        };
        let get = Some(Method::Get);
        check(get, "/", Ok("GET /"));
        check(get, "/a", Ok("GET /a"));
        check(get, "/a/b", Ok("GET /a/b"));
        check(Some(Method::Post), "/a/b", Ok("POST /a/{x}"));
        check(get, "/a/z", Ok("GET /a/{x}"));
        check(get, "/a/b/c", Ok("GET /a/{x}/c"));
        check(get, "/a/b/d", Ok("GET /a/b/d"));
        check(get, "/a/b/e", Ok("GET /a/{rest*}"));
        check(Some(Method::Delete), "/a/b", Ok("DELETE /a/{rest*}"));
        check(Some(Method::Put), "/a", Err(&[Method::Get]));
        check(Some(Method::Put), "/a/b", Err(&[Method::Get, Method::Post, Method::Delete]));
        check(None, "/a", Err(&[Method::Get]));
        check(get, "/b", Err(&[]));
        check(get, "/a/", Err(&[]));
        check(get, "/a/b/", Err(&[]));
    }

    /// The same by asking every pattern.
    fn naive(routes: &[(RoutePattern, Method)], path: &[Cow<'_, str>], method: Method) -> Option<String> {
        let matches = |pattern: &RoutePattern| {
            let segments = pattern.segments();
            let has_tail = matches!(segments.last(), Some(Segment::Tail(_)));
            let fits = if has_tail { path.len() >= segments.len() } else { path.len() == segments.len() };
            fits && segments.iter().zip(path).all(|(segment, text)| match segment {
                Segment::Literal(literal) => literal == text,
                Segment::Parameter(_) | Segment::Tail(_) => true,
            })
        };
        let fitting = routes.iter().filter(|(pattern, known)| *known == method && matches(pattern));
        fitting.min_by(|(one, _), (other, _)| one.specificity(other)).map(|(pattern, _)| pattern.canonical())
    }

    fn pattern() -> impl Strategy<Value = RoutePattern> {
        let segment = prop_oneof![Just("a"), Just("b"), Just("{}")];
        (proptest::collection::vec(segment, 0..5), any::<bool>()).prop_map(|(segments, tail)| {
            let mut text = String::new();
            for (place, segment) in segments.iter().enumerate() {
                text.push('/');
                text.push_str(&segment.replace("{}", &format!("{{p{place}}}")));
            }
            if tail {
                text.push_str("/{rest*}");
            }
            RoutePattern::parse(if text.is_empty() { "/" } else { &text }).unwrap()
        })
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_asking_every_pattern_finds(
            patterns in proptest::collection::vec((pattern(), any::<bool>()), 0..12),
            path in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 0..6),
        ) {
            let routes: Vec<_> = patterns
                .into_iter()
                .map(|(pattern, get)| (pattern, if get { Method::Get } else { Method::Post }))
                .collect();
            let mut trie = Trie::default();
            for (pattern, method) in &routes {
                trie.insert(pattern.segments(), *method, &pattern.canonical());
            }
            let path: Vec<Cow<'_, str>> = path.into_iter().map(Cow::Borrowed).collect();
            for method in [Method::Get, Method::Post] {
                let found = trie.find(&path, Some(method)).ok().cloned();
                prop_assert_eq!(found, naive(&routes, &path, method));
            }
        }
    }
}
