//! Charts: lines over an axis and heat maps, each one SVG without scripts.
//!
//! Invariant: a chart stands alone: it brings its colours for light and dark, says what it is to who cannot see it,
//! and draws nothing outside of its frame.
//! Not here: what is worth drawing.

mod axis;

mod heat_map;

use std::fmt::{self, Write};

pub use self::axis::Axis;
use self::axis::Scale;
pub use self::heat_map::{Column, HeatMap};
use crate::escape::Escaped;

/// Lines over one axis.
#[derive(Debug, Clone)]
pub struct LineChart {
    /// What it shows, in a few words.
    pub title: String,
    /// What there is to see, for those who cannot.
    pub description: String,
    /// The axis to the right.
    pub x: Axis,
    /// The axis upwards.
    pub y: Axis,
    /// Times in which something happened.
    pub spans: Vec<Span>,
    /// The lines, the last one on top.
    pub lines: Vec<Line>,
}

/// A line and its name.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// Its points, from left to right. What is no number makes a gap.
    pub points: Vec<(f64, f64)>,
    /// Whether it is dashed, as what is compared to is.
    pub dashed: bool,
}

/// A part of the axis to the right, shaded.
#[derive(Debug, Clone)]
pub struct Span {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What it is.
    pub name: String,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
/// The frame that lines are drawn in.
const LEFT: f64 = 60.0;
const RIGHT: f64 = WIDTH - 16.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = HEIGHT - 46.0;
/// The width that a letter takes in a legend, generously.
const LETTER: f64 = 6.8;

/// Okabe and Ito's colours, which people with any kind of sight can tell apart, for a light and a dark ground.
const COLOURS: [[&str; 2]; 6] = [
    ["#0072b2", "#56b4e9"],
    ["#d55e00", "#ff8c42"],
    ["#007a5a", "#2ec4a0"],
    ["#a3477f", "#e58fc0"],
    ["#6b6b6b", "#b5b5b5"],
    ["#8a6d00", "#f0e442"],
];

impl LineChart {
    /// The chart as an SVG.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        self.draw(&mut out).expect("a string takes all that is written");
        out
    }

    fn draw(&self, out: &mut String) -> fmt::Result {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let x = self.x.scale(points().map(|point| point.0), LEFT, RIGHT);
        let y = self.y.scale(points().map(|point| point.1), BOTTOM, TOP);
        begin(out, (&self.title, &self.description), style)?;
        self.draw_spans(out, &x)?;
        self.draw_axes(out, &x, &y)?;
        self.draw_lines(out, &x, &y)?;
        self.draw_legend(out)?;
        writeln!(out, "</svg>")
    }

    fn draw_spans(&self, out: &mut String, x: &Scale) -> fmt::Result {
        for span in &self.spans {
            let [from, to] = [span.from, span.to].map(|value| x.place(value).clamp(LEFT, RIGHT));
            let (width, height) = (to - from, BOTTOM - TOP);
            writeln!(
                out,
                "<rect class=\"span\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
            )?;
            let middle = f64::midpoint(from, to);
            let y = TOP + 12.0;
            let name = Escaped(&span.name);
            writeln!(
                out,
                "<text class=\"name\" x=\"{middle:.1}\" y=\"{y}\" text-anchor=\"middle\">{name}</text>"
            )?;
        }
        Ok(())
    }

    fn draw_axes(&self, out: &mut String, x: &Scale, y: &Scale) -> fmt::Result {
        for tick in y.ticks() {
            level(out, y.place(tick), y.text(tick))?;
        }
        right_ticks(out, x)?;
        labels(out, &self.x.label, &self.y.label)
    }

    fn draw_lines(&self, out: &mut String, x: &Scale, y: &Scale) -> fmt::Result {
        for (number, line) in self.lines.iter().enumerate() {
            let mut path = String::new();
            let mut pen = 'M';
            for (number, (right, up)) in line.points.iter().enumerate() {
                let level = |other: usize| line.points.get(other).is_some_and(|(_, beside)| beside == up);
                if number > 0 && level(number - 1) && level(number + 1) {
                    // In the middle of a level line.
                    continue;
                }
                if !right.is_finite() || !up.is_finite() {
                    pen = 'M';
                    continue;
                }
                let place = (x.place(*right).clamp(LEFT, RIGHT), y.place(*up).clamp(TOP, BOTTOM));
                write!(path, "{pen}{:.1} {:.1}", place.0, place.1)?;
                pen = 'L';
            }
            writeln!(out, "<path class=\"{}\" d=\"{path}\"/>", class(number, line))?;
        }
        Ok(())
    }

