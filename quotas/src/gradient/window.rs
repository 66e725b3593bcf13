//! Windows: the samples of a second or more, until they are enough to say something.
//!
//! Invariant: a window that ended lasted at least [`LEAST_TIME`] and holds at least [`LEAST_SAMPLES`]; it takes the
//! same memory however many there are.
//! Not here: what follows from a window (`gradient`).

use std::time::Duration;

use crate::units::Moment;

/// A window is not shorter.
pub(super) const LEAST_TIME: Duration = Duration::from_secs(1);
/// Nor has it fewer samples.
pub(super) const LEAST_SAMPLES: u32 = 50;
/// The share of a window's samples, the fastest, that its time is the mean of.
const COUNTED: f64 = 0.95;

/// Buckets for one power of two: a time is known to 6 %, and of a bucket's times the sum is exact.
const PER_OCTAVE: u64 = 16;
const BUCKETS: usize = 464;

/// The window that is being filled.
#[derive(Debug)]
pub(super) struct Window {
    since: Moment,
    buckets: Box<[Bucket]>,
    samples: u32,
    most_in_flight: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    samples: u32,
    micros: u64,
}

/// What a window that ended has measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// The mean time of its fastest samples, in seconds. More than zero.
    pub(super) time: f64,
    /// Samples in a second.
    pub(super) throughput: f64,
    /// The most requests under way at one time.
    pub(super) most_in_flight: u32,
}

impl Window {
    pub(super) fn new(now: Moment) -> Self {
        Self { since: now, buckets: vec![Bucket::default(); BUCKETS].into(), samples: 0, most_in_flight: 0 }
    }

    pub(super) fn took(&mut self, time: Duration, in_flight: u32) {
        let micros = u64::from(u32::try_from(time.as_micros()).unwrap_or(u32::MAX)).max(1);
        let bucket = &mut self.buckets[place(micros)];
        bucket.samples += 1;
        bucket.micros += micros;
        self.samples += 1;
        self.most_in_flight = self.most_in_flight.max(in_flight);
    }

    /// What was measured, if that is enough; then the next window begins.
    pub(super) fn end(&mut self, now: Moment) -> Option<Measured> {
        let lasted = now.since(self.since);
        if lasted < LEAST_TIME || self.samples < LEAST_SAMPLES {
            return None;
        }
        let measured = Measured {
            time: self.mean_of_fastest(),
            throughput: f64::from(self.samples) / lasted.as_secs_f64(),
            most_in_flight: self.most_in_flight,
        };
        self.buckets.fill(Bucket::default());
        (self.since, self.samples, self.most_in_flight) = (now, 0, 0);
        Some(measured)
    }

    /// In seconds.
    fn mean_of_fastest(&self) -> f64 {
        let counted = f64::from(self.samples) * COUNTED;
        let (mut left, mut micros) = (counted, 0.0);
        for bucket in self.buckets.iter().filter(|bucket| bucket.samples > 0) {
            let taken = left.min(f64::from(bucket.samples));
            micros += bucket.micros as f64 / f64::from(bucket.samples) * taken;
            left -= taken;
        }
        micros / counted / 1e6
    }
}

/// The bucket of a time of at least one microsecond.
fn place(micros: u64) -> usize {
    let octave = u64::from(micros.ilog2());
    let place = match octave.checked_sub(4) {
        None => micros,
        Some(shift) => (octave - 3) * PER_OCTAVE + ((micros >> shift) & (PER_OCTAVE - 1)),
    };
    usize::try_from(place).expect("less than the number of buckets")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::default() + Duration::from_millis(millis)
    }

    #[test]
    fn every_time_has_a_bucket_and_longer_ones_no_earlier_one() {
        let mut before = 0;
        for power in 0..32 {
            for micros in [1 << power, (1 << power) + (1 << power) / 3, (2 << power) - 1] {
                let place = place(micros);
                assert!((before..BUCKETS).contains(&place), "{micros}: {place}");
                before = place;
            }
        }
        assert_eq!(place(u64::from(u32::MAX)), BUCKETS - 1);
    }

    #[test]
    fn a_window_ends_when_it_is_long_enough_and_full_enough() {
        let mut window = Window::new(at(0));
        for _ in 0..LEAST_SAMPLES - 1 {
            window.took(Duration::from_millis(4), 3);
        }
        assert!(window.end(at(5_000)).is_none(), "one sample is missing");
        window.took(Duration::from_millis(4), 7);
        assert!(window.end(at(999)).is_none(), "a millisecond is missing");
        let measured = window.end(at(2_000)).unwrap();
        assert!((measured.time - 0.004).abs() < 1e-9 && (measured.throughput - 25.0).abs() < 1e-9);
        assert_eq!(measured.most_in_flight, 7);
        assert!(window.end(at(9_000)).is_none(), "the next begins empty");
    }

    #[test]
    fn the_slowest_of_a_window_do_not_count() {
        let mut window = Window::new(at(0));
        for sample in 0..100 {
            window.took(Duration::from_millis(if sample < 96 { 10 } else { 300 }), 1);
        }
        assert!((window.end(at(1_000)).unwrap().time - 0.010).abs() < 1e-9);
    }
}
