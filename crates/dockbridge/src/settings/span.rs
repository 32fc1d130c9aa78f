//! Where the value of a key begins and ends in YAML text. Pure, and only as exact as the forms in
//! which settings are written: whoever changes a text by it checks what the changed text means.

use std::ops::Range;

/// A key with its value in a text. All offsets are bytes.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where the key begins.
    pub(super) start: usize,
    /// The column of the key, counted from 0.
    pub(super) column: usize,
    /// The first byte behind the colon.
    pub(super) colon_end: usize,
    pub(super) value: Value,
}

/// Where a value is.
#[derive(Debug)]
pub(super) enum Value {
    /// It begins on the line of its key.
    Inline(Range<usize>),
    /// On the lines below its key, or nowhere.
    Below {
        /// End of the key's line, without its line break.
        line_end: usize,
        /// End of the value's last line.
        end: usize,
    },
}

impl Entry {
    /// The entry whose key begins at an offset; `None` for a form that is not known here.
    pub(super) fn of(text: &str, start: usize, key: &str, in_flow: bool) -> Option<Self> {
        let column = start - start_of_line(text, start);
        let quote = text[start..].chars().next().filter(|first| matches!(first, '"' | '\''));
        let key_end = match quote {
            Some(_) => quoted_end(text, start)?,
            None => start + text[start..].starts_with(key).then_some(key.len())?,
        };
        let colon = key_end + blanks(&text[key_end..]);
        let colon_end = colon + text[colon..].starts_with(':').then_some(1)?;
        let begin = colon_end + blanks(&text[colon_end..]);
        let value = value_at(text, begin, colon_end, column, in_flow)?;
        Some(Self { start, column, colon_end, value })
    }

    /// The end of the last line of the entry, without its line break.
    pub(super) fn end_of_last_line(&self, text: &str) -> usize {
        match &self.value {
            Value::Inline(range) => end_of_line(text, range.end),
            Value::Below { end, .. } => *end,
        }
    }
}

fn value_at(
    text: &str,
    begin: usize,
    colon_end: usize,
    column: usize,
    in_flow: bool,
) -> Option<Value> {
    let line_end = end_of_line(text, begin);
    Some(match text[begin..].chars().next() {
        Some('[' | '{') => Value::Inline(begin..bracket_end(text, begin)?),
        Some('"' | '\'') => Value::Inline(begin..quoted_end(text, begin)?),
        // Anchors, aliases and tags.
        Some('&' | '*' | '!') => return None,
        Some('|' | '>') if !in_flow => {
            Value::Inline(begin..lines_end(text, line_end, column, true))
        }
        None | Some('\n' | '\r' | '#') if !in_flow => {
            Value::Below { line_end, end: lines_end(text, line_end, column, false) }
        }
        Some(',' | '}' | '\n' | '\r' | '#') if in_flow => Value::Inline(colon_end..colon_end),
        Some(_) if in_flow => Value::Inline(begin..plain_end(text, begin, &[',', '}', ']'])),
        Some(_) => match lines_end(text, line_end, column, false) {
            end if end > line_end => Value::Inline(begin..end),
            _ => Value::Inline(begin..plain_end(text, begin, &[])),
        },
        None => return None,
    })
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

pub(super) fn start_of_line(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |before| before + 1)
}

/// The end of the line without its line break.
pub(super) fn end_of_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |length| at + length)
}

/// The end of a value without quotes on its line: before a comment, or before what ends it in
/// braces.
fn plain_end(text: &str, begin: usize, ends: &[char]) -> usize {
    let line = &text[begin..end_of_line(text, begin)];
    let comment = [" #", "\t#"].iter().filter_map(|mark| line.find(mark)).min();
    let line = &line[..comment.unwrap_or(line.len())];
    let line = &line[..line.find(ends).unwrap_or(line.len())];
    begin + line.trim_end().len()
}

/// The end of a text in quotes, behind the closing one.
fn quoted_end(text: &str, begin: usize) -> Option<usize> {
    let mut rest = text[begin..].char_indices();
    let (_, quote) = rest.next()?;
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' if quote == '"' => {
                rest.next();
            }
            // In single quotes, two of them stand for one.
            '\'' if quote == '\'' && text[begin + at + 1..].starts_with('\'') => {
                rest.next();
            }
            c if c == quote => return Some(begin + at + 1),
            _ => {}
        }
    }
    None
}

/// The end of a list or map in brackets, behind the closing one.
fn bracket_end(text: &str, begin: usize) -> Option<usize> {
    let (mut at, mut depth, mut before) = (begin, 0_u32, ' ');
    loop {
        let c = text[at..].chars().next()?;
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            '#' if before.is_whitespace() => at = end_of_line(text, at) - c.len_utf8(),
            '"' | '\'' if before.is_whitespace() || "[{,:".contains(before) => {
                at = quoted_end(text, at)? - c.len_utf8();
            }
            _ => {}
        }
        before = c;
        at += c.len_utf8();
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The end of the last line that belongs to a key of a column: lines that are indented further, and
/// the items of a list.
fn lines_end(text: &str, line_end: usize, column: usize, is_literal: bool) -> usize {
    let (mut end, mut at) = (line_end, line_end);
    while at < text.len() {
        let begin = at + 1;
        if begin >= text.len() {
            break;
        }
        at = end_of_line(text, begin);
        let line = text[begin..at].trim_end();
        let content = line.trim_start();
        let indentation = line.len() - content.len();
        let is_comment = content.starts_with('#') && !(is_literal && indentation > column);
        if content.is_empty() || is_comment {
            continue;
        }
        let is_item = content.starts_with("- ") || content == "-";
        match indentation > column || (indentation == column && is_item) {
            true => end = at,
            false => break,
        }
    }
    end
}
