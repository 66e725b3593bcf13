//! Thresholds as JUnit tests, for whatever shows tests.
//!
//! Invariant: one test for each threshold and one for whether the run is valid at all; a missed one says what was found.
//! Not here: escaping, which the library does.

use anyhow::Context;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{LATE_MAX, Results};

impl Results {
    /// The tests.
    ///
    /// # Errors
    /// None but for a mistake of ours: it is written into memory.
    pub fn junit(&self) -> anyhow::Result<String> {
        let mut cases: Vec<(String, Option<String>)> = self
            .thresholds
            .iter()
            .map(|verdict| {
                let of = verdict.of.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
                (format!("{}{of}", verdict.that), (!verdict.held).then(|| format!("found {}", verdict.found)))
            })
            .collect();
        let late = self.summary.late + self.summary.unsent;
        let why = match self.summary.asked {
            0 => "nothing was asked".to_owned(),
            asked => format!("{late} of {asked} requests were late or unsent"),
        };
        cases.push((format!("late or unsent <= {LATE_MAX}%"), (!self.summary.valid).then_some(why)));
        let failures = cases.iter().filter(|(_, failure)| failure.is_some()).count().to_string();
        let (tests, time) = (cases.len().to_string(), format!("{:.3}", self.seconds));
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let counts = [("tests", tests.as_str()), ("failures", failures.as_str()), ("time", time.as_str())];
        writer.create_element("testsuites").with_attributes(counts).write_inner_content(|writer| {
            let suite = writer.create_element("testsuite").with_attribute(("name", self.plan.as_str()));
            let suite = suite.with_attributes(counts).with_attribute(("timestamp", self.started.as_str()));
            suite.write_inner_content(|writer| {
                for (name, failure) in &cases {
                    let case = writer.create_element("testcase");
                    let case = case.with_attributes([
                        ("name", name.as_str()),
                        ("classname", self.plan.as_str()),
                        ("time", "0"),
                    ]);
                    match failure {
                        None => case.write_empty()?,
                        Some(found) => case.write_inner_content(|writer| {
                            let failure = writer.create_element("failure");
                            let failure = failure.with_attribute(("message", found.as_str()));
                            failure.write_text_content(BytesText::new(found)).map(|_| ())
                        })?,
                    };
                }
                Ok(())
            })?;
            Ok(())
        })?;
        let mut text = String::from_utf8(writer.into_inner()).context("it is text")?;
        text.push('\n');
        Ok(text)
    }
}
