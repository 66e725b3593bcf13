//! Templates: paths, headers and bodies that differ from one request to the next.
//!
//! Invariant: what is written follows from the number of the request and the seed alone, so that a run can be had
//! again. A brace that no lower-case letter follows stays a brace, as JSON needs it.
//! Not here: which request is next (`schedule`).

use std::fmt::Write;

use crate::chance::Chance;

/// A text with places that are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Number,
    Random { least: u64, most: u64 },
    Pick(Vec<String>),
}

/// What may stand in braces.
pub const PLACES: &str =
    "a place is `{n}`, `{random 1..1000}` or `{pick red green blue}`, and `{{` is a brace";

impl Template {
    /// A text without letters.
    pub fn empty() -> Self {
        Self(vec![Piece::Text(String::new())])
    }

    /// Reads a template.
    ///
    /// # Errors
    /// A place that is not known or not closed, as a text that says which.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('{') {
                plain.push('{');
                rest = after;
            } else if rest.starts_with(|c: char| c.is_ascii_lowercase()) {
                let end = rest.find('}').ok_or_else(|| format!("`{{{rest}` is not closed"))?;
                let inside = &rest[..end];
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(place(inside).ok_or_else(|| format!("there is no place `{{{inside}}}`"))?);
                rest = &rest[end + 1..];
            } else {
                plain.push('{');
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// The text, when every request has the same.
    pub fn fixed(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text of a request.
    pub fn fill(&self, number: u64, chance: &mut Chance) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Number => {
                    let _ = write!(out, "{number}");
                }
                Piece::Random { least, most } => {
                    let number = least + chance.number() % (most - least + 1);
                    let _ = write!(out, "{number}");
                }
                Piece::Pick(texts) => {
                    out.push_str(&texts[(chance.number() % texts.len() as u64) as usize]);
                }
            }
        }
        out
    }
}

fn place(inside: &str) -> Option<Piece> {
    let (name, rest) = inside.split_once(' ').unwrap_or((inside, ""));
    match name {
        "n" if rest.is_empty() => Some(Piece::Number),
        "random" => {
            let (least, most) = rest.trim().split_once("..")?;
            let (least, most) = (least.parse::<u64>().ok()?, most.parse::<u64>().ok()?);
            (least <= most && most - least < u64::MAX).then_some(Piece::Random { least, most })
        }
        "pick" => {
            let texts: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
            (!texts.is_empty()).then_some(Piece::Pick(texts))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str, number: u64) -> String {
        Template::parse(text).unwrap().fill(number, &mut Chance::new(number))
    }

    #[test]
    fn places_are_filled_and_json_stays_as_it_is() {
        for (text, wanted) in [
            ("/home", "/home"),
            ("/user/{n}?x={n}", "/user/7?x=7"),
            ("{\"a\": {\"b\": {n}}}", "{\"a\": {\"b\": 7}}"),
            ("{{n}", "{n}"),
            ("{random 3..3}", "3"),
            ("{pick only}", "only"),
            ("", ""),
        ] {
            assert_eq!(fill(text, 7), wanted, "{text}");
        }
    }

    #[test]
    fn a_random_number_is_within_its_bounds_and_both_ends_come() {
        let mut seen = [false; 3];
        for number in 0..100 {
            seen[fill("{random 4..6}", number).parse::<usize>().unwrap() - 4] = true;
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn what_is_no_place_is_named() {
        for (text, wanted) in [
            ("/{user}", "there is no place `{user}`"),
            ("/{n", "`{n` is not closed"),
            ("/{random 5..1}", "there is no place `{random 5..1}`"),
            ("/{pick }", "there is no place `{pick }`"),
        ] {
            assert_eq!(Template::parse(text).unwrap_err(), wanted);
        }
    }
}
