//! The load test against a server whose delays are known: it tells what is so.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stub::{Manner, Stub};
use tempfile::TempDir;

#[path = "run/stub.rs"]
mod stub;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A place for the files of a test. One test has it at a time, so that none measures another.
struct Desk(TempDir, #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Desk {
    fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self(tempfile::tempdir().unwrap(), alone)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn plan(&self, text: &str) -> PathBuf {
        let path = self.path("plan.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Plays a plan of this rate and time, and gives the results.
    fn play(&self, stub: &Stub, rest: &str, name: &str, options: &[&str]) -> Value {
        let (plan, out) = (self.plan(rest), self.path(name));
        let mut command = command();
        command.arg("run").arg(plan).args(["--target", &stub.url(), "--json"]).arg(&out).args(options);
        let output = command.output().unwrap();
        assert!(output.status.code().is_some_and(|code| code < 2 || code == 5), "{}", told(&output));
        read(&out)
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.stdin(Stdio::null());
    command
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{:?}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// All times of a run, in microseconds.
fn times(results: &Value) -> Histogram<u64> {
    let mut all = Histogram::new(3).unwrap();
    for request in results["requests"].as_object().unwrap().values() {
        let bytes = STANDARD.decode(request["latency_us"].as_str().unwrap()).unwrap();
        let one: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        all.add(&one).unwrap();
    }
    all
}

fn steady(rate: u32, seconds: f64) -> String {
    format!(
        "interval = \"200ms\"\n[[stage]]\nrate = \"{rate}/s\"\nfor = \"{seconds}s\"\n[[request]]\nname = \"a\"\npath = \"/\"\n"
    )
}

/// A timer of the stub goes by milliseconds and is rounded up, and the machine has other work: what is measured is
/// never less than the delay, and seldom more than so much longer.
const MARGIN: Duration = ms(12);

#[test]
fn percentiles_are_those_of_the_delays() {
    for http2 in [false, true] {
        // Of ten, four take 10 ms, three 30, two 60 and one 120.
        let delays = [10, 30, 10, 60, 10, 30, 120, 10, 60, 30].map(ms).to_vec();
        let stub = Stub::start(Manner { delays, http2, ..Manner::default() });
        let options: &[&str] = if http2 { &["--http2"] } else { &[] };
        let results = Desk::new().play(&stub, &steady(200, 5.0), "a.json", options);
        let times = times(&results);
        assert_eq!(times.len(), 1_000);
        assert_eq!(results["protocol"], if http2 { "HTTP/2" } else { "HTTP/1.1" });
        for (quantile, delay) in [(0.2, 10), (0.55, 30), (0.8, 60), (0.95, 120)] {
            let found = times.value_at_quantile(quantile) as f64;
            let [least, most] = [ms(delay), ms(delay) + MARGIN].map(|time| time.as_micros() as f64);
            assert!((least * 0.999..most * 1.001).contains(&found), "{http2} {quantile}: {found} µs");
        }
        assert_eq!(stub.requests.load(Ordering::Relaxed), 1_000);
    }
}

#[test]
fn a_stall_of_a_second_is_seen_by_all_who_came_in_it() {
    let stub = Stub::start(Manner { stall: Some([ms(1_000), ms(2_000)]), ..Manner::default() });
    let results = Desk::new().play(&stub, &steady(100, 4.0), "a.json", &[]);
    let times = times(&results);
    let longer = |than: Duration| times.count_between(than.as_micros() as u64, u64::MAX);
    // A loop that waits for its answers would have asked once in that second.
    for (than, wanted) in [(50, 95), (250, 75), (500, 50), (750, 25), (900, 10)] {
        let found = longer(ms(than));
        assert!(found.abs_diff(wanted) <= 8, "{found} waited longer than {than} ms");
    }
    assert!((980_000..1_200_000).contains(&times.max()), "{}", times.max());
    // And while nothing was answered, as much was asked.
    let quiet = results["intervals"].as_array().unwrap().iter().filter(|slot| slot["ended"] == 0).count();
    assert!(quiet >= 4, "{quiet}");
    assert_eq!((times.len(), &results["summary"]["valid"]), (400, &Value::Bool(true)));
}

#[test]
fn a_generator_that_did_not_keep_up_makes_the_run_invalid() {
    let (stub, desk) = (Stub::start(Manner::default()), Desk::new());
    let mut command = command();
    command.arg("run").arg(desk.plan(&steady(100, 3.0))).args(["--target", &stub.url()]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = Pid::from_child(&running);
    while stub.requests.load(Ordering::Relaxed) < 50 {
        std::thread::sleep(ms(5));
    }
    kill_process(process, Signal::STOP).unwrap();
    std::thread::sleep(ms(500));
    kill_process(process, Signal::CONT).unwrap();
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(told(&output).contains("this machine did not keep up"), "{}", told(&output));
    assert_eq!(output.status.signal(), None);
    // All were sent all the same.
    assert_eq!(stub.requests.load(Ordering::Relaxed), 300);
}

#[test]
fn who_waits_for_a_connection_is_counted_and_not_dropped() {
    let stub = Stub::start(Manner { delays: vec![ms(100)], ..Manner::default() });
    let plan = format!("connections = 2\ntimeout = \"1s\"\n{}", steady(100, 2.0));
    let results = Desk::new().play(&stub, &plan, "a.json", &[]);
    let request = &results["requests"]["a"];
    let count = |name: &str| request[name].as_u64().unwrap();
    assert_eq!((count("asked"), &results["summary"]["valid"]), (200, &Value::Bool(false)));
    assert!(count("unsent") > 50 && count("waited") > 20, "{request}");
    assert_eq!(count("unsent") + request["statuses"]["200"].as_u64().unwrap(), 200);
    assert!(stub.connections.load(Ordering::Relaxed) <= 3);
}

#[test]
fn thresholds_set_the_exit_code() {
    let (stub, desk) = (Stub::start(Manner::default()), Desk::new());
    let check = |thresholds: &str, path: &str, wanted: i32| {
        let stage = "[[stage]]\nrate = \"100/s\"\nfor = \"500ms\"\n";
        let check = "[[request.check]]\nname = \"new\"\npointer = \"/rows/0/name\"\nequals = \"new\"\n";
        let text = format!("thresholds = [{thresholds}]\n{stage}[[request]]\npath = \"{path}\"\n{check}");
        let plan = desk.plan(&text);
        let junit = desk.path("junit.xml");
        let mut command = command();
        command.arg("run").arg(plan).args(["--target", &stub.url(), "--junit"]).arg(&junit);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(wanted), "{thresholds} {path}: {}", told(&output));
        std::fs::read_to_string(junit).unwrap()
    };
    check("\"p50 < 1s\", \"errors == 0\", \"refused == 0\", \"checks.new == 0\", \"rate > 90/s\"", "/", 0);
    check("\"p50 < 1us\"", "/", 1);
    check("\"refused.rate.exceeded == 0\"", "/refused", 1);
    check("\"refused.rate.exceeded == 100%\", \"errors == 0\", \"status.429 == 50\"", "/refused", 0);
    check("\"p99 < 10s\"", "/refused", 1);
    check("\"errors == 100%\", \"checks.new == 50\"", "/failed", 0);
    let junit = check("\"errors < 1%\", \"p50 < 1s\"", "/failed", 1);
    assert!(junit.contains("name=\"errors &lt; 1%\"") && junit.contains("failures=\"1\""), "{junit}");
}

#[test]
fn a_run_ends_when_a_threshold_says_so() {
    let (stub, desk) = (Stub::start(Manner::default()), Desk::new());
    let abort = "thresholds = [{ that = \"errors < 1%\", abort = true, after = \"600ms\" }]\n";
    let plan = format!("{abort}{}", steady(100, 30.0)).replace("\"/\"", "\"/failed\"");
    let results = desk.play(&stub, &plan, "a.json", &[]);
    let why = results["ended_early"].as_str().unwrap();
    // The one that was asked last may not have failed yet.
    assert!(why.starts_with("`errors < 1%` was missed: "), "{why}");
    assert!(results["seconds"].as_f64().unwrap() < 15.0);
}

#[test]
fn what_is_wrong_is_told_before_anything_is_sent() {
    let (stub, desk) = (Stub::start(Manner::default()), Desk::new());
    let good = steady(10, 1.0);
    let check = |plan: &str, options: &[&str], wanted: i32, text: &str| {
        let mut command = command();
        command.arg("run").arg(desk.plan(plan)).args(["--target", &stub.url()]).args(options);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(wanted), "{}", told(&output));
        assert!(told(&output).contains(text), "{text}: {}", told(&output));
    };
    check(
        &format!("thresholds = [\"refusd == 0\"]\n{good}"),
        &[],
        2,
        "plan.toml:1:15: there is nothing called `refusd`",
    );
    check(&format!("thresholds = [\"checks.x == 0\"]\n{good}"), &[], 2, "there is no check `x`");
    check(&good.replace("rate", "raet"), &[], 2, "plan.toml:3:1: unknown field `raet`");
    check(&good.replace("10/s", "10"), &[], 2, "plan.toml:3:8: `10` is no rate");
    check(&good, &["--json", "/nowhere/a.json"], 2, "--json: /nowhere/a.json cannot be written");
    assert_eq!(stub.connections.load(Ordering::Relaxed), 0);
    let gone =
        command().args(["get", "http://127.0.0.1:1/", "--rate", "1/s", "--for", "1s"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(4), "{}", told(&gone));
}

#[test]
fn two_halves_together_are_the_whole() {
    let (stub, desk) = (Stub::start(Manner { delays: vec![ms(1), ms(5)], ..Manner::default() }), Desk::new());
    let plan =
        format!("arrivals = \"random\"\nthresholds = [\"p99 < 1s\", \"errors == 0\"]\n{}", steady(200, 1.0));
    let whole = desk.play(&stub, &plan, "whole.json", &["--quiet"]);
    let halves = ["1/2", "2/2"].map(|share| {
        desk.play(&stub, &plan, &format!("{}.json", &share[..1]), &["--share", share, "--threads", "2"])
    });
    let out = desk.path("merged.json");
    let mut merge = command();
    merge.arg("merge").args([desk.path("1.json"), desk.path("2.json")]).arg("--json").arg(&out);
    let output = merge.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let merged = read(&out);
    let mut added = times(&halves[0]);
    added.add(times(&halves[1])).unwrap();
    assert_eq!(times(&merged), added);
    assert_eq!(merged["thresholds"].as_array().unwrap().len(), 2);
    assert_eq!(merged["summary"]["asked"], whole["summary"]["asked"]);
    for (merged, whole) in
        merged["intervals"].as_array().unwrap().iter().zip(whole["intervals"].as_array().unwrap())
    {
        assert_eq!(
            merged["requests"]["a"]["asked"], whole["requests"]["a"]["asked"],
            "in the same intervals"
        );
    }
    let mut twice = command();
    twice.arg("merge").args([desk.path("1.json"), desk.path("1.json")]);
    assert_eq!(twice.output().unwrap().status.code(), Some(2));
}

#[test]
fn a_comparison_tells_a_difference_from_chance() {
    let desk = Desk::new();
    for (name, delays) in [("a", [20, 40]), ("b", [20, 40]), ("slow", [26, 52])] {
        let stub = Stub::start(Manner { delays: delays.map(ms).to_vec(), ..Manner::default() });
        desk.play(&stub, &steady(100, 4.0), &format!("{name}.json"), &[]);
    }
    let check = |one: &str, other: &str, wanted: i32, text: &str| {
        let files = [one, other].map(|name| desk.path(&format!("{name}.json")));
        let output = command().arg("compare").args(files).args(["--at-least", "10"]).output().unwrap();
        assert!(told(&output).contains(text), "{one} {other}: {}", told(&output));
        assert_eq!(output.status.code(), Some(wanted), "{}", told(&output));
    };
    check("a", "b", 0, "\nno difference shown of 10 % or more");
    check("a", "slow", 1, "\nB is slower");
    check("slow", "a", 0, "\nB is faster");
    std::fs::write(desk.path("b.json"), "{\"format\": \"callboard-loadtest/2\"}").unwrap();
    check("a", "b", 2, "its format is `callboard-loadtest/2`");
}

#[test]
fn results_come_as_files_that_others_read() {
    let (stub, desk) = (Stub::start(Manner::default()), Desk::new());
    let [hgrm, html] = ["a.hgrm", "a.html"].map(|name| desk.path(name));
    let options = ["--metrics", &format!("{}/metrics", stub.url()), "--hgrm", hgrm.to_str().unwrap()];
    let html_options = ["--html", html.to_str().unwrap()];
    let results = desk.play(&stub, &steady(100, 2.0), "a.json", &[&options[..], &html_options].concat());
    assert!(results["metrics"].as_array().unwrap().len() >= 2, "{}", results["metrics"]);
    assert_eq!(results["metrics"][0]["values"]["callboard_lag_seconds"], 0.5);
    let hgrm = std::fs::read_to_string(hgrm).unwrap();
    assert!(hgrm.contains("1/(1-Percentile)") && hgrm.contains("Total count    =          200]"), "{hgrm}");
    let html = std::fs::read_to_string(html).unwrap();
    assert!(!html.contains("<script") && !html.contains("http-equiv"));
    // The heat map, rates, times, and two metrics.
    assert_eq!(html.matches("<img alt=").count(), 5);
    assert!(html.matches("src=").count() == html.matches("src=\"data:").count() && !html.contains("href="));
}

#[test]
fn a_recorded_trace_is_played_again() {
    let (stub, desk) = (Stub::start(Manner::default()), Desk::new());
    std::fs::write(desk.path("trace.txt"), "0 /\n100 /refused GET tv\n{\"ms\": 300, \"path\": \"/x\"}\n")
        .unwrap();
    let plan = "[replay]\nfile = \"trace.txt\"\nspeed = 2\n[[request]]\nname = \"root\"\npath = \"/\"\n";
    let results = desk.play(&stub, plan, "a.json", &[]);
    assert_eq!(results["requests"]["root"]["asked"], 1);
    assert_eq!(results["requests"]["GET"]["refused"]["rate.exceeded"], 1);
    assert_eq!(results["classes"]["tv"]["asked"], 1);
    assert_eq!(results["seconds"], 0.15);
}

#[test]
fn isolation_is_the_p99_of_calm_beside_that_after_it() {
    let desk = Desk::new();
    let plan = |manner: Manner| {
        let stub = Stub::start(manner);
        let that = "[{ that = \"isolation >= 0.5\", of = \"a\" }]";
        let plan = format!("calm = \"2s\"\nthresholds = {that}\n{}", steady(200, 4.0));
        let results = desk.play(&stub, &plan, "a.json", &[]);
        let verdict = &results["thresholds"][0];
        (verdict["found"].as_str().unwrap().parse::<f64>().unwrap(), verdict["held"].as_bool().unwrap())
    };
    // As long before as after: what the machine does beside it may differ, but not a tenfold.
    let always = vec![ms(40)];
    let (score, held) = plan(Manner { delays: always.clone(), ..Manner::default() });
    assert!((0.5..=1.0).contains(&score) && held, "{score}");
    // For a second of the two after the calm nobody is answered: of them one of a hundred waits nearly all of it.
    let stall = Some([ms(2_500), ms(3_500)]);
    let (score, held) = plan(Manner { delays: always, stall, ..Manner::default() });
    assert!((0.03..0.1).contains(&score) && !held, "{score}");
}

#[test]
fn actions_are_run_at_their_times_and_one_that_fails_is_told() {
    let (stub, desk) = (Stub::start(Manner::default()), Desk::new());
    let note = desk.path("note.txt");
    let action = |name: &str, rest: &str| format!("[[action]]\nname = \"{name}\"\n{rest}\n");
    let say = "$LOADTEST_ACTION $LOADTEST_TARGET $(basename $LOADTEST)";
    let write = format!("run = [\"sh\", \"-c\", \"echo {say} >> {}\"]", note.display());
    let plan = |more: &str| {
        let often = action("often", &format!("at = \"500ms\"\nevery = \"500ms\"\ntimes = 3\n{write}"));
        format!("{}{often}{more}", steady(50, 3.0))
    };
    let results = desk.play(&stub, &plan(""), "a.json", &["--actions"]);
    let line = |number| format!("{number} {} loadtest\n", stub.url());
    assert_eq!(std::fs::read_to_string(&note).unwrap(), [1, 2, 3].map(line).concat());
    let acted = results["actions"].as_array().unwrap();
    assert_eq!(acted.len(), 3);
    for (acted, due) in acted.iter().zip([0.5, 1.0, 1.5]) {
        let at = acted["at"].as_f64().unwrap();
        assert!((due..due + 0.4).contains(&at) && acted["failed"].is_null(), "{acted}");
    }

    let run = |more: &str, options: &[&str]| {
        let mut command = command();
        command.arg("run").arg(desk.plan(&plan(more))).args(["--target", &stub.url()]).args(options);
        command.output().unwrap()
    };
    let fails = action("fails", "at = \"1s\"\nrun = [\"sh\", \"-c\", \"echo the door is shut >&2; exit 7\"]");
    let output = run(&fails, &["--actions"]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("1 FAILED: exit status: 7: the door is shut"), "{}", told(&output));
    let output = run(&action("nobody", "at = \"1s\"\nrun = [\"no-such-program\"]"), &["--actions"]);
    assert!(told(&output).contains("`no-such-program` cannot be run"), "{}", told(&output));

    // Nobody runs a stranger's programs by playing their plan.
    let before = stub.requests.load(Ordering::Relaxed);
    let output = run("", &[]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("add `--actions`"), "{}", told(&output));
    assert_eq!(stub.requests.load(Ordering::Relaxed), before);
}

#[test]
fn a_run_that_is_told_to_end_takes_the_programs_that_it_started_with_it() {
    let (stub, desk) = (Stub::start(Manner::default()), Desk::new());
    let note = desk.path("pid.txt");
    let write = format!("run = [\"sh\", \"-c\", \"echo $$ > {}; exec sleep 60\"]", note.display());
    let plan =
        desk.plan(&format!("{}[[action]]\nname = \"sleeps\"\nat = \"100ms\"\n{write}\n", steady(50, 60.0)));
    for told_to_end in [Signal::INT, Signal::TERM] {
        let _ = std::fs::remove_file(&note);
        let mut command = command();
        command.arg("run").arg(&plan).args(["--target", &stub.url(), "--actions"]);
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        let action: u32 = loop {
            assert!(Instant::now() < until, "the action runs");
            match std::fs::read_to_string(&note).unwrap_or_default().trim().parse() {
                Ok(pid) => break pid,
                Err(_) => std::thread::sleep(ms(10)),
            }
        };
        kill_process(Pid::from_child(&run), told_to_end).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(130), "{told_to_end:?}");
        assert!(!Path::new(&format!("/proc/{action}")).exists(), "{told_to_end:?}: the action is gone");
    }
}

#[test]
fn a_run_that_asked_nothing_has_shown_nothing() {
    let (stub, desk) = (Stub::start(Manner::default()), Desk::new());
    let mut command = command();
    command.arg("run").arg(desk.plan(&steady(0, 1.0))).args(["--target", &stub.url()]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(told(&output).contains("INVALID: nothing was asked"), "{}", told(&output));
}

#[test]
fn what_if_tells_who_would_have_been_refused_when_and_by_which_rule() {
    let desk = Desk::new();
    let (quotas, trace) = (desk.path("new.toml"), desk.path("trace.txt"));
    // A hundred calls in a second for ten seconds, where half are let in.
    let lines: String = (0..1_000).map(|call| format!("{} /tv/home GET tv-2015\n", call * 10)).collect();
    std::fs::write(&trace, lines).unwrap();
    let whatif = |text: &str, options: &[&str]| {
        std::fs::write(&quotas, text).unwrap();
        let mut command = command();
        command.arg("whatif").arg("--quotas").arg(&quotas).arg("--trace").arg(&trace).args(options);
        command.output().unwrap()
    };
    let output = whatif("[\"team:tv\"]\nrate = \"50/s\"\nburst = 1\n", &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["arrivals"], 1_000);
    let refused = found["refused"].as_u64().unwrap();
    assert!((495..=505).contains(&refused), "{found}");
    assert_eq!(
        (&found["rules"][0]["rule"], &found["rules"][0]["scope"]),
        (&"rate.team".into(), &"team:tv".into())
    );
    let knee = found["knee"]["times"].as_f64().unwrap();
    assert!((0.45..0.51).contains(&knee), "{found}");

    let output = whatif("[\"team:tv\"]\nrate = \"200/s\"\n", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("1000 let in, 0 refused"), "{}", told(&output));
    let output = whatif("[\"team:tv\"]\nrate = \"200\"\n", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("new.toml:2:8: `rate`"), "{}", told(&output));
}

#[test]
fn the_ceiling_is_a_rate_that_this_machine_makes() {
    let _desk = Desk::new();
    let output = command().args(["ceiling", "--seconds", "1"]).output().unwrap();
    let told = told(&output);
    assert!(output.status.success() && told.contains("1000/s: in time"), "{told}");
}

/// The figures mean nothing in a test; that each is measured does.
#[test]
fn scale_measures_all_that_it_tells() {
    let _desk = Desk::new();
    let output =
        command().args(["scale", "--endpoints", "10,20", "--seconds", "1", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sizes = found["sizes"].as_array().unwrap();
    assert_eq!(sizes.iter().map(|size| size["endpoints"].as_u64().unwrap()).collect::<Vec<_>>(), [10, 20]);
    let measured = sizes.iter().chain(found["threads"].as_array().unwrap());
    for (name, value) in measured.flat_map(|one| one.as_object().unwrap()) {
        // Twenty endpoints may need no page more than ten.
        assert!(value.as_f64().unwrap() > 0.0 || name == "idle_bytes_each", "{name}: {value}");
    }
    assert!(found["cpu_us_rules"].as_f64().unwrap() > 0.0);
}
