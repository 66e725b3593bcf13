//! `[class.NAME]`: classes of devices, by what they send.

use actix_web::http::header::{HeaderName, USER_AGENT};
use quotas::rate::Quota;
use quotas::scope::ClassName;

use super::error::Fault;
use super::limits::burst;
use super::settings::Settings;

/// A class of devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassConfig {
    /// Its name.
    pub name: ClassName,
    /// A header and the value that it has to have.
    pub header: Option<(HeaderName, String)>,
    /// A text that has to stand in the user agent.
    pub user_agent: Option<String>,
    /// The calls of all its devices.
    pub quota: Quota,
}

impl ClassConfig {
    /// Whether a call is of this class, by a look at its headers. What both conditions name has to hold.
    pub fn matches<'a>(&self, header: impl Fn(&HeaderName) -> Option<&'a str>) -> bool {
        let by_header =
            self.header.as_ref().is_none_or(|(name, wanted)| header(name) == Some(wanted.as_str()));
        let by_agent = self
            .user_agent
            .as_ref()
            .is_none_or(|wanted| header(&USER_AGENT).is_some_and(|agent| agent.contains(wanted.as_str())));
        by_header && by_agent
    }
}

/// Reads all classes.
pub(super) fn read(settings: &Settings, faults: &mut Vec<Fault>) -> Vec<ClassConfig> {
    let mut classes = Vec::new();
    for name in settings.instances("class") {
        match class(settings, &name) {
            Ok(class) => classes.push(class),
            Err(fault) => faults.push(fault),
        }
    }
    classes
}

fn class(settings: &Settings, name: &str) -> Result<ClassConfig, Fault> {
    let key = |last: &str| format!("class.{name}.{last}");
    let header = match settings.text(&key("header")) {
        "" => None,
        text => Some(
            header(text)
                .ok_or_else(|| settings.fault(&key("header"), "write it like `x-device-model: tv-2015`"))?,
        ),
    };
    let user_agent =
        Some(settings.text(&key("user_agent"))).filter(|text| !text.is_empty()).map(str::to_owned);
    if header.is_none() && user_agent.is_none() {
        let problem = "a class needs a `header` or a `user_agent`, or it would hold every device";
        return Err(Fault::new(settings.origin(&key("rate")), format!("`class.{name}`: {problem}")));
    }
    Ok(ClassConfig {
        name: name.parse().map_err(|error| settings.fault(&key("header"), error))?,
        header,
        user_agent,
        quota: Quota { rate: settings.typed(&key("rate"))?, burst: burst(settings, &key("burst"))? },
    })
}

/// `Name: value`.
fn header(text: &str) -> Option<(HeaderName, String)> {
    let (name, value) = text.split_once(':')?;
    let (name, value) = (name.trim(), value.trim());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let name = HeaderName::try_from(name).ok().filter(|_| name.bytes().all(plain))?;
    (!value.is_empty()).then(|| (name, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_who_meets_all_of_its_conditions() {
        fn check(class_header: Option<&str>, agent: Option<&str>, sent: &[(&str, &str)], matches: bool) {
            let class = ClassConfig {
                name: "tv-2015".parse().unwrap(),
                header: class_header.and_then(header),
                user_agent: agent.map(str::to_owned),
                quota: Quota { rate: "1/s".parse().unwrap(), burst: 1.try_into().unwrap() },
            };
            let lookup =
                |name: &HeaderName| sent.iter().find(|(known, _)| name == known).map(|(_, value)| *value);
            assert_eq!(class.matches(lookup), matches, "{class:?} {sent:?}");
        }
        let tizen = ("user-agent", "Mozilla Tizen/2.3");
        check(Some("X-Model: tv"), None, &[("x-model", "tv")], true);
        check(Some("X-Model: tv"), None, &[("x-model", "tv2")], false);
        check(Some("X-Model: tv"), None, &[], false);
        check(None, Some("Tizen/2"), &[tizen], true);
        check(None, Some("Tizen/3"), &[tizen], false);
        check(Some("X-Model: tv"), Some("Tizen/2"), &[tizen], false);
        check(Some("X-Model: tv"), Some("Tizen/2"), &[tizen, ("x-model", "tv")], true);
    }

    #[test]
    fn a_header_needs_a_name_and_a_value() {
        assert_eq!(header("X-Model:  tv 1 "), Some((HeaderName::from_static("x-model"), "tv 1".to_owned())));
        for text in ["", "x-model", ":tv", "x-model:", "x model: tv"] {
            assert_eq!(header(text), None, "{text}");
        }
    }
}
