//! The debug table of a unit: from each instruction to the author's line that does its work.
//!
//! The compiler's place of an instruction is the whole expression, which begins where its first operand does: of a
//! chain of calls over six lines each call would be on the first. The work of an expression begins where its first
//! operand ends: at the call's own name, the operator, the `?`.

use std::collections::{BTreeMap, BTreeSet};

use rune::{Sources, Unit};

use super::loader::Loader;
use crate::debug_table::Table;

/// Makes the table of a unit that was compiled from these sources.
pub(super) fn of(unit: &Unit, sources: &Sources, loader: &Loader) -> Table {
    let mut table = Table::default();
    let Some(debug) = unit.debug_info() else { return table };
    let mut instructions: Vec<_> = debug.instructions.iter().collect();
    instructions.sort_by_key(|(ip, _)| **ip);
    let mut files = BTreeMap::new();
    for (ip, instruction) in instructions {
        let Some(name) = sources.get(instruction.source_id).map(|source| source.name()) else { continue };
        let Some((text, instrumented)) = loader.source(name) else { continue };
        let number = files.len();
        let file = files.entry(name).or_insert_with(|| File::new(number, text));
        let offset = |at: rune::ast::ByteIndex| instrumented.original(at.into_usize());
        let line = file.line(offset(instruction.span.start), offset(instruction.span.end));
        if table.lines.last().is_none_or(|(_, f, l)| (*f, *l) != (file.number, line)) {
            table.lines.push((u32::try_from(*ip).unwrap_or(u32::MAX), file.number, line));
        }
    }
    let mut names: Vec<_> = files.into_iter().map(|(name, file)| (file.number, name.to_owned())).collect();
    names.sort();
    table.files = names.into_iter().map(|(_, name)| name).collect();
    for (ip, hash) in &debug.functions_rev {
        if let Some(signature) = debug.functions.get(hash) {
            table.functions.push((u32::try_from(*ip).unwrap_or(u32::MAX), signature.path.to_string()));
        }
    }
    for (hash, name) in &debug.hash_to_ident {
        table.names.push((hash.into_inner(), name.to_string()));
    }
    table.names.sort();
    table.functions.sort();
    table
}

/// A file and the expressions in it whose instructions were seen.
struct File<'a> {
    number: u16,
    text: &'a str,
    /// Where its lines begin.
    lines: Vec<usize>,
    /// Beginning and end of each expression.
    seen: BTreeSet<(usize, usize)>,
}

impl<'a> File<'a> {
    fn new(number: usize, text: &'a str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        Self { number: u16::try_from(number).unwrap_or(u16::MAX), text, lines, seen: BTreeSet::new() }
    }

    /// The line, from 1, on which the work of this expression begins. Its operands come before it in the program, so
    /// that they were seen.
    fn line(&mut self, start: usize, end: usize) -> u32 {
        let operand = self.seen.range((start, start + 1)..(start, end.max(start + 1))).next_back();
        let work = operand.and_then(|(_, operand_end)| self.begin_of_code(*operand_end, end));
        self.seen.insert((start, end));
        let line = self.lines.partition_point(|begin| *begin <= work.unwrap_or(start));
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// Where code begins from here on: behind blanks and comments.
    fn begin_of_code(&self, mut at: usize, end: usize) -> Option<usize> {
        loop {
            let rest = self.text.get(at..end)?;
            let blank = rest.len() - rest.trim_start().len();
            let rest = &rest[blank..];
            at += blank;
            at += match (rest.get(..2), rest.is_empty()) {
                (_, true) => return None,
                (Some("//"), _) => rest.find('\n')?,
                (Some("/*"), _) => rest.find("*/")? + 2,
                _ => return Some(at),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_of_an_expression_begins_behind_its_first_operand() {
        let text = "a\n  // b\n  /* c\n */ .d()\n  .e(\n1)";
        let mut file = File::new(0, text);
        let end = |part: &str| text.find(part).unwrap() + part.len();
        assert_eq!(file.line(0, 1), 1);
        assert_eq!(file.line(0, end(".d()")), 4);
        assert_eq!(file.line(end(".e(\n"), end(".e(\n1")), 6);
        assert_eq!(file.line(0, text.len()), 5);
        // The same once more: what was seen is not an operand of itself.
        assert_eq!(file.line(0, text.len()), 5);
        // Places that are none.
        assert_eq!(file.line(3, 1), 2);
        assert_eq!(file.line(900, 1_000), 6);
    }
}
