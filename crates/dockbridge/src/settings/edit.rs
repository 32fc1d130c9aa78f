//! Changes one value in the text of the settings file, so that comments, order and everything else
//! stay as the user wrote them. The parser gives the places of the keys. What the changed text
//! means is compared with what it should mean: a form that this module does not know is refused,
//! never damaged. It knows YAML but no setting.

use std::collections::BTreeMap;

use serde_saphyr::{Location, Spanned};

use super::kind::Written;
use super::span::{Entry, Value, start_of_line};
use super::tree::{Node, Syntax, parse};

/// Columns that a new entry is indented by, where the file shows no other indentation.
const INDENTATION: usize = 2;

/// The names of one key on the path to a value; a new key gets the first one.
pub(super) type Names<'a> = Vec<&'a str>;

/// A text that cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum NotEdited {
    /// It is not YAML.
    #[error("{0}")]
    Syntax(String),
    /// It is written in a form that only an editor can change safely.
    #[error("the file is written in a form in which one value cannot be changed safely")]
    Form,
}

impl From<Syntax> for NotEdited {
    fn from(Syntax { message, .. }: Syntax) -> Self {
        Self::Syntax(message)
    }
}

type Entries = [(Spanned<String>, Spanned<Node>)];

/// The text with another value at a path. Keys that are missing are added behind the others of
/// their map.
pub(super) fn set(text: &str, path: &[Names<'_>], value: &Written) -> Result<String, NotEdited> {
    let root = parse(text)?;
    let mut changed = changed(text, &root, path, value)?;
    if !changed.ends_with('\n') {
        changed.push('\n');
    }
    let mut meant = values_of(&root);
    let name =
        path_in(&meant, path).unwrap_or_else(|| path.iter().map(|of| of[0].into()).collect());
    meant.insert(name, value.clone());
    confirmed(changed, &meant)
}

/// The text without the value at a path, and without the maps that it leaves empty; `None` if
/// there is no such value.
pub(super) fn unset(text: &str, path: &[Names<'_>]) -> Result<Option<String>, NotEdited> {
    let root = parse(text)?;
    let mut meant = values_of(&root);
    let Some(name) = path_in(&meant, path) else { return Ok(None) };
    meant.remove(&name);
    let range = match &root {
        Node::Map(entries) => removal(text, entries, is_flow(text), path)?.range,
        _ => return Err(NotEdited::Form),
    };
    let changed = format!("{}{}", &text[..range.start], &text[range.end..]);
    confirmed(changed, &meant).map(Some)
}

/// The text, if it means what it should.
fn confirmed(text: String, meant: &BTreeMap<Vec<String>, Written>) -> Result<String, NotEdited> {
    match parse(&text) {
        Ok(node) if values_of(&node) == *meant => Ok(text),
        Ok(_) | Err(_) => Err(NotEdited::Form),
    }
}

fn path_in(values: &BTreeMap<Vec<String>, Written>, path: &[Names<'_>]) -> Option<Vec<String>> {
    let is_at = |found: &&Vec<String>| {
        found.len() == path.len()
            && found.iter().zip(path).all(|(key, names)| names.contains(&key.as_str()))
    };
    values.keys().find(is_at).cloned()
}

/// All values with their paths. A key without a value, and a list of anything but single values,
/// count as absent and as empty.
fn values_of(node: &Node) -> BTreeMap<Vec<String>, Written> {
    fn walk(node: &Node, path: &mut Vec<String>, found: &mut BTreeMap<Vec<String>, Written>) {
        match node {
            Node::Null => {}
            Node::Scalar(text) => {
                found.insert(path.clone(), Written::Single(text.clone()));
            }
            Node::List(items) => {
                let texts = items.iter().map(|item| match &item.value {
                    Node::Scalar(text) => text.clone(),
                    _ => String::new(),
                });
                found.insert(path.clone(), Written::List(texts.collect()));
            }
            Node::Map(entries) => {
                for (key, value) in entries {
                    path.push(key.value.clone());
                    walk(&value.value, path, found);
                    path.pop();
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(node, &mut Vec::new(), &mut found);
    found
}

/// Whether the outermost map is in braces.
fn is_flow(text: &str) -> bool {
    let content = text.lines().find(|line| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#') && !line.starts_with("---")
    });
    content.is_some_and(|line| line.trim_start().starts_with('{'))
}

/// Where a map is, for a new entry.
struct Map<'a> {
    entries: &'a Entries,
    /// The offset of the brace, for a map in braces.
    brace: Option<usize>,
}

fn changed(
    text: &str,
    root: &Node,
    path: &[Names<'_>],
    value: &Written,
) -> Result<String, NotEdited> {
    let entries: &Entries = match root {
        Node::Map(entries) => entries,
        // Nothing but comments.
        Node::Null => return Ok(inserted(text, text.len(), &block(0, INDENTATION, path, value))),
        Node::Scalar(_) | Node::List(_) => return Err(NotEdited::Form),
    };
    let step = indentation(text, entries);
    let brace = is_flow(text).then(|| text.find('{')).flatten();
    let mut map = Map { entries, brace };
    for (depth, names) in path.iter().enumerate() {
        let rest = &path[depth..];
        let is_this = |(key, _): &&(Spanned<String>, _)| names.contains(&key.value.as_str());
        let Some((key, found)) = map.entries.iter().find(is_this) else {
            return added(text, &map, step, rest, value);
        };
        let entry = Entry::of(text, offset(key.referenced)?, &key.value, map.brace.is_some())
            .ok_or(NotEdited::Form)?;
        if rest.len() == 1 {
            return Ok(replaced(text, &entry, &inline(value, map.brace.is_some())));
        }
        map = match (&found.value, &entry.value) {
            (Node::Map(entries), Value::Inline(range)) => Map { entries, brace: Some(range.start) },
            (Node::Map(entries), Value::Below { .. }) => Map { entries, brace: None },
            (Node::Null, Value::Below { line_end, .. }) => {
                let lines = block(entry.column + step, step, &rest[1..], value);
                return Ok(inserted(text, *line_end, &lines));
            }
            _ => return Err(NotEdited::Form),
        };
    }
    Err(NotEdited::Form)
}

/// A new entry behind the others of its map; in braces, before them.
fn added(
    text: &str,
    map: &Map<'_>,
    step: usize,
    path: &[Names<'_>],
    value: &Written,
) -> Result<String, NotEdited> {
    if let Some(brace) = map.brace {
        let after = brace + 1;
        let separator = if map.entries.is_empty() { "" } else { ", " };
        let entry = flow(path, value);
        return Ok(format!("{}{entry}{separator}{}", &text[..after], &text[after..]));
    }
    let ((first, _), (last, _)) =
        map.entries.first().zip(map.entries.last()).ok_or(NotEdited::Form)?;
    let first = offset(first.referenced)?;
    let column = first - start_of_line(text, first);
    let last = Entry::of(text, offset(last.referenced)?, &last.value, false);
    let end = last.ok_or(NotEdited::Form)?.end_of_last_line(text);
    Ok(inserted(text, end, &block(column, step, path, value)))
}

/// Lines behind the line that ends at an offset.
fn inserted(text: &str, at: usize, lines: &str) -> String {
    let (before, after) = (&text[..at], &text[at..]);
    match before.is_empty() || before.ends_with('\n') {
        true => format!("{before}{lines}\n{after}"),
        false => format!("{before}\n{lines}{after}"),
    }
}

fn replaced(text: &str, entry: &Entry, value: &str) -> String {
    match &entry.value {
        // A key without a value in braces has no blank behind its colon.
        Value::Inline(range) if range.start == entry.colon_end => {
            format!("{} {value}{}", &text[..range.start], &text[range.end..])
        }
        Value::Inline(range) => format!("{}{value}{}", &text[..range.start], &text[range.end..]),
        // A comment on the line of the key stays.
        Value::Below { line_end, end } => {
            let comment = &text[entry.colon_end..*line_end];
            format!("{} {value}{comment}{}", &text[..entry.colon_end], &text[*end..])
        }
    }
}

/// What to remove for a value.
struct Removal {
    range: std::ops::Range<usize>,
    /// Whether nothing of the map is left.
    is_all: bool,
}

/// The entry of a value, or the outermost map that has nothing else in it.
fn removal(
    text: &str,
    entries: &Entries,
    in_flow: bool,
    path: &[Names<'_>],
) -> Result<Removal, NotEdited> {
    let (names, rest) = path.split_first().ok_or(NotEdited::Form)?;
    let at = entries.iter().position(|(key, _)| names.contains(&key.value.as_str()));
    let at = at.ok_or(NotEdited::Form)?;
    let (key, value) = &entries[at];
    let entry = Entry::of(text, offset(key.referenced)?, &key.value, in_flow);
    let entry = entry.ok_or(NotEdited::Form)?;
    if let (Node::Map(inner), false) = (&value.value, rest.is_empty()) {
        let below = matches!(entry.value, Value::Below { .. });
        let found = removal(text, inner, !below, rest)?;
        // A comment is worth keeping, and with it its map.
        let whole = &text[entry.start..entry.end_of_last_line(text)];
        if !found.is_all || whole.contains('#') {
            return Ok(Removal { is_all: false, ..found });
        }
    }
    let range = match in_flow {
        true => flow_entry(text, &entry, at == 0)?,
        false => lines_of(text, &entry)?,
    };
    Ok(Removal { range, is_all: entries.len() == 1 })
}

/// The lines of an entry, if nothing else stands on them.
fn lines_of(text: &str, entry: &Entry) -> Result<std::ops::Range<usize>, NotEdited> {
    let start = start_of_line(text, entry.start);
    let end = entry.end_of_last_line(text);
    match text[start..entry.start].trim().is_empty() {
        true => Ok(start..(end + 1).min(text.len())),
        false => Err(NotEdited::Form),
    }
}

/// An entry in braces, with the comma behind it, or else the one before it.
fn flow_entry(
    text: &str,
    entry: &Entry,
    is_first: bool,
) -> Result<std::ops::Range<usize>, NotEdited> {
    let Value::Inline(range) = &entry.value else { return Err(NotEdited::Form) };
    if let Some(rest) = text[range.end..].trim_start().strip_prefix(',') {
        return Ok(entry.start..text.len() - rest.trim_start_matches(' ').len());
    }
    if is_first {
        return Ok(entry.start..range.end);
    }
    let comma = text[..entry.start].rfind(',').ok_or(NotEdited::Form)?;
    Ok(comma..range.end)
}

fn offset(location: Location) -> Result<usize, NotEdited> {
    let offset = location.span().byte_offset().ok_or(NotEdited::Form)?;
    usize::try_from(offset).map_err(|_| NotEdited::Form)
}

/// By how many columns the file indents.
fn indentation(text: &str, entries: &Entries) -> usize {
    let nested = entries.iter().find_map(|(_, value)| match &value.value {
        Node::Map(inner) => {
            let first = offset(inner.first()?.0.referenced).ok()?;
            let before = &text[start_of_line(text, first)..first];
            (!before.is_empty() && before.trim().is_empty()).then_some(before.len())
        }
        _ => None,
    });
    nested.unwrap_or(INDENTATION)
}

/// A value and the keys above it, each on a line of its own.
fn block(column: usize, step: usize, path: &[Names<'_>], value: &Written) -> String {
    let last = path.len().saturating_sub(1);
    let lines = path.iter().enumerate().map(|(depth, names)| {
        let indentation = " ".repeat(column + depth * step);
        match depth == last {
            true => format!("{indentation}{}: {}", names[0], inline(value, false)),
            false => format!("{indentation}{}:", names[0]),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The same in braces.
fn flow(path: &[Names<'_>], value: &Written) -> String {
    match path {
        [] => inline(value, true),
        [names] => format!("{}: {}", names[0], inline(value, true)),
        [names, rest @ ..] => format!("{}: {{{}}}", names[0], flow(rest, value)),
    }
}

fn inline(value: &Written, in_flow: bool) -> String {
    match value {
        Written::Single(text) => scalar(text, in_flow),
        Written::List(items) => {
            let items: Vec<String> = items.iter().map(|item| scalar(item, true)).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// A single value, in quotes where it would mean something else without them.
fn scalar(text: &str, in_flow: bool) -> String {
    let sample = match in_flow {
        true => format!("{{key: {text}}}"),
        false => format!("key: {text}"),
    };
    let meant = parse(&sample).map(|node| values_of(&node)).unwrap_or_default();
    let same = Written::Single(text.to_owned());
    let is_plain = !text.contains('\n')
        && !text.starts_with(['"', '\'', '&', '*', '!', '|', '>'])
        && meant.len() == 1
        && meant.values().all(|value| *value == same);
    match is_plain {
        true => text.to_owned(),
        // A JSON string is one of YAML, too.
        false => serde_json::Value::from(text).to_string(),
    }
}

#[cfg(test)]
#[path = "edit/tests.rs"]
mod tests;
