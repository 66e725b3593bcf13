//! Heat maps: how long answers took, over time, as one SVG without scripts.
//!
//! To the right is time, upwards the logarithm of how long it took; a cell is the darker the more answers are in it.
//!
//! Invariant: a cell that holds anything is seen, however few it holds beside the fullest; what lies beyond the axis is
//! drawn at its edge and not lost.
//! Not here: what counts.

use std::fmt::{self, Write};

use super::axis::Axis;
use super::{BOTTOM, LEFT, RIGHT, TOP, begin, labels, level, right_ticks};

/// Counts over time and the logarithm of a value.
#[derive(Debug, Clone)]
pub struct HeatMap {
    /// What it shows, in a few words.
    pub title: String,
    /// What there is to see, for those who cannot.
    pub description: String,
    /// The axis to the right.
    pub x: Axis,
    /// What is counted upwards, with its unit.
    pub label: String,
    /// How wide a column is, in the unit of the axis to the right.
    pub width: f64,
    /// What was counted.
    pub columns: Vec<Column>,
}

/// What was counted at one time.
#[derive(Debug, Clone)]
pub struct Column {
    /// Where it begins.
    pub at: f64,
    /// Values above zero, and how often each was there.
    pub counts: Vec<(f64, u64)>,
}

/// Rows for a tenfold value.
const ROWS: f64 = 12.0;
/// Shades, of which the first is the lightest.
const SHADES: usize = 9;

impl HeatMap {
    /// The chart as an SVG.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        self.draw(&mut out).expect("a string takes all that is written");
        out
    }

    fn draw(&self, out: &mut String) -> fmt::Result {
        begin(out, (&self.title, &self.description), style)?;
        let ends = self.columns.iter().flat_map(|column| [column.at, column.at + self.width]);
        let x = self.x.scale(ends, LEFT, RIGHT);
        let (low, high) = self.decades();
        let height = (BOTTOM - TOP) / (f64::from(high - low) * ROWS);
        let cells: Vec<_> = self.columns.iter().map(|column| (column.at, cells(column, low, high))).collect();
        let most = cells.iter().flat_map(|(_, cells)| cells).copied().max().unwrap_or(0);
        for (at, cells) in &cells {
            let [left, right] = [*at, at + self.width].map(|value| x.place(value).clamp(LEFT, RIGHT));
            for (row, count) in cells.iter().enumerate().filter(|(_, count)| **count > 0) {
                let (top, width) = (BOTTOM - (row as f64 + 1.0) * height, right - left);
                writeln!(
                    out,
                    "<rect class=\"h{}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>",
                    shade(*count, most)
                )?;
            }
        }
        for decade in low..=high {
            level(out, BOTTOM - f64::from(decade - low) * ROWS * height, 10_f64.powi(decade))?;
        }
        right_ticks(out, &x)?;
        labels(out, &self.x.label, &self.label)?;
        legend(out, most)?;
        writeln!(out, "</svg>")
    }

    /// The powers of ten between which all values lie.
    fn decades(&self) -> (i32, i32) {
        let values = || self.columns.iter().flat_map(|column| &column.counts).map(|(value, _)| *value);
        let usable = |value: &f64| value.is_finite() && *value > 0.0;
        let least = values().filter(usable).fold(f64::INFINITY, f64::min);
        let most = values().filter(usable).fold(0.0, f64::max);
        if most == 0.0 {
            return (0, 1);
        }
        let low = least.log10().floor().clamp(-9.0, 9.0) as i32;
        (low, (most.log10().floor() as i32 + 1).clamp(low + 1, 10))
    }
}

/// What the shades mean, where anything was counted.
fn legend(out: &mut String, most: u64) -> fmt::Result {
    if most == 0 {
        return Ok(());
    }
    writeln!(out, "<text x=\"{LEFT}\" y=\"44\">1</text>")?;
    for shade in 0..SHADES {
        let left = LEFT + 14.0 + 16.0 * shade as f64;
        writeln!(out, "<rect class=\"h{shade}\" x=\"{left}\" y=\"34\" width=\"16\" height=\"12\"/>")?;
    }
    let left = LEFT + 20.0 + 16.0 * SHADES as f64;
    writeln!(out, "<text x=\"{left}\" y=\"44\">{most} in a cell</text>")
}

