//! A row of the screen: a label, and a text that begins in a color. Rows are wrapped to a width and
//! styled here; what they say is decided elsewhere. Pure.

use anstyle::{AnsiColor, Style};

use crate::output::with_arguments;

/// Columns of the labels.
const LABEL: usize = 10;

/// What a text is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// As it should be.
    Good,
    /// It will pass: something goes on.
    Busy,
    /// The user should know or do something.
    Bad,
}

impl Tone {
    /// The color; `None` for the terminal's own.
    pub fn color(self) -> Option<AnsiColor> {
        match self {
            Tone::Plain => None,
            Tone::Good => Some(AnsiColor::Green),
            Tone::Busy => Some(AnsiColor::Yellow),
            Tone::Bad => Some(AnsiColor::Red),
        }
    }

    fn style(self) -> Style {
        Style::new().fg_color(self.color().map(Into::into))
    }
}

/// A row. One without a label continues the row above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub label: &'static str,
    /// The beginning of the text, in the color of `tone`.
    pub head: String,
    pub tone: Tone,
    /// The rest of the text.
    pub rest: String,
}

impl Row {
    /// Without a color.
    pub fn plain(label: &'static str, text: impl Into<String>) -> Self {
        Self { label, head: String::new(), tone: Tone::Plain, rest: text.into() }
    }

    /// All of it in one color.
    pub fn toned(label: &'static str, tone: Tone, text: impl Into<String>) -> Self {
        Self { label, head: text.into(), tone, rest: String::new() }
    }

    /// The beginning in a color.
    pub fn headed(label: &'static str, tone: Tone, head: &str, rest: impl Into<String>) -> Self {
        Self { label, head: head.to_owned(), tone, rest: rest.into() }
    }

    /// Separates two groups of rows.
    pub fn gap() -> Self {
        Self::plain("", "")
    }

    fn is_gap(&self) -> bool {
        self.label.is_empty() && self.head.is_empty() && self.rest.is_empty()
    }

    /// The text in lines of at most `width` columns, label included, each split where its color
    /// ends. `None` for one line of any length.
    pub fn wrapped(&self, width: Option<usize>) -> Vec<(String, String)> {
        let text = format!("{}{}", self.head, self.rest);
        let mut colored = self.head.chars().count();
        let lines = match width {
            Some(width) => wrap(&text, width.saturating_sub(LABEL)),
            None => vec![text],
        };
        let mut split = Vec::new();
        for line in lines {
            let head: String = line.chars().take(colored).collect();
            let rest = line.chars().skip(colored).collect();
            // A space was dropped where the line was broken.
            colored = colored.saturating_sub(line.chars().count() + 1);
            split.push((head, rest));
        }
        split
    }
}

/// Breaks a text at spaces. A longer word keeps a line of its own, so that a path can be copied.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (number, word) in text.split(' ').enumerate() {
        match lines.last_mut() {
            Some(line)
                if number == 0 || line.chars().count() + 1 + word.chars().count() <= width =>
            {
                if number > 0 {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The label of a line: that of its row on the first one.
pub fn label(row: &Row, line: usize) -> String {
    format!("{:<LABEL$}", if line == 0 { row.label } else { "" })
}

/// The commands in the texts, as they work for this profile.
pub fn completed(rows: Vec<Row>) -> Vec<Row> {
    let complete =
        |row: Row| Row { head: with_arguments(&row.head), rest: with_arguments(&row.rest), ..row };
    rows.into_iter().map(complete).collect()
}

/// The rows as lines with escape sequences for a terminal.
pub fn styled(rows: &[Row], width: Option<usize>) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        if row.is_gap() {
            lines.push(String::new());
            continue;
        }
        let style = row.tone.style();
        for (number, (head, rest)) in row.wrapped(width).into_iter().enumerate() {
            let label = label(row, number);
            lines.push(match head.is_empty() {
                true => format!("{label}{rest}"),
                false => format!("{label}{style}{head}{style:#}{rest}"),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_goes_on_over_the_end_of_a_line() {
        let row = Row::headed("Note", Tone::Bad, "12 345 6789", " rest");
        let lines = styled(&[row], Some(18)).join("\n").replace('\x1b', "^");
        insta::assert_snapshot!(lines, @r"
        Note      ^[31m12 345^[0m
                  ^[31m6789^[0m
                  rest
        ");
    }

    #[test]
    fn long_word_stays_whole_and_without_a_width_nothing_is_broken() {
        let row = Row::plain("Socket", format!("at unix:///{} today", "x".repeat(20)));
        let lines = |width| styled(std::slice::from_ref(&row), width);
        assert_eq!(lines(Some(20)).len(), 3);
        assert_eq!(lines(None).len(), 1);
        assert_eq!(lines(Some(2)).len(), 3, "a narrow terminal does not loop or panic");
    }
}
