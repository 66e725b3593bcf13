//! Pictures: what came of scenes and days, as charts and a line of text each.
//!
//! Invariant: a picture shows a run as it was; nothing is smoothed but by whole seconds.
//! Not here: what has to come out (`service::tests`, `node::tests`), how a chart is drawn (`console`).

use console::chart::{Axis, Line, LineChart, Span};

use super::days::{self, RUSH};
use super::node::{self, Slice};
use super::scenes;
use super::service::{self, Second};

/// A run and what it looks like.
pub struct Picture {
    /// Its name, without an ending.
    pub name: &'static str,
    /// What came out, in a line.
    pub found: String,
    /// What it looks like.
    pub chart: LineChart,
}

/// All of them, with this seed.
pub fn all(seed: u64) -> Vec<Picture> {
    let brown_out = scenes::BROWN_OUT.map(|second| second as f64);
    vec![
        limit(
            "limit-steps",
            "The limit follows the service's capacity",
            "The service loses half of its capacity after a minute, has it back after two, and half more after three. \
             The limit is near the knee again within seconds.",
            &service::play(scenes::steps(seed)),
            Vec::new(),
        ),
        limit(
            "limit-overload",
            "The limit stays where it is in an overload that lasts",
            "For more than five minutes ten times as much is asked as the service can do. The limit stays a little \
             above the knee. Every minute it dips, to see whether less is enough.",
            &service::play(scenes::overload(seed)),
            Vec::new(),
        ),
        limit(
            "limit-brown-out",
            "The limit comes back after a brown-out",
            "For three minutes the service has a fifth of its capacity and takes three times as long. The limit falls \
             with it, and is back within fifteen seconds after it.",
            &service::play(scenes::brown_out(seed)),
            vec![Span { from: brown_out[0], to: brown_out[1], name: "brown-out".into() }],
        ),
        limit(
            "limit-too-high",
            "A limit that begins too high comes down",
            "The service can do half of what the limit begins at, so that no request was ever seen that did not queue. \
             The first dip finds out.",
            &service::play(scenes::too_high(seed)),
            Vec::new(),
        ),
        limit(
            "limit-slower",
            "A service that is slower for good is not starved",
            "After a minute each request takes two and a half times as long, and as many can be served at one time. \
             The limit falls, sees that the throughput falls with it, and comes back.",
            &service::play(scenes::slower(seed)),
            Vec::new(),
        ),
        limit(
            "limit-two-kinds",
            "Quick and slow answers",
            "Four of five answers take 5 ms, one takes 60.",
            &service::play(scenes::two_kinds(seed)),
            Vec::new(),
        ),
        limit(
            "limit-outliers",
            "A few answers that take very long",
            "Two in a hundred answers take 150 ms, one takes 300, the others 20.",
            &service::play(scenes::outliers(seed)),
            Vec::new(),
        ),
        idle(seed),
        classes(
            "shed-rush",
            "At ten times the load users do not notice",
            "From second 5 to 35 ten times as much is asked as the node can do. Users' calls go on being answered, \
             background calls are given up, prefetch gets what is left, and the node works as much as it can.",
            &node::play(days::rush(seed)),
        ),
        classes(
            "shed-users",
            "Three times too many users",
            "Users alone ask for three times of what the node can do. A third of them is served, the same ones all the \
             time, and the node works nearly as much as it can.",
            &node::play(days::too_many_users(seed)),
        ),
        classes(
            "shed-prefetch",
            "Twelve times the prefetch",
            "Prefetch rises to twelve times of what it was. Users' calls go on being answered.",
            &node::play(days::prefetched(seed)),
        ),
        recovery(seed),
    ]
}

fn idle(seed: u64) -> Picture {
    let seconds = service::play(scenes::idle(seed));
    let [first, last] = [0, seconds.len() - 1].map(|second| seconds[second].limit);
    let title = "An hour of little traffic";
    let description = "Twenty requests a second do not use the limit, and do not move it.";
    let picture = limit("limit-idle", title, description, &seconds, Vec::new());
    Picture { found: format!("{first} at the beginning of an hour and {last} at its end"), ..picture }
}

