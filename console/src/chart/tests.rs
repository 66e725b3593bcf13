use super::*;

fn chart() -> LineChart {
    let line =
        |name: &str, points: &[(f64, f64)], dashed| Line { name: name.into(), points: points.into(), dashed };
    LineChart {
        title: "Limits <of> a & b".into(),
        description: "The limit follows the \"knee\".".into(),
        x: Axis::from_zero("seconds"),
        y: Axis::between("requests", 0.0, 10.0),
        spans: vec![Span { from: 1.0, to: 2.0, name: "brown-out".into() }],
        lines: vec![
            line("knee", &[(0.0, 5.0), (1.0, 5.0), (3.0, 5.0), (4.0, 5.0)], true),
            line("limit", &[(0.0, 2.0), (1.0, f64::NAN), (2.0, 99.0), (4.0, -1.0)], false),
        ],
    }
}

#[test]
fn it_says_what_it_is_to_who_cannot_see_it_and_text_is_never_markup() {
    let svg = chart().svg();
    assert!(svg.contains("role=\"img\" aria-label=\"Limits &lt;of&gt; a &amp; b\""));
    assert!(svg.contains("<title>Limits &lt;of&gt; a &amp; b</title>"));
    assert!(svg.contains("<desc>The limit follows the &quot;knee&quot;.</desc>"));
    assert!(!svg.contains("<script") && svg.contains("prefers-color-scheme:dark"));
}

#[test]
fn a_line_stays_within_the_frame_and_has_a_gap_where_there_is_no_number() {
    let svg = chart().svg();
    let path = svg.lines().find(|line| line.contains("class=\"line l1\"")).unwrap();
    // From the left edge at a fifth of the height; then a new beginning, cut off at the top; then the bottom right.
    assert_eq!(path, "<path class=\"line l1\" d=\"M60.0 230.8M402.0 58.0L744.0 274.0\"/>");
}

#[test]
fn of_a_level_line_only_the_ends_are_drawn() {
    assert!(chart().svg().contains("d=\"M60.0 166.0L744.0 166.0\""));
}

#[test]
fn every_line_stands_in_the_legend_with_its_look() {
    let svg = chart().svg();
    for (class, name) in [("line l0 dashed", "knee"), ("line l1", "limit")] {
        assert!(svg.contains(&format!("<path class=\"{class}\" d=\"M")), "{class}");
        assert!(svg.contains(&format!(">{name}</text>")), "{name}");
    }
    assert!(
        svg.contains(">brown-out</text>")
            && svg.contains(">seconds</text>")
            && svg.contains(">requests</text>")
    );
}

#[test]
fn a_chart_of_nothing_is_a_chart() {
    let empty = LineChart { lines: Vec::new(), spans: Vec::new(), ..chart() };
    assert!(empty.svg().ends_with("</svg>\n"));
}