/// The counts of a column's rows, from the lowest.
fn cells(column: &Column, low: i32, high: i32) -> Vec<u64> {
    let rows = (f64::from(high - low) * ROWS) as usize;
    let mut cells = vec![0; rows];
    for (value, count) in &column.counts {
        // What is zero is as low as can be.
        let up = (value.max(f64::MIN_POSITIVE).log10() - f64::from(low)) * ROWS;
        cells[(up.max(0.0) as usize).min(rows - 1)] += count;
    }
    cells
}

/// The shade of a count, by its logarithm.
fn shade(count: u64, most: u64) -> usize {
    if most <= 1 {
        return SHADES - 1;
    }
    let share = (count as f64).ln() / (most as f64).ln();
    (share * (SHADES - 1) as f64).round() as usize
}

fn style(out: &mut String) -> fmt::Result {
    writeln!(out, "<style>")?;
    writeln!(
        out,
        "text{{font:12px system-ui,sans-serif;fill:#4a4a4a}}.title{{font-size:15px;font-weight:600;fill:#1a1a1a}}"
    )?;
    writeln!(out, ".ground{{fill:#ffffff}}.grid{{stroke:#00000022}}")?;
    for shade in 0..SHADES {
        // From a light to a dark blue; the same steps for the eye.
        let light = 84 - 8 * shade;
        write!(out, ".h{shade}{{fill:hsl(205 75% {light}%)}}")?;
    }
    writeln!(out, "\n@media (prefers-color-scheme:dark){{")?;
    writeln!(
        out,
        "text{{fill:#b8b8b8}}.title{{fill:#f0f0f0}}.ground{{fill:#16181c}}.grid{{stroke:#ffffff22}}"
    )?;
    for shade in 0..SHADES {
        let light = 24 + 8 * shade;
        write!(out, ".h{shade}{{fill:hsl(205 75% {light}%)}}")?;
    }
    writeln!(out, "}}\n</style>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(columns: &[(f64, &[(f64, u64)])]) -> String {
        let columns =
            columns.iter().map(|(at, counts)| Column { at: *at, counts: counts.to_vec() }).collect();
        HeatMap {
            title: "Answers <over> time".into(),
            description: "Most are quick.".into(),
            x: Axis::from_zero("seconds"),
            label: "ms".into(),
            width: 1.0,
            columns,
        }
        .svg()
    }

    /// The cells: their shade, left and top.
    fn cells(svg: &str) -> Vec<String> {
        let body = svg.split("\"ground\"").nth(1).unwrap();
        let rects = body
            .lines()
            .filter(|line| line.starts_with("<rect class=\"h") && !line.contains("height=\"12\""));
        rects.map(|rect| rect.split(" width").next().unwrap().replace("<rect class=", "")).collect()
    }

    #[test]
    fn a_cell_stands_where_its_time_and_its_logarithm_are() {
        // Two decades from 1 to 100, 24 rows of 9 dots; two columns of 342.
        let svg = map(&[(0.0, &[(1.0, 100), (10.5, 1)]), (1.0, &[(99.0, 10)])]);
        assert_eq!(
            cells(&svg),
            [
                "\"h8\" x=\"60.0\" y=\"265.0\"",
                "\"h0\" x=\"60.0\" y=\"157.0\"",
                "\"h4\" x=\"402.0\" y=\"58.0\""
            ]
        );
        for text in [
            ">1</text>",
            ">10</text>",
            ">100</text>",
            ">100 in a cell</text>",
            ">seconds</text>",
            ">ms</text>",
        ] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn values_of_one_cell_are_added_and_zero_is_at_the_bottom() {
        let svg = map(&[(0.0, &[(1.0, 1), (1.01, 1), (0.0, 2)])]);
        assert_eq!(cells(&svg), ["\"h8\" x=\"60.0\" y=\"256.0\""]);
    }

    #[test]
    fn it_says_what_it_is_and_text_is_never_markup() {
        let svg = map(&[]);
        assert!(
            svg.contains("aria-label=\"Answers &lt;over&gt; time\"")
                && svg.contains("<desc>Most are quick.</desc>")
        );
        assert!(
            !svg.contains("<script")
                && svg.contains("prefers-color-scheme:dark")
                && svg.ends_with("</svg>\n")
        );
        assert!(cells(&svg).is_empty());
    }
}
