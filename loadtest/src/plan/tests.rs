use super::*;

fn read(text: &str) -> Result<Plan, String> {
    let source = Source { file: "plan.toml", text };
    Plan::read(source, "plan", Path::new("")).map_err(|fault| fault.to_string())
}

const REST: &str = "\n[[stage]]\nrate = \"10/s\"\nfor = \"1s\"\n[[request]]\npath = \"/\"\n";

#[test]
fn stages_become_pieces_and_bursts() {
    let plan = read(
        r#"
[[stage]]
rate = "10/s"
for = "10s"
[[stage]]
ramp_to = "20/s"
for = "5s"
[[stage]]
steps = ["30/s", "40/s"]
for = "2s"
burst = 7
every = "3s"
[[stage]]
burst = 9
for = "1s"
[[request]]
path = "/"
"#,
    )
    .unwrap();
    let pieces: Vec<_> = plan.shape.pieces.iter().map(|p| (p.begin, p.length, p.from, p.to)).collect();
    let wanted = [
        (0.0, 10.0, 10.0, 10.0),
        (10.0, 5.0, 10.0, 20.0),
        (15.0, 2.0, 30.0, 30.0),
        (17.0, 2.0, 40.0, 40.0),
        (19.0, 1.0, 0.0, 0.0),
    ];
    assert_eq!(pieces, wanted);
    let bursts: Vec<_> = plan.shape.bursts.iter().map(|burst| (burst.at.as_secs(), burst.count)).collect();
    assert_eq!(bursts, [(15, 7), (18, 7), (19, 9)]);
    assert_eq!(plan.length(), Duration::from_secs(20));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_to_do() {
    for (head, tail, wanted) in [
        ("tiemout = \"1s\"", "", "plan.toml:1:1: unknown field `tiemout`"),
        ("timeout = \"1\"", "", "plan.toml:1:11: `1` is no time"),
        ("timeout = \"1ms\"", "", "plan.toml:1:11: that is too short"),
        ("thresholds = [\"p99 < 1s\",\n \"p98 < 1\"]", "", "plan.toml:2:2: `1` is no bound for `p98`"),
        (
            "thresholds = [{ that = \"p99 < 1s\", of = \"hom\" }]",
            "",
            "plan.toml:1:41: there is no request and no class `hom`",
        ),
        ("thresholds = [{ taht = \"p99 < 1s\" }]", "", "plan.toml:1:17: unknown field `taht`"),
        (
            "thresholds = [{ that = \"max < 1s\", after = \"1s\" }]",
            "",
            "plan.toml:1:44: `after` is for `abort = true`",
        ),
        ("calm = \"1h\"", "", "plan.toml:1:8: nothing comes before or after it"),
        (
            "thresholds = [{ that = \"isolation >= 0.5\", of = \"/\" }]",
            "",
            "plan.toml:1:15: isolation compares with calm, and the plan has none",
        ),
        (
            "calm = \"100ms\"\nthresholds = [\"isolation >= 0.5\"]",
            "",
            "plan.toml:2:15: isolation is that of one request",
        ),
        (
            "calm = \"100ms\"\nthresholds = [{ that = \"isolation >= 2\", of = \"/\" }]",
            "",
            "plan.toml:2:24: `2` is no bound for `isolation`",
        ),
        ("", "wieght = 3", "plan.toml:7:1: unknown field `wieght`"),
        ("", "weight = -1.0", "plan.toml:7:10: that is no weight"),
        ("", "then = \"home\"", "plan.toml:7:8: there is no request `home`"),
        ("", "then = \"/\"", "plan.toml:5:1: these requests follow each other without an end"),
        ("", "think = \"1s\"", "plan.toml:7:9: `think` is the time until the next request"),
        ("", "body = \"{user}\"", "plan.toml:7:8: there is no place `{user}`"),
        (
            "",
            "[[request.check]]\ncontains = \"a\"\npointer = \"/a\"",
            "plan.toml:7:1: `pointer` and `equals` go together",
        ),
        ("", "[[request.check]]\nname = \"x\"", "plan.toml:7:1: the check looks at nothing"),
        ("", "[[request]]\npath = \"/\"", "plan.toml:7:1: there are two requests `/`"),
        ("", "[[stage]]\nfor = \"1s\"", "plan.toml:8:7: the stage asks for nothing"),
        (
            "",
            "[[stage]]\nrate = \"1/s\"\nsteps = [\"1/s\"]\nfor = \"1s\"",
            "plan.toml:8:8: a stage has steps or a rate",
        ),
        ("", "[[stage]]\nrate = \"1\"\nfor = \"1s\"", "plan.toml:8:8: `1` is no rate"),
        ("", "[replay]\nfile = \"x\"", "plan.toml:7:1: a plan has stages or a replay, not both"),
    ] {
        let fault = read(&format!("{head}{REST}{tail}\n")).unwrap_err();
        assert!(fault.starts_with(wanted), "{fault}\n is not\n{wanted}");
        assert!(fault.lines().count() >= 2, "{fault}");
    }
    assert!(read("name = \"x\"").unwrap_err().starts_with("plan.toml: the plan asks for nothing"));
}

#[test]
fn every_plan_that_is_shipped_can_be_played() {
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let mut names = Vec::new();
    let neighbours = std::fs::read_dir(plans.join("neighbours")).unwrap();
    for entry in std::fs::read_dir(plans).unwrap().chain(neighbours) {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let plan = Plan::load(&path).unwrap_or_else(|fault| panic!("{fault}"));
            assert!(!plan.thresholds.is_empty(), "{} has thresholds", plan.name);
            names.push(plan.name);
        }
    }
    let neighbours = names.iter().filter(|name| name.starts_with("neighbour that ")).count();
    assert!(names.len() >= 17 && neighbours == 7, "{names:?}");
}

#[test]
fn the_plan_in_the_documentation_can_be_played() {
    let docs = include_str!("../../../docs/loadtest.md");
    let example = docs.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let plan = read(example).unwrap_or_else(|fault| panic!("{fault}"));
    assert!(plan.requests.len() >= 2 && plan.classes.len() >= 2 && plan.thresholds.len() >= 3);
}
