//! `drill`: every kind of switch is tried on a canary.

use api::{DrillRequest, DrillRow};

use super::arguments::DrillArguments;
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::clean;

/// `drill`
pub(super) async fn run(arguments: &DrillArguments, out: &Out) -> Result<Exit, Failure> {
    let client = arguments.server.client()?;
    let endpoint = arguments.endpoint.as_ref().map(ToString::to_string);
    let answer = client.drill(&DrillRequest { endpoint }).await?;
    out.result("drill", &answer, |out| {
        let rows: Vec<_> = answer.rows.iter().map(|row| line(row, out)).collect();
        out.table(&["KIND", "STATE", "RESULT", "SET", "RELEASED", "FAULT"], &rows)
    });
    match answer.ok {
        true => Ok(Exit::Done),
        false => Err(Failure::failed(format_args!(
            "not every switch does what it is to do on node {}",
            clean(&answer.node)
        ))),
    }
}

fn line(row: &DrillRow, out: &Out) -> Vec<String> {
    vec![
        row.kind.to_string(),
        row.state.to_string(),
        if row.ok { out.good("ok") } else { out.bad("failed") },
        format!("{} ms", row.set_ms),
        format!("{} ms", row.released_ms),
        row.fault.as_deref().map_or("-".to_owned(), clean),
    ]
}
