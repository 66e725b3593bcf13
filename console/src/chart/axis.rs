//! Axes: from values to places, with ticks at round numbers.
//!
//! Invariant: a scale is never empty, and its ticks lie within it.
//! Not here: drawing.

/// An axis, as it is asked for.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    /// What it counts, with its unit.
    pub label: String,
    /// The least value; the least of the points where it is not given.
    pub least: Option<f64>,
    /// The greatest value; the greatest of the points where it is not given.
    pub most: Option<f64>,
}

/// Where values stand on an axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
    step: f64,
}

/// About so many ticks.
const TICKS: f64 = 6.0;

impl Axis {
    /// An axis from zero to the greatest of the points.
    pub fn from_zero(label: impl Into<String>) -> Self {
        Self { label: label.into(), least: Some(0.0), most: None }
    }

    /// An axis between two values.
    pub fn between(label: impl Into<String>, least: f64, most: f64) -> Self {
        Self { label: label.into(), least: Some(least), most: Some(most) }
    }

    /// The scale that goes from one place to another.
    pub(super) fn scale(&self, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Scale {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        if least > most {
            (least, most) = (0.0, 1.0);
        }
        let (least, most) = (self.least.unwrap_or(least), self.most.unwrap_or(most));
        let most = if most > least { most } else { least + 1.0 };
        Scale { least, most, from, to, step: round_step((most - least) / TICKS) }
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not less.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|round| *round >= step)
        .unwrap_or(10.0 * power)
}

impl Scale {
    pub(super) fn place(&self, value: f64) -> f64 {
        self.from + (value - self.least) / (self.most - self.least) * (self.to - self.from)
    }

    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> {
        let Self { most, step, .. } = *self;
        // A hair more, as a hundred times 0.1 is not ten.
        let count = ((most - self.first()) / step + 1e-9).floor().max(0.0) as u32;
        let first = self.first();
        (0..=count)
            .map(move |tick| first + f64::from(tick) * step)
            .filter(move |tick| *tick <= most * (1.0 + 1e-12) + 1e-12)
    }

    /// A tick with as many digits as tell it from the next one.
    pub(super) fn text(&self, tick: f64) -> String {
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{tick:.digits$}")
    }

    fn first(&self) -> f64 {
        (self.least / self.step - 1e-9).ceil() * self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis, values: &[f64]) -> Vec<String> {
        let scale = axis.scale(values.iter().copied(), 0.0, 100.0);
        scale.ticks().map(|tick| scale.text(tick)).collect()
    }

    #[test]
    fn ticks_stand_at_round_numbers_within_the_axis() {
        assert_eq!(ticks(&Axis::from_zero(""), &[3.0, 240.0]), ["0", "50", "100", "150", "200"]);
        assert_eq!(ticks(&Axis::between("", 0.0, 1.0), &[]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(ticks(&Axis::default(), &[-3.0, 7.0]), ["-2", "0", "2", "4", "6"]);
    }

    #[test]
    fn an_axis_without_a_length_gets_one() {
        for values in [&[][..], &[5.0], &[f64::NAN]] {
            let scale = Axis::default().scale(values.iter().copied(), 10.0, 20.0);
            assert!(scale.place(values.first().copied().unwrap_or(0.0)).is_finite() || values[0].is_nan());
            assert!(scale.ticks().count() >= 2, "{values:?}");
        }
    }

    #[test]
    fn places_go_from_one_end_to_the_other_in_either_direction() {
        let scale = Axis::between("", 10.0, 20.0).scale(std::iter::empty(), 300.0, 100.0);
        assert_eq!([10.0, 15.0, 20.0].map(|value| scale.place(value)), [300.0, 200.0, 100.0]);
    }
}
