//! From an instruction to the author's file, line and function.
//!
//! Made when a unit is compiled, kept as bytes, read when an error needs it.

use bytes::Bytes;
use rune::{Hash, ItemBuf};
use serde::{Deserialize, Serialize};

use crate::error::Place;

/// The table of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The bundle's files, by number.
    pub files: Vec<String>,
    /// The functions by the first of their instructions, sorted.
    pub functions: Vec<(u32, String)>,
    /// Names by their hash, as messages of the virtual machine print it (`0x…`), sorted.
    pub names: Vec<(u64, String)>,
    /// From which instruction on which file and line holds, sorted.
    pub lines: Vec<(u32, u16, u32)>,
}

impl Table {
    /// Where the instruction `ip` comes from.
    pub fn place(&self, ip: usize) -> Option<Place> {
        let ip = u32::try_from(ip).ok()?;
        let function = self.functions.partition_point(|(from, _)| *from <= ip).checked_sub(1);
        let function = function.and_then(|index| self.functions.get(index));
        let begin = function.map_or(0, |(begin, _)| *begin);
        // What a function does before its first line is of that line, not of the last of the function before.
        let mut line = self.lines.partition_point(|(from, ..)| *from <= ip).saturating_sub(1);
        if self.lines.get(line).is_some_and(|(from, ..)| *from < begin) {
            line = (line + 1).min(self.lines.len() - 1);
        }
        let (_, file, line) = self.lines.get(line)?;
        let function = function.map(|(_, name)| name.clone());
        Some(Place { file: self.files.get(usize::from(*file))?.clone(), line: *line, function })
    }
}

impl Table {
    /// The name behind a hash: of something itself, or of something of the type that the message names.
    fn name(&self, hash: u64, of: Option<Hash>) -> Option<&str> {
        if let Ok(place) = self.names.binary_search_by_key(&hash, |(hash, _)| *hash) {
            return Some(&self.names[place].1);
        }
        let of = of?;
        let is_it = |name: u64| Hash::associated_function(of, Hash::new(name)).into_inner() == hash;
        self.names.iter().find(|(name, _)| is_it(*name)).map(|(_, name)| name.as_str())
    }

    /// Puts names where a message of the virtual machine has only their hashes.
    pub fn named(&self, message: &str) -> String {
        let mut out = String::with_capacity(message.len());
        let mut rest = message;
        let of = type_in(message);
        while let Some(at) = rest.find("0x") {
            out.push_str(&rest[..at]);
            rest = &rest[at + 2..];
            let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
            let hash = u64::from_str_radix(&rest[..digits], 16).ok();
            match hash.and_then(|hash| self.name(hash, of)) {
                Some(name) => out.push_str(name),
                None => out.push_str(&format!("0x{}", &rest[..digits])),
            }
            rest = &rest[digits..];
        }
        out.push_str(rest);
        out
    }
}

/// The type that a message ends with: ``… for `::std::future::Future` ``.
fn type_in(message: &str) -> Option<Hash> {
    let path = message.strip_suffix('`')?.rsplit_once('`')?.1.strip_prefix("::")?;
    let (of_crate, rest) = path.split_once("::")?;
    let item = ItemBuf::with_crate_item(of_crate, rest.split("::")).ok()?;
    Some(Hash::type_hash(&item))
}

/// A table that is not read until it is needed.
#[derive(Debug, Clone, Default)]
pub struct DebugTable(Bytes);

impl DebugTable {
    /// A table as it was stored.
    pub fn encoded(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Puts names where a message has only their hashes.
    pub fn named(&self, message: &str) -> String {
        match rmp_serde::from_slice::<Table>(&self.0) {
            Ok(table) if message.contains("0x") => table.named(message),
            _ => message.to_owned(),
        }
    }

    /// Where the instruction `ip` comes from; nothing when the table does not say.
    pub fn place(&self, ip: usize) -> Option<Place> {
        rmp_serde::from_slice::<Table>(&self.0).ok()?.place(ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_found_between_two_lines() {
        let table = Table {
            files: vec!["main.rn".into(), "rows.rn".into()],
            functions: vec![(0, "main::a".into()), (9, "rows::b".into())],
            names: vec![(0xab, "reverse".into())],
            lines: vec![(0, 0, 1), (4, 0, 3), (10, 1, 7)],
        };
        let place = |ip| table.place(ip).map(|place| place.to_string());
        assert_eq!(place(0).as_deref(), Some("main.rn:1 in main::a"));
        assert_eq!(place(5).as_deref(), Some("main.rn:3 in main::a"));
        assert_eq!(place(8).as_deref(), Some("main.rn:3 in main::a"));
        assert_eq!(place(9).as_deref(), Some("rows.rn:7 in rows::b"));
        assert_eq!(place(900).as_deref(), Some("rows.rn:7 in rows::b"));
        assert_eq!(Table::default().place(0), None);
        assert_eq!(table.named("no `0xab` for 0xcd, 0x"), "no `reverse` for 0xcd, 0x");
    }
}
