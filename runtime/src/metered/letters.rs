//! Small and capital letters, letter by letter, so that a meter can stop it.
//!
//! Rune's own `to_lowercase` takes half a microsecond for each `Σ`, whose small form depends on the
//! letters around it. The results are the same.

use rune::alloc::String;
use rune::runtime::{Value, VmError};

use super::native::arguments;
use crate::fuel;

/// So many letters cost one unit.
const LETTERS_PER_UNIT: usize = 8;
/// Charges are made after so many letters.
const LETTERS: usize = 64;
/// What looking at a letter beside a `Σ` costs.
const NEIGHBOUR: u64 = 4;

/// `String::to_lowercase`
pub(super) fn to_lowercase(given: &[Value]) -> Result<Value, VmError> {
    let [text] = arguments(given)?;
    let text = text.borrow_string_ref()?;
    let mut small = String::try_with_capacity(text.len())?;
    for (count, (at, letter)) in text.char_indices().enumerate() {
        charge(count)?;
        if letter == 'Σ' {
            let after = at + letter.len_utf8();
            let ends_a_word =
                meets_letter(text[..at].chars().rev())? && !meets_letter(text[after..].chars())?;
            small.try_push(if ends_a_word { 'ς' } else { 'σ' })?;
        } else {
            letter.to_lowercase().try_for_each(|letter| small.try_push(letter))?;
        }
    }
    Ok(Value::try_from(small)?)
}

/// `String::to_uppercase`
pub(super) fn to_uppercase(given: &[Value]) -> Result<Value, VmError> {
    let [text] = arguments(given)?;
    let text = text.borrow_string_ref()?;
    let mut capital = String::try_with_capacity(text.len())?;
    for (count, letter) in text.chars().enumerate() {
        charge(count)?;
        letter.to_uppercase().try_for_each(|letter| capital.try_push(letter))?;
    }
    Ok(Value::try_from(capital)?)
}

fn charge(count: usize) -> Result<(), VmError> {
    if count.is_multiple_of(LETTERS) { fuel::charge((LETTERS / LETTERS_PER_UNIT) as u64) } else { Ok(()) }
}

/// Whether the first that is not passed over is a letter with a case.
fn meets_letter(letters: impl Iterator<Item = char>) -> Result<bool, VmError> {
    for letter in letters {
        fuel::charge(NEIGHBOUR)?;
        match kind(letter) {
            Kind::Cased => return Ok(true),
            Kind::Other => return Ok(false),
            Kind::PassedOver => {}
        }
    }
    Ok(false)
}

enum Kind {
    /// Has a small and a capital form, and is not passed over.
    Cased,
    /// Counts for nothing: marks, apostrophes, full stops, …
    PassedOver,
    Other,
}

/// The standard library has the tables and does not show them; what it makes of a `Σ` beside the letter
/// tells.
fn kind(letter: char) -> Kind {
    match letter {
        'Σ' | 'a'..='z' | 'A'..='Z' => Kind::Cased,
        '\'' | '.' | ':' | '^' | '`' => Kind::PassedOver,
        '\0'..='\x7f' => Kind::Other,
        _ => {
            let goes_on = |before_end: &str| !format!("aΣ{letter}{before_end}").to_lowercase().contains('ς');
            if goes_on(" ") {
                Kind::Cased
            } else if goes_on("a") {
                Kind::PassedOver
            } else {
                Kind::Other
            }
        }
    }
}
