//! The settings file as YAML, split into single values with their lines, so that each value is
//! checked on its own. This module knows YAML but no setting.

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

/// A node of the file.
#[derive(Debug)]
pub(super) enum Node {
    /// `key:` without a value.
    Null,
    /// A single value, as written.
    Scalar(String),
    /// A list.
    List(Vec<Spanned<Node>>),
    /// Keys with their values.
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// Invalid YAML.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Syntax {
    /// Counted from 1.
    pub(super) line: Option<u64>,
    /// The parser's message.
    pub(super) message: String,
}

/// Reads a whole file.
pub(super) fn parse(text: &str) -> Result<Node, Syntax> {
    // An empty file is null in YAML, but the parser refuses it.
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_comment) {
        return Ok(Node::Null);
    }
    let mut found: Spanned<Node> = serde_saphyr::from_str(text).map_err(|error| Syntax {
        line: error.location().map(|location| location.line()),
        message: first_line(&error.to_string()),
    })?;
    written_as(text, &mut found);
    Ok(found.value)
}

/// Reads what is valid in a file with syntax errors: drops each line that the parser rejects.
pub(super) fn salvage(text: &str) -> Node {
    let mut lines: Vec<&str> = text.lines().collect();
    for _ in 0..lines.len() {
        let Err(Syntax { line, .. }) = parse(&lines.join("\n")) else { break };
        let last = lines.iter().rposition(|line| !line.is_empty());
        let named = line.and_then(|line| usize::try_from(line).ok()?.checked_sub(1));
        let left_out = named.filter(|at| lines.get(*at).is_some_and(|line| !line.is_empty()));
        let Some(at) = left_out.or(last) else { break };
        lines[at] = "";
    }
    parse(&lines.join("\n")).unwrap_or(Node::Null)
}

/// The first line contains place and error; the others illustrate it.
fn first_line(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

/// Keeps a number as written: `12.50`, not 12.5.
fn written_as(text: &str, node: &mut Spanned<Node>) {
    match &mut node.value {
        Node::Null => {}
        Node::Scalar(value) => {
            if let Some(written) = slice(text, node.defined)
                && !written.starts_with(['"', '\'', '|', '>', '!', '&', '*'])
                && !written.contains('\n')
                && value.parse::<f64>().is_ok()
            {
                *value = written.trim().to_owned();
            }
        }
        Node::List(items) => items.iter_mut().for_each(|item| written_as(text, item)),
        Node::Map(entries) => entries.iter_mut().for_each(|(_, value)| written_as(text, value)),
    }
}

fn slice(text: &str, location: Location) -> Option<&str> {
    let span = location.span();
    let begin = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    text.get(begin..begin.checked_add(length)?)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;
        impl<'de> Visitor<'de> for AnyNode {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, a list or keys with values")
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Scalar(value.to_owned()))
            }

            fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Node, E> {
                Err(E::custom("bytes are no setting"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map: Vec<(Spanned<String>, Spanned<Node>)> = Vec::new();
                while let Some((key, value)) = entries.next_entry::<Spanned<String>, _>()? {
                    if map.iter().any(|(known, _)| known.value == key.value) {
                        return Err(A::Error::custom(format!("`{}` is set twice", key.value)));
                    }
                    map.push((key, value));
                }
                Ok(Node::Map(map))
            }
        }
        deserializer.deserialize_any(AnyNode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(node: &Node) -> String {
        match node {
            Node::Null => "null".to_owned(),
            Node::Scalar(text) => format!("{text:?}"),
            Node::List(items) => {
                let items: Vec<_> = items.iter().map(|item| flat(&item.value)).collect();
                format!("[{}]", items.join(", "))
            }
            Node::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| {
                        format!("{}@{}={}", key.value, key.referenced.line(), flat(&value.value))
                    })
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    #[test]
    fn values_are_kept_as_they_are_written_with_the_lines_of_their_keys() {
        let text = "a:\n  money: 12.50\n  size: 20\n  text: '07'\n  on: true\n  none:\nb: {c: [1, \
         x]}\n";
        assert_eq!(
            flat(&parse(text).unwrap()),
            concat!(
                r#"{a@1={money@2="12.50", size@3="20", text@4="07", on@5="true", none@6=null}, "#,
                r#"b@7={c@7=["1", "x"]}}"#
            )
        );
        assert_eq!(flat(&parse("# nothing\n").unwrap()), "null");
    }

    #[test]
    fn an_error_in_the_syntax_has_its_line_and_the_rest_is_salvaged() {
        let text = "hetzner:\n  endpoint: http://x/v1\n  locations: [\nactivity:\n  budget: 5\n";
        assert!(parse(text).unwrap_err().line.is_some());
        let saved = flat(&salvage(text));
        assert!(saved.contains(r#"endpoint@2="http://x/v1""#), "{saved}");
        for hopeless in ["[", "{{{", "\t\t: [", "a: b: c", "\u{0}"] {
            salvage(hopeless);
        }
    }
}
