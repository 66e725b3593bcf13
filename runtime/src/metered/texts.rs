//! `::std::string`.
//!
//! Not here: how a text is split (`split`).

use rune::alloc::fmt::TryWrite;
use rune::alloc::{Error, String};
use rune::runtime::{Formatter, Function as RuneFunction, Protocol, TypeHash, Value, VmError};
use rune::{FromValue, ToValue};

use super::cost::Cost;
use super::iterators::steps;
use super::letters;
use super::native::{self, arguments, call};
use super::split;
use super::table::{
    BOTH_ENDS, FORWARD, Function, ORDER, Table, Trait, Type, free, nothing, of, protocol, step, with,
};
use crate::fuel;

mod stand_in {
    use rune::Any;

    /// Rune's iterator over the letters of a text.
    #[derive(Any)]
    #[rune(item = ::std::string)]
    pub(crate) struct Chars;
}

const READS: &str = "reads the text";
const COPIES: &str = "copies the text";
const COMPARES: &str = "compares byte by byte";
const APPENDS: &str = "charges a unit for 32 bytes that are added";

const STRING: &[Function] = &[
    of("from", Cost::Copy, COPIES, r#"String::from("abc")"#),
    of("from_str", Cost::Copy, COPIES, r#"String::from_str("abc")"#),
    free("new", "String::new()"),
    of("with_capacity", Cost::Count(0), "allocates as asked", "String::with_capacity(4)"),
    free("len", r#""äb".len()"#),
    of("starts_with", Cost::CopyOf(1), COMPARES, r#"("abc".starts_with("ab"), "abc".starts_with("b"))"#),
    of("ends_with", Cost::CopyOf(1), COMPARES, r#"("abc".ends_with("bc"), "abc".ends_with("b"))"#),
    free("capacity", r#"String::new().capacity()"#),
    free("clear", r#"let s = String::from("a"); s.clear(); s"#),
    of("contains", Cost::Scan, READS, r#"("abc".contains("b"), "abc".contains("x"))"#),
    free("push", r#"let s = String::from("a"); s.push('b'); s"#),
    of("push_str", Cost::AsItGoes, APPENDS, r#"let s = String::from("a"); s.push_str("bc"); s"#).ours(append),
    of("reserve", Cost::Count(1), "allocates as asked", r#"let s = String::from("a"); s.reserve(9); s"#),
    of("reserve_exact", Cost::Count(1), "allocates as asked", r#"let s = String::from("a"); s.reserve_exact(9); s"#),
    of("from_utf8", Cost::Copy, "checks and copies", r#"String::from_utf8(b"abc")"#),
    of("as_bytes", Cost::Copy, COPIES, r#""abc".as_bytes()"#),
    of("into_bytes", Cost::Copy, COPIES, r#"String::from("abc").into_bytes()"#),
    of("shrink_to_fit", Cost::Copy, "may move the text", r#"let s = String::from("a"); s.shrink_to_fit(); s"#),
    free("char_at", r#"("äb".char_at(0), "äb".char_at(1))"#),
    of(
        "split",
        Cost::AsItGoes,
        "constant time; its iterator charges for what it reads",
        r#"("a,b".split(",").collect::<Vec>(), "a b".split(|c| c == ' ').collect::<Vec>(), "xax".split('x').collect::<Vec>())"#,
    )
    .ours(split::split),
    of(
        "split_str",
        Cost::AsItGoes,
        "constant time; its iterator charges for what it reads",
        r#"("ab".split_str("").collect::<Vec>(), "".split_str(",").collect::<Vec>(), "aXXb".split_str("XX").collect::<Vec>())"#,
    )
    .ours(split::split),
    of(
        "split_once",
        Cost::Scan,
        "reads the text; a function is charged for every letter",
        r#"("a=b=c".split_once("="), "äb".split_once(|c| c == 'b'), "ab".split_once('x'), "x".split_once(|c| false))"#,
    )
    .ours(split_once),
    of("trim", Cost::Copy, "reads the ends and copies the rest", r#""  a ".trim()"#),
    of("trim_end", Cost::Copy, "reads the end and copies the rest", r#""  a ".trim_end()"#),
    of(
        "replace",
        Cost::Scan,
        "reads the text; the result is measured before it is made",
        r#"("a-b-c".replace("-", "++"), "ab".replace("", "."), "ab".replace("x", "y"))"#,
    )
    .ours(replace),
    free("is_empty", r#"("".is_empty(), "a".is_empty())"#),
    free("chars", r#""abc".chars().count()"#),
    of("get", Cost::Copy, "copies that part", r#"("abc".get(1..), "ä".get(1..), "abc".get(0..=1))"#),
    with("parse", i64::HASH, Cost::Scan, READS, r#"("12".parse::<i64>(), "x".parse::<i64>().is_err())"#),
    with("parse", f64::HASH, Cost::Scan, READS, r#"("1.5".parse::<f64>(), "x".parse::<f64>().is_err())"#),
    with("parse", char::HASH, Cost::Free, "reads one letter", r#"("a".parse::<char>(), "ab".parse::<char>().is_err())"#),
    of(
        "to_lowercase",
        Cost::AsItGoes,
        "charges a unit for eight letters, and more for a `Σ`",
        r#"["ÄΑΣ", "ΑΣ ΣΑ.Σ.Α Σ' Σ", "ΌΣΟΣ", "Σʰ aΣ\u{301}b aΣ\u{301} aΣʰ", "İ"].iter().map(|s| s.to_lowercase()).collect::<Vec>()"#,
    )
    .ours(letters::to_lowercase),
    of("to_uppercase", Cost::AsItGoes, "charges a unit for eight letters", r#""äßŉ".to_uppercase()"#)
        .ours(letters::to_uppercase),
    protocol(&Protocol::ADD, Cost::AsItGoes, "charges a unit for 32 bytes of both", r#""a" + "b""#).ours(add),
    protocol(&Protocol::ADD_ASSIGN, Cost::AsItGoes, APPENDS, r#"let s = "a"; s += "b"; s"#).ours(append),
    protocol(&Protocol::INDEX_GET, Cost::Copy, "copies that part", r#""abc"[1..]"#),
    protocol(&Protocol::CLONE, Cost::Copy, COPIES, r#""a".clone()"#),
    protocol(&Protocol::PARTIAL_EQ, Cost::CopyOf(0), COMPARES, r#""a".eq("a")"#),
    protocol(&Protocol::EQ, Cost::CopyOf(0), COMPARES, r#"std::ops::eq("a", "b")"#),
    protocol(&Protocol::PARTIAL_CMP, Cost::CopyOf(0), COMPARES, r#"("a" < "b", "b" <= "a")"#),
    protocol(&Protocol::CMP, Cost::CopyOf(0), COMPARES, r#""a".cmp("b")"#),
    protocol(&Protocol::HASH, Cost::CopyOf(0), READS, r#"std::ops::hash("a")"#),
    protocol(&Protocol::DISPLAY_FMT, Cost::AsItGoes, "charges a unit for 32 bytes", r#"let a = "x"; `${a}-${a}`"#)
        .ours(display),
    protocol(&Protocol::DEBUG_FMT, Cost::Scan, "copies letter by letter", r#"format!("{:?}", ["a\n"])"#),
];

/// `::std::string`
pub(super) static TABLE: Table = Table {
    path: &["string"],
    types: &[
        Type::new::<String>("String", &[&[Trait::Clone], ORDER], STRING),
        Type::new::<stand_in::Chars>(
            "Chars",
            &[BOTH_ENDS],
            steps! {
                r#""abc".chars()"#: NEXT "next" NEXT_BACK "next_back"
            },
        ),
        Type::new::<split::Split>("Split", &[FORWARD], split::FUNCTIONS),
    ],
    functions: &[],
    also: nothing,
};

/// Copies a text as Rune does, byte by byte at about a nanosecond each. A long one is copied in pieces: nobody else who
/// has something to do on the thread waits for the whole of it.
fn in_pieces(mut text: &str, mut copy: impl FnMut(&str) -> Result<(), Error>) -> Result<(), VmError> {
    const PIECE: usize = 16 * 1_024;
    const BYTES_PER_UNIT: u64 = 32;
    fuel::charge(1)?;
    while !text.is_empty() {
        let most = text.len().min(PIECE);
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        let (piece, rest) = text.split_at(end);
        fuel::charge(piece.len() as u64 / BYTES_PER_UNIT)?;
        copy(piece)?;
        text = rest;
    }
    Ok(())
}

/// Writes a text where a template or a format wants it.
fn display(given: &[Value]) -> Result<Value, VmError> {
    let [text, to] = arguments(given)?;
    let (text, mut to) = (text.borrow_string_ref()?, to.borrow_mut::<Formatter>()?);
    in_pieces(&text, |piece| to.try_write_str(piece))?;
    Ok(Value::from(()))
}

fn append(given: &[Value]) -> Result<Value, VmError> {
    let [text, more] = arguments(given)?;
    let (mut text, more) = (text.borrow_mut::<String>()?, more.borrow_string_ref()?);
    in_pieces(&more, |piece| text.try_push_str(piece))?;
    Ok(Value::from(()))
}

fn add(given: &[Value]) -> Result<Value, VmError> {
    let [first, second] = arguments(given)?;
    let (first, second) = (first.borrow_string_ref()?, second.borrow_string_ref()?);
    let mut both = String::try_with_capacity(first.len() + second.len())?;
    for text in [&first, &second] {
        in_pieces(text, |piece| both.try_push_str(piece))?;
    }
    Ok(Value::try_from(both)?)
}

/// `String::replace`: Rune's builds the whole result outside of the memory that it counts.
fn replace(given: &[Value]) -> Result<Value, VmError> {
    let [text, from, to] = arguments(given)?;
    let (text, from, to) = (text.borrow_string_ref()?, from.borrow_string_ref()?, to.borrow_string_ref()?);
    let mut found = 0usize;
    for _ in text.matches(&*from) {
        found += 1;
        if found.is_multiple_of(64) {
            fuel::charge(16)?;
        }
    }
    let rest = text.len() - found * from.len();
    let size = found.checked_mul(to.len()).and_then(|new| new.checked_add(rest));
    let size = size.ok_or_else(|| fuel::stop(fuel::Stop::Memory))?;
    fuel::charge(u64::try_from(size).unwrap_or(u64::MAX).min(memory_left()) / 64)?;
    let mut replaced = String::try_with_capacity(size)?;
    let mut copied = 0;
    for (at, old) in text.match_indices(&*from) {
        replaced.try_push_str(&text[copied..at])?;
        replaced.try_push_str(&to)?;
        copied = at + old.len();
    }
    replaced.try_push_str(&text[copied..])?;
    Ok(Value::try_from(replaced)?)
}

fn memory_left() -> u64 {
    u64::try_from(rune::alloc::limit::get()).unwrap_or(u64::MAX)
}

/// `String::split_once`: Rune's for a text or a letter, and a loop that can be stopped for a function.
fn split_once(given: &[Value]) -> Result<Value, VmError> {
    let [text, separator] = arguments(given)?;
    if separator.type_hash() != RuneFunction::HASH {
        let split_once = native::method::<String>("split_once");
        return call(&split_once, [text.clone(), separator.clone()]);
    }
    let test = RuneFunction::from_value(separator.clone())?;
    let text = text.borrow_string_ref()?;
    let mut halves = None;
    for (at, letter) in text.char_indices() {
        fuel::charge(1)?;
        if test.call::<bool>((letter,)).into_result()? {
            let after = at + letter.len_utf8();
            halves = Some((String::try_from(&text[..at])?, String::try_from(&text[after..])?));
            break;
        }
    }
    Ok(halves.to_value()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quotas::units::Fuel;

    use super::*;
    use crate::fuel::{Meter, now_nanos};

    #[test]
    fn a_long_text_is_copied_whole_wherever_its_letters_end_and_costs_by_its_length() {
        const FUEL: u64 = 100_000;
        let until = now_nanos() + Duration::from_secs(10).as_nanos() as u64;
        for (text, least) in [
            (std::string::String::new(), 1),
            ("a".to_owned(), 1),
            ("a".repeat(16 * 1_024), 513),
            ("aä".repeat(20_000), 1_870),
            (format!("a{}", "😀".repeat(10_000)), 1_245),
        ] {
            let mut meter = Meter::new(Fuel::new(FUEL), until, None);
            let mut copied = std::string::String::new();
            let copy = |piece: &str| {
                copied.push_str(piece);
                Ok(())
            };
            meter.enter(|| in_pieces(&text, copy)).unwrap();
            assert!(copied == text, "{} bytes", text.len());
            let cost = FUEL - meter.left().get();
            assert!((least..=least + 8).contains(&cost), "{} bytes cost {cost}", text.len());
        }
    }
}