fn limit(
    name: &'static str,
    title: &str,
    description: &str,
    seconds: &[Second],
    spans: Vec<Span>,
) -> Picture {
    let line = |name: &str, dashed, value: fn(&Second) -> f64| Line {
        name: name.into(),
        points: seconds.iter().enumerate().map(|(at, second)| (at as f64 + 1.0, value(second))).collect(),
        dashed,
    };
    let settled = &seconds[20..];
    let answered = settled.iter().map(|second| f64::from(second.answered) / second.capacity).sum::<f64>();
    let near = settled.iter().filter(|second| (0.7..=1.3).contains(&(second.limit / second.knee))).count();
    Picture {
        name,
        found: format!(
            "within 0.7 to 1.3 of the knee for {:.0} % of the time, {:.0} % of the capacity used",
            share(near as f64, settled.len() as f64),
            share(answered, settled.len() as f64),
        ),
        chart: LineChart {
            title: title.into(),
            description: description.into(),
            x: Axis::from_zero("seconds"),
            y: Axis::from_zero("requests at one time"),
            spans,
            lines: vec![
                line("knee: all that helps", true, |second| second.knee),
                line("limit", false, |second| second.limit),
            ],
        },
    }
}

fn classes(name: &'static str, title: &str, description: &str, slices: &[Slice]) -> Picture {
    let line = |name: &str, dashed, value: &dyn Fn(&[Slice]) -> f64| Line {
        name: name.into(),
        points: by_second(slices, value),
        dashed,
    };
    let served = |class: usize| move |slices: &[Slice]| answered(slices, class);
    let rush = &slices[RUSH[0] as usize * 10..RUSH[1] as usize * 10];
    Picture {
        name,
        found: format!(
            "in the rush {:.2} % of users' calls answered, {:.1} % of prefetch, {:.2} % of background; {:.0} % of the \
             capacity used",
            answered(rush, 0),
            answered(rush, 1),
            answered(rush, 2),
            goodput(rush),
        ),
        chart: LineChart {
            title: title.into(),
            description: description.into(),
            x: Axis::from_zero("seconds"),
            y: Axis::between("percent", 0.0, 110.0),
            spans: vec![the_rush()],
            lines: vec![
                line("capacity used well", true, &goodput),
                line("background", false, &served(2)),
                line("prefetch", false, &served(1)),
                line("users answered", false, &served(0)),
            ],
        },
    }
}

fn recovery(seed: u64) -> Picture {
    let [with, without] = [days::retried(seed), days::unprotected(seed)].map(node::play);
    let line = |name: &str, slices: &[Slice]| Line {
        name: name.into(),
        points: by_second(slices, &|slices| answered(slices, 0)),
        dashed: false,
    };
    let after = |slices: &[Slice]| answered(&slices[(RUSH[1] as usize + 5) * 10..], 0);
    Picture {
        name: "shed-recovery",
        found: format!(
            "five seconds after the rush {:.1} % of users' calls answered; without protection {:.1} %",
            after(&with),
            after(&without)
        ),
        chart: LineChart {
            title: "After the rush, with clients that ask three times".into(),
            description: "Clients ask again three times at once when they are refused. With protection users are \
                          answered during the rush and after it. Without it hardly anything is answered, even when the \
                          load is long back to what the node can do."
                .into(),
            x: Axis::from_zero("seconds"),
            y: Axis::between("percent of users' calls answered", 0.0, 110.0),
            spans: vec![the_rush()],
            lines: vec![line("with protection", &with), line("without", &without)],
        },
    }
}

fn the_rush() -> Span {
    let [from, to] = RUSH.map(|second| second as f64);
    Span { from, to, name: "rush".into() }
}

fn by_second(slices: &[Slice], value: &dyn Fn(&[Slice]) -> f64) -> Vec<(f64, f64)> {
    slices.chunks(10).enumerate().map(|(second, slices)| (second as f64 + 1.0, value(slices))).collect()
}

/// The percentage of a class's calls that were answered in time.
fn answered(slices: &[Slice], class: usize) -> f64 {
    let sum = |count: fn(&Slice) -> [u32; 3]| {
        slices.iter().map(|slice| f64::from(count(slice)[class])).sum::<f64>()
    };
    let answered = sum(|slice| slice.answered);
    share(answered, answered + sum(|slice| slice.refused) + sum(|slice| slice.late))
}

fn goodput(slices: &[Slice]) -> f64 {
    share(slices.iter().map(|slice| slice.goodput).sum(), slices.len() as f64)
}

fn share(part: f64, of: f64) -> f64 {
    100.0 * part / of
}