    fn draw_legend(&self, out: &mut String) -> fmt::Result {
        let mut left = LEFT;
        for (number, line) in self.lines.iter().enumerate() {
            let class = class(number, line);
            writeln!(out, "<path class=\"{class}\" d=\"M{left:.1} 40h22\"/>")?;
            writeln!(
                out,
                "<text class=\"name\" x=\"{:.1}\" y=\"44\">{}</text>",
                left + 28.0,
                Escaped(&line.name)
            )?;
            left += 46.0 + LETTER * line.name.chars().count() as f64;
        }
        Ok(())
    }
}

/// Begins a chart: what it is, its colours, its ground and its title.
fn begin(
    out: &mut String,
    (title, description): (&str, &str),
    style: fn(&mut String) -> fmt::Result,
) -> fmt::Result {
    let title = Escaped(title);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    )?;
    writeln!(out, "<title>{title}</title>\n<desc>{}</desc>", Escaped(description))?;
    style(out)?;
    writeln!(out, "<rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>")?;
    writeln!(out, "<text class=\"title\" x=\"{LEFT}\" y=\"20\">{title}</text>")
}

/// A line across the frame, with the value that it stands for.
fn level(out: &mut String, at: f64, value: impl fmt::Display) -> fmt::Result {
    writeln!(out, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>")?;
    let (left, base) = (LEFT - 8.0, at + 4.0);
    writeln!(out, "<text x=\"{left}\" y=\"{base:.1}\" text-anchor=\"end\">{value}</text>")
}

/// The values along the axis to the right.
fn right_ticks(out: &mut String, x: &Scale) -> fmt::Result {
    x.ticks().into_iter().try_for_each(|tick| {
        let (at, base) = (x.place(tick), BOTTOM + 18.0);
        writeln!(out, "<text x=\"{at:.1}\" y=\"{base}\" text-anchor=\"middle\">{}</text>", x.text(tick))
    })
}

/// What the axes are, to the right and upwards.
fn labels(out: &mut String, right: &str, up: &str) -> fmt::Result {
    let (middle, base, label) = (f64::midpoint(LEFT, RIGHT), HEIGHT - 10.0, Escaped(right));
    writeln!(out, "<text x=\"{middle}\" y=\"{base}\" text-anchor=\"middle\">{label}</text>")?;
    let (middle, label) = (f64::midpoint(TOP, BOTTOM), Escaped(up));
    writeln!(
        out,
        "<text transform=\"translate(14 {middle}) rotate(-90)\" text-anchor=\"middle\">{label}</text>"
    )
}

fn class(number: usize, line: &Line) -> String {
    let dashed = if line.dashed { " dashed" } else { "" };
    format!("line l{}{dashed}", number % COLOURS.len())
}

fn style(out: &mut String) -> fmt::Result {
    writeln!(out, "<style>")?;
    writeln!(
        out,
        "text{{font:12px system-ui,sans-serif;fill:#4a4a4a}}.title{{font-size:15px;font-weight:600;fill:#1a1a1a}}"
    )?;
    writeln!(out, ".ground{{fill:#ffffff}}.grid{{stroke:#e3e3e3}}.span{{fill:#000000;opacity:.05}}")?;
    writeln!(
        out,
        ".line{{fill:none;stroke-width:1.8;stroke-linejoin:round}}.dashed{{stroke-dasharray:6 4}}"
    )?;
    for (number, [light, _]) in COLOURS.iter().enumerate() {
        write!(out, ".l{number}{{stroke:{light}}}")?;
    }
    writeln!(out, "\n@media (prefers-color-scheme:dark){{")?;
    writeln!(out, "text{{fill:#b8b8b8}}.title{{fill:#f0f0f0}}")?;
    writeln!(out, ".ground{{fill:#16181c}}.grid{{stroke:#33363c}}.span{{fill:#ffffff;opacity:.08}}")?;
    for (number, [_, dark]) in COLOURS.iter().enumerate() {
        write!(out, ".l{number}{{stroke:{dark}}}")?;
    }
    writeln!(out, "}}\n</style>")
}

#[cfg(test)]
mod tests;
