//! Splitting a text, piece by piece, so that a meter can stop it.
//!
//! Rune's own iterator reads on without a check until it finds the separator, and compares the whole
//! separator at every letter. This one cuts in the same places and charges as it reads.

use rune::Any;
use rune::ToValue;
use rune::alloc::String;
use rune::alloc::clone::TryClone;
use rune::runtime::{Function as RuneFunction, Protocol, Ref, TypeHash, Value, VmError};

use super::cost::Cost;
use super::native::arguments;
use super::table::{Function, free_protocol, protocol};
use crate::fuel;

/// Charges are made after about so many letters.
const LETTERS: u64 = 64;

/// The pieces of a text between its separators.
#[derive(Any)]
#[rune(item = ::std::string)]
pub(super) struct Split {
    /// None once the last piece was given.
    text: Option<Ref<String>>,
    separator: Separator,
    /// Where the next piece begins.
    from: usize,
    /// Where to look for the separator next.
    to: usize,
}

enum Separator {
    Text(String),
    Letter(char),
    Test(RuneFunction),
}

impl Separator {
    /// What looking for it at one letter costs, in eighths of a unit.
    fn cost(&self) -> u64 {
        match self {
            Separator::Text(text) => 1 + u64::try_from(text.len()).unwrap_or(u64::MAX) / 64,
            Separator::Letter(_) => 1,
            Separator::Test(_) => 8,
        }
    }

    /// The length of the separator, if `tail` begins with it.
    fn at(&self, tail: &str, letter: char) -> Result<Option<usize>, VmError> {
        Ok(match self {
            Separator::Text(text) => tail.starts_with(text.as_str()).then_some(text.len()),
            Separator::Letter(wanted) => (letter == *wanted).then_some(letter.len_utf8()),
            Separator::Test(test) => test.call::<bool>((letter,)).into_result()?.then_some(letter.len_utf8()),
        })
    }
}

/// The functions of the iterator.
pub(super) const FUNCTIONS: &[Function] = &[
    protocol(
        &Protocol::NEXT,
        Cost::AsItGoes,
        "charges a unit for eight letters, and one for each letter that is shown to a function",
        r#"let it = "a,b".split(","); (it.next(), it.next(), it.next())"#,
    )
    .ours(next),
    free_protocol(&Protocol::SIZE_HINT, r#""a,b".split(",").size_hint()"#)
        .ours(|_| Ok((0usize, None::<usize>).to_value()?)),
];

/// `String::split` and `String::split_str`
pub(super) fn split(given: &[Value]) -> Result<Value, VmError> {
    let [text, separator] = arguments(given)?;
    let separator = if let Ok(letter) = separator.as_char() {
        Separator::Letter(letter)
    } else if separator.type_hash() == RuneFunction::HASH {
        Separator::Test(separator.borrow_ref::<RuneFunction>()?.try_clone()?)
    } else {
        let text = separator.borrow_ref::<String>()?;
        fuel::charge(u64::try_from(text.len()).unwrap_or(u64::MAX) / 64)?;
        Separator::Text(text.try_clone()?)
    };
    let text = text.clone().into_ref::<String>()?;
    Ok(Value::new(Split { text: Some(text), separator, from: 0, to: 0 })?)
}

fn next(given: &[Value]) -> Result<Value, VmError> {
    let [split] = arguments(given)?;
    fuel::charge(1)?;
    Ok(split.borrow_mut::<Split>()?.next()?.to_value()?)
}

impl Split {
    fn next(&mut self) -> Result<Option<String>, VmError> {
        let Some(text) = &self.text else { return Ok(None) };
        if self.from == text.len() && self.from == self.to {
            self.text = None;
            return Ok(Some(String::new()));
        }
        let (mut work, step) = (0, self.separator.cost());
        while let Some(letter) = text[self.to..].chars().next() {
            work += step;
            if work >= LETTERS {
                fuel::charge(work / 8)?;
                work = 0;
            }
            match self.separator.at(&text[self.to..], letter)? {
                None => self.to += letter.len_utf8(),
                Some(0) => {
                    // An empty separator stands before every letter.
                    let piece = String::try_from(&text[self.from..self.to])?;
                    self.from = self.to;
                    self.to += letter.len_utf8();
                    return Ok(Some(piece));
                }
                Some(length) => {
                    let piece = String::try_from(&text[self.from..self.to])?;
                    self.to += length;
                    self.from = self.to;
                    return Ok(Some(piece));
                }
            }
        }
        let piece = String::try_from(&text[self.from..self.to])?;
        self.from = self.to;
        // After an empty separator one more piece follows: the empty one at the end.
        if !matches!(&self.separator, Separator::Text(text) if text.is_empty()) {
            self.text = None;
        }
        Ok(Some(piece))
    }
}
