//! The known name that is nearest to an unknown one.

/// The nearest of the known names, if it is near enough to have been meant.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(96).map(|char| char.to_ascii_lowercase()).collect();
    let nearest = known.map(|known| (distance(&name, known), known)).min_by_key(|(distance, _)| *distance);
    nearest.filter(|(distance, known)| *distance <= 1.max(known.len() / 3)).map(|(_, known)| known)
}

/// How many characters have to be put in, left out or replaced.
fn distance(name: &[char], known: &str) -> usize {
    let known: Vec<char> = known.chars().collect();
    let mut last: Vec<usize> = (0..=known.len()).collect();
    for (row, char) in name.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, other) in known.iter().enumerate() {
            let replaced = last[column] + usize::from(char != other);
            this.push(replaced.min(last[column + 1] + 1).min(this[column] + 1));
        }
        last = this;
    }
    last[known.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_found_and_no_other() {
        let known = ["device.address", "admin.address", "limits.rate"];
        for (name, meant) in [
            ("device.adress", Some("device.address")),
            ("limit.rate", Some("limits.rate")),
            ("something.else", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
        assert_eq!(nearest("a", std::iter::empty()), None);
    }
}
