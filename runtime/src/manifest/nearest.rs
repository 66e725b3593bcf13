//! The known name that is nearest to an unknown one.

/// The nearest of the known names, if it is near enough to have been meant.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Names from a file can be of any length, and none that is meant is much longer than what is known.
    let name: Vec<char> = name.chars().take(64).map(|char| char.to_ascii_lowercase()).collect();
    let distances = known.iter().map(|known| (distance(&name, known), *known));
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1.max(nearest.len() / 3)).then_some(nearest)
}

/// How many characters have to be put in, left out, replaced or swapped with their neighbour.
fn distance(name: &[char], known: &str) -> usize {
    let known: Vec<char> = known.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=known.len()).collect();
    for (row, char) in name.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, other) in known.iter().enumerate() {
            let replaced = last[column] + usize::from(char != other);
            let mut least = replaced.min(last[column + 1] + 1).min(this[column] + 1);
            if row > 0 && column > 0 && *char == known[column - 1] && name[row - 1] == *other {
                least = least.min(before[column - 1] + 1);
            }
            this.push(least);
        }
        before = std::mem::replace(&mut last, this);
    }
    last[known.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_found_and_no_other() {
        let known = [
            "name",
            "path",
            "methods",
            "handler",
            "fallback",
            "last_good",
            "priority",
            "services",
            "limits",
            "config",
        ];
        for (name, meant) in [
            ("pth", Some("path")),
            ("paht", Some("path")),
            ("method", Some("methods")),
            ("Handler", Some("handler")),
            ("servcies", Some("services")),
            ("limit", Some("limits")),
            ("timeout", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
        assert_eq!(nearest(&"a".repeat(1 << 20), &known), None);
        assert_eq!(nearest("a", &[]), None);
    }
}
