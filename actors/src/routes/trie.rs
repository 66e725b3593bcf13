//! A tree of segments: from a method and decoded segments to what answers them.
//!
//! Invariant: of all patterns that match, the most specific that has the method is found: segment by segment
//! a literal comes before a parameter and a parameter before a tail. A clone shares all branches, and a change of it
//! copies only the branch that it changes: a deploy among a hundred thousand endpoints costs what one among ten does.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use runtime::manifest::Method;
use runtime::route_pattern::Segment;

#[derive(Debug)]
pub(super) struct Trie<T> {
    literals: HashMap<Arc<str>, Arc<Self>>,
    parameter: Option<Arc<Self>>,
    tail: Answers<T>,
    here: Answers<T>,
}

/// What answers a pattern, by its methods.
type Answers<T> = Vec<(Method, T)>;

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { literals: HashMap::new(), parameter: None, tail: Vec::new(), here: Vec::new() }
    }
}

impl<T: Clone> Clone for Trie<T> {
    fn clone(&self) -> Self {
        Self {
            literals: self.literals.clone(),
            parameter: self.parameter.clone(),
            tail: self.tail.clone(),
            here: self.here.clone(),
        }
    }
}

impl<T: Clone> Trie<T> {
    /// Adds what answers a pattern; what is there already stays.
    pub(super) fn insert(&mut self, pattern: &[Segment], method: Method, value: &T) {
        let answers = match pattern {
            [] => &mut self.here,
            [Segment::Literal(text), rest @ ..] => {
                let next = self.literals.entry(text.as_str().into()).or_default();
                return Arc::make_mut(next).insert(rest, method, value);
            }
            [Segment::Parameter(_), rest @ ..] => {
                return Arc::make_mut(self.parameter.get_or_insert_default()).insert(rest, method, value);
            }
            [Segment::Tail(_), ..] => &mut self.tail,
        };
        if answers.iter().all(|(known, _)| *known != method) {
            // Most patterns have one method for ever.
            answers.reserve_exact(1);
            answers.push((method, value.clone()));
        }
    }

    /// Takes away what answers a pattern.
    pub(super) fn remove(&mut self, pattern: &[Segment], method: Method) {
        match pattern {
            [] => self.here.retain(|(known, _)| *known != method),
            [Segment::Literal(text), rest @ ..] => {
                let Some(next) = self.literals.get_mut(text.as_str()) else { return };
                let branch = Arc::make_mut(next);
                branch.remove(rest, method);
                if branch.is_empty() {
                    self.literals.remove(text.as_str());
                }
            }
            [Segment::Parameter(_), rest @ ..] => {
                let Some(next) = &mut self.parameter else { return };
                let branch = Arc::make_mut(next);
                branch.remove(rest, method);
                if branch.is_empty() {
                    self.parameter = None;
                }
            }
            [Segment::Tail(_), ..] => self.tail.retain(|(known, _)| *known != method),
        }
    }
}

impl<T> Trie<T> {
    fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.parameter.is_none() && self.tail.is_empty() && self.here.is_empty()
    }

    /// What answers the very same paths by a method.
    pub(super) fn get(&self, pattern: &[Segment], method: Method) -> Option<&T> {
        let answers = match pattern {
            [] => &self.here,
            [Segment::Literal(text), rest @ ..] => {
                return self.literals.get(text.as_str())?.get(rest, method);
            }
            [Segment::Parameter(_), rest @ ..] => return self.parameter.as_ref()?.get(rest, method),
            [Segment::Tail(_), ..] => &self.tail,
        };
        answers.iter().find(|(known, _)| *known == method).map(|(_, value)| value)
    }

    /// Finds one of those that answer a path that this pattern matches, too. Looks at no more of the tree than can
    /// overlap: for a pattern of literals that is a few branches.
    pub(super) fn find_overlap<'a>(
        &'a self,
        pattern: &[Segment],
        is_wanted: &mut impl FnMut(Method, &T) -> bool,
    ) -> Option<&'a T> {
        let Some((first, rest)) = pattern.split_first() else { return pick_first(&self.here, is_wanted) };
        // A tail takes whatever is left, and at least one segment.
        if let Some(found) = pick_first(&self.tail, is_wanted) {
            return Some(found);
        }
        match first {
            Segment::Literal(text) => {
                let literal = self.literals.get(text.as_str()).map(|next| &**next);
                let mut branches = literal.into_iter().chain(self.parameter.as_deref());
                branches.find_map(|next| next.find_overlap(rest, is_wanted))
            }
            Segment::Parameter(_) => self.branches().find_map(|next| next.find_overlap(rest, is_wanted)),
            Segment::Tail(_) => self.branches().find_map(|next| {
                pick_first(&next.here, is_wanted).or_else(|| next.find_overlap(pattern, is_wanted))
            }),
        }
    }

    fn branches(&self) -> impl Iterator<Item = &Self> {
        self.literals.values().chain(&self.parameter).map(|next| &**next)
    }
}

fn pick_first<'a, T>(
    answers: &'a [(Method, T)],
    is_wanted: &mut impl FnMut(Method, &T) -> bool,
) -> Option<&'a T> {
    answers.iter().find(|(method, value)| is_wanted(*method, value)).map(|(_, value)| value)
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
    use std::collections::{BTreeMap, BTreeSet};

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

    /// The whole tree, in an order of its own.
    fn text(trie: &Trie<String>) -> String {
        let literals: BTreeMap<_, _> = trie.literals.iter().map(|(name, next)| (name, text(next))).collect();
        let parameter = trie.parameter.as_ref().map(|next| text(next));
        format!("{literals:?} {parameter:?} {:?} {:?}", trie.tail, trie.here)
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

        #[test]
        fn what_overlaps_is_found_as_by_comparing_with_every_pattern(
            patterns in proptest::collection::vec(pattern(), 0..12),
            asked in pattern(),
        ) {
            let mut trie = Trie::default();
            for pattern in &patterns {
                trie.insert(pattern.segments(), Method::Get, &pattern.canonical());
            }
            let mut found = BTreeSet::new();
            // Refuses each one, so that all of them are looked at.
            trie.find_overlap(asked.segments(), &mut |_, pattern| { found.insert(pattern.clone()); false });
            let overlapping = patterns.iter().filter(|pattern| pattern.overlaps(&asked));
            prop_assert_eq!(found, overlapping.map(RoutePattern::canonical).collect());
            let same = patterns.iter().any(|pattern| pattern.canonical() == asked.canonical());
            let got = trie.get(asked.segments(), Method::Get).cloned();
            prop_assert_eq!(got, same.then(|| asked.canonical()));
        }

        #[test]
        fn a_clone_is_not_changed_and_what_is_taken_away_leaves_nothing(
            stay in proptest::collection::vec(pattern(), 0..6),
            go in proptest::collection::vec(pattern(), 0..6),
        ) {
            let build = |patterns: &[RoutePattern]| {
                let mut trie = Trie::default();
                for pattern in patterns {
                    trie.insert(pattern.segments(), Method::Get, &pattern.canonical());
                }
                trie
            };
            let go: Vec<_> = go.into_iter().filter(|one| stay.iter().all(|other| other != one)).collect();
            let both = build(&[stay.clone(), go.clone()].concat());
            let mut changed = both.clone();
            for pattern in &go {
                changed.remove(pattern.segments(), Method::Get);
            }
            prop_assert_eq!(text(&changed), text(&build(&stay)));
            prop_assert_eq!(text(&both), text(&build(&[stay, go].concat())));
        }
    }
}
