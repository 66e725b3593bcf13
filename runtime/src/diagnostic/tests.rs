use super::*;

#[test]
fn a_diagnostic_is_shown_with_its_line_a_caret_and_its_hint() {
    let source = "team = \"tv\"\nscript = \"home\"\nendpiont = 1\n";
    let diagnostic = Diagnostic::at("callboard.toml", source, 28..36, "manifest.unknown_key", "unknown key")
        .with_hint("did you mean `endpoint`?".to_owned());
    assert_eq!((diagnostic.line, diagnostic.column, diagnostic.length), (3, 1, 8));
    assert_eq!(
        Diagnostics::from(diagnostic).render(false),
        "\
error[manifest.unknown_key]: unknown key
 --> callboard.toml:3:1
  |
3 | endpiont = 1
  | ^^^^^^^^
  |
  = help: did you mean `endpoint`?"
    );
}

#[test]
fn columns_are_counted_in_characters_and_spans_may_lie_anywhere() {
    let source = "ä = `ö`\r\nlast";
    for (span, place) in [
        (5..9, (1, 5, 3)),
        (6..7, (1, 6, 1)),
        (0..99, (1, 1, 8)),
        (11..15, (2, 1, 4)),
        (99..120, (2, 5, 1)),
        (usize::MAX..usize::MAX, (2, 5, 1)),
    ] {
        let diagnostic = Diagnostic::at("a.rn", source, span.clone(), "script.syntax", "no");
        assert_eq!((diagnostic.line, diagnostic.column, diagnostic.length), place, "{span:?}");
        assert!(
            Diagnostics::from(diagnostic).render(false).contains(&format!("a.rn:{}:{}", place.0, place.1))
        );
    }
    let empty = Diagnostic::at("a.rn", "", 0..0, "script.syntax", "no");
    assert!(Diagnostics::from(empty).render(false).contains("a.rn:1:1"));
}

#[test]
fn nothing_printed_can_steer_a_terminal_or_turn_the_text() {
    let hostile = "a\u{1b}[31m\u{202e}\u{7}b\u{9b}";
    let mut diagnostic =
        Diagnostic::at(hostile, hostile, 0..1, "script.syntax", hostile).with_hint(hostile.to_owned());
    for _ in 0..2 {
        for text in [Diagnostics::from(diagnostic.clone()).render(false), diagnostic.to_string()] {
            assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{text:?}");
        }
        // The fields are public and cross a pipe: what arrives dirty is cleaned when it is printed.
        diagnostic.message = hostile.to_owned();
        diagnostic.excerpt = Some(hostile.to_owned());
        diagnostic.code = hostile.to_owned().into();
    }
    assert!(
        Diagnostics::from(diagnostic).render(true).contains('\u{1b}'),
        "colours are asked for by the caller"
    );
}

#[test]
fn fifty_are_shown_and_the_rest_is_counted_errors_before_warnings() {
    let mut all = Diagnostics::new();
    for number in 0..60 {
        all.push(Diagnostic::whole("a.rn", "script.odd", format!("warning {number}")).warning());
    }
    assert!(!all.has_errors());
    all.push(Diagnostic::whole("a.rn", "script.syntax", "the error"));
    assert!(all.has_errors());
    assert_eq!((all.len(), all.iter().count()), (61, DIAGNOSTICS_MAX));
    let text = all.render(false);
    assert!(text.contains("the error") && text.ends_with("and 11 more"), "{text}");

    let mut twice = all.clone();
    twice.append(all);
    assert_eq!((twice.len(), twice.iter().count()), (122, DIAGNOSTICS_MAX));
}

#[test]
fn a_report_comes_through_a_pipe_as_it_was() {
    let sent: Diagnostics = [
        Diagnostic::at("a.rn", "let x", 4..5, "script.syntax", "no"),
        Diagnostic::whole("b", "c", "d").warning(),
    ]
    .into_iter()
    .collect();
    let bytes = rmp_serde::to_vec_named(&sent).unwrap();
    assert_eq!(rmp_serde::from_slice::<Diagnostics>(&bytes).unwrap(), sent);
}
