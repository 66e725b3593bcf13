//! The known name that somebody probably meant by an unknown one.

/// What is compared of a name, in characters: names from outside can be of any length, and none that is meant is
/// longer than what is known.
const COMPARED: usize = 96;

/// The nearest of the known names, if it is near enough to have been meant: as many characters that are put in, left
/// out, replaced or swapped with their neighbour as a third of it has, and always one.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: String = name.chars().take(COMPARED).map(|char| char.to_ascii_lowercase()).collect();
    let distances = known.into_iter().map(|known| (strsim::osa_distance(&name, known), known));
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1.max(nearest.chars().count() / 3)).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_was_meant_is_found_and_no_other() {
        let known = ["name", "path", "methods", "handler", "services", "limits", "device.address"];
        for (name, meant) in [
            ("pth", Some("path")),
            ("paht", Some("path")),
            ("method", Some("methods")),
            ("Handler", Some("handler")),
            ("servcies", Some("services")),
            ("limit", Some("limits")),
            ("device.adress", Some("device.address")),
            ("timeout", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(nearest(&"a".repeat(1 << 20), known), None);
        assert_eq!(nearest("a", []), None);
    }
}
