//! `why`: why a device got no answer, by the id that it was told.

use super::arguments::WhyArguments;
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::{clean, when};

/// `why`
pub(super) async fn run(arguments: &WhyArguments, out: &Out) -> Result<Exit, Failure> {
    let decision = arguments.server.client()?.decision(&arguments.id).await?;
    out.result("decision", &decision, |out| {
        let problem = &decision.problem;
        let mut lines = vec![
            format!("{}  {}", out.strong(&clean(&problem.code)), clean(&problem.title)),
            row("at", &when(decision.at)),
            row("rule", &decision.rule),
        ];
        let revision = decision.revision.map(|number| format!(", revision {number}")).unwrap_or_default();
        let endpoint = decision.endpoint.as_ref().map(|endpoint| format!("{endpoint}{revision}"));
        for (name, value) in [
            ("endpoint", endpoint),
            ("scope", problem.scope.clone()),
            ("limit", problem.limit.clone()),
            ("observed", problem.observed.clone()),
            ("since", problem.since.map(when)),
            ("until", problem.until.map(when)),
            ("by", problem.by.clone()),
            ("reason", problem.reason.clone()),
            ("detail", problem.detail.clone()),
        ] {
            lines.extend(value.map(|value| row(name, &value)));
        }
        if let Some(history) = &decision.history {
            let (first, last) = (when(history.first), when(history.last));
            let text = format!("{} times for this endpoint, from {first} to {last}", history.count);
            lines.push(row("lately", &text));
        }
        if let Some(advice) = &problem.advice {
            lines.push(row("advice", advice));
        }
        lines.join("\n")
    });
    Ok(Exit::Done)
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:<9} {}", clean(value))
}
