//! The rules of `ports.include` and `ports.exclude`: which published ports appear here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use api::Protocol;

/// What to do when a local port is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// The container does not start, as with a local engine. `fail` is the name in older versions.
    #[default]
    #[serde(alias = "fail")]
    Error,
    /// The next available port, from 1000 above it, is used instead.
    Increment,
}

/// A rule, written `[CONTAINER:]PORT[-PORT][/tcp|/udp]`. The port is the published one; in the
/// container's name `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    container: Option<String>,
    from: u16,
    to: u16,
    protocol: Option<Protocol>,
}

/// Invalid notation of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{rule:?} is no rule for ports: {why}; write [CONTAINER:]PORT[-PORT][/tcp|/udp], such as \
    8080, web:8000-8999 or 53/udp"
)]
pub struct RuleError {
    rule: String,
    why: &'static str,
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let wrong = |why| RuleError { rule: text.to_owned(), why };
        let (container, rest) = match text.rsplit_once(':') {
            Some(("", _)) => return Err(wrong("the container's name is empty")),
            Some((container, rest)) => (Some(container.to_owned()), rest),
            None => (None, text),
        };
        let (ports, protocol) = match rest.split_once('/') {
            Some((ports, protocol)) => (
                ports,
                Some(protocol.parse().map_err(|_| wrong("the protocol is neither tcp nor udp"))?),
            ),
            None => (rest, None),
        };
        let (from, to) = ports.split_once('-').unwrap_or((ports, ports));
        let number = |text: &str| {
            text.parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| wrong("a port is a number from 1 to 65535"))
        };
        let (from, to) = (number(from)?, number(to)?);
        if from > to {
            return Err(wrong("the range ends before it begins"));
        }
        Ok(Self { container, from, to, protocol })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(container) = &self.container {
            write!(f, "{container}:")?;
        }
        write!(f, "{}", self.from)?;
        if self.to != self.from {
            write!(f, "-{}", self.to)?;
        }
        self.protocol.map_or(Ok(()), |protocol| write!(f, "/{protocol}"))
    }
}

impl Rule {
    fn matches(&self, container: &str, protocol: Protocol, port: u16) -> bool {
        (self.from..=self.to).contains(&port)
            && self.protocol.is_none_or(|own| own == protocol)
            && self.container.as_deref().is_none_or(|pattern| like(container, pattern))
    }
}

/// Whether a name matches a pattern in which `*` stands for any text.
fn like(name: &str, pattern: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return name == pattern };
    let Some(rest) = name.strip_prefix(before) else { return false };
    (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| like(&rest[at..], after))
}

/// All rules. Without rules every published port appears.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// If not empty, only ports that match one of these appear.
    pub include: Vec<Rule>,
    /// Ports that match one of these do not appear, whatever `include` says.
    pub exclude: Vec<Rule>,
}

impl Rules {
    pub(crate) fn admit(&self, container: &str, protocol: Protocol, port: u16) -> bool {
        let named =
            |rules: &[Rule]| rules.iter().any(|rule| rule.matches(container, protocol, port));
        (self.include.is_empty() || named(&self.include)) && !named(&self.exclude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<Rule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn exclude_wins_over_include_and_an_empty_include_means_all() {
        let all =
            Rules { include: Vec::new(), exclude: rules(&["5432", "db*:6000-6999", "53/udp"]) };
        assert!(
            all.admit("web", Protocol::Tcp, 8080)
                && all.admit("web", Protocol::Tcp, 6379)
                && all.admit("dns", Protocol::Tcp, 53)
        );
        assert!(
            !all.admit("web", Protocol::Tcp, 5432)
                && !all.admit("db-1", Protocol::Tcp, 6379)
                && !all.admit("dns", Protocol::Udp, 53)
        );
        let some =
            Rules { include: rules(&["8000-8999", "*-api-*:80/tcp"]), exclude: rules(&["8443"]) };
        assert!(some.admit("x", Protocol::Udp, 8000) && some.admit("a-api-1", Protocol::Tcp, 80));
        assert!(
            !some.admit("x", Protocol::Tcp, 8443)
                && !some.admit("a-web-1", Protocol::Tcp, 80)
                && !some.admit("x", Protocol::Tcp, 9000)
        );
    }

    #[test]
    fn a_rule_displays_its_notation_and_invalid_ones_are_refused_with_the_form() {
        for text in ["8080", "web:80-90/tcp", "*:53/udp"] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        for bad in ["", "x", "0", "70000", "90-80", ":80", "80/sctp", "80-", "web:"] {
            assert!(
                bad.parse::<Rule>().unwrap_err().to_string().contains("such as 8080"),
                "{bad:?}"
            );
        }
    }
}
