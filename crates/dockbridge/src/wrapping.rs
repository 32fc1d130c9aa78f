//! Texts in lines of a width. Pure.

/// Columns of a text for users.
const COLUMNS: usize = 80;

/// A name and what there is to say about it, in lines of [`COLUMNS`]: the text begins in a column
/// of its own.
pub fn item(name: &str, text: &str, column: usize) -> Vec<String> {
    let begin = format!("{name:<before$} ", before = column.saturating_sub(1));
    hanging(begin, text.split_whitespace(), column, COLUMNS)
}

/// Words in lines of a width: the first line has a beginning, the others are indented.
fn hanging(
    begin: String,
    words: impl IntoIterator<Item = impl AsRef<str>>,
    indent: usize,
    width: usize,
) -> Vec<String> {
    let mut lines = vec![begin];
    for (number, word) in words.into_iter().enumerate() {
        let word = word.as_ref();
        match lines.last_mut() {
            Some(line) if number == 0 => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{:indent$}{word}", "")),
        }
    }
    lines
}

/// A message in lines of a width: what continues a line is indented, below the text of a label. A
/// command in backticks stays whole, so that it can be copied, and so does a word that is longer.
pub fn folded(text: &str, labels: &[&str], width: usize) -> String {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let rest = line.trim_start();
        let spaces = line.len() - rest.len();
        let (begin, indent) = match labels.iter().find(|label| line.starts_with(**label)) {
            Some(label) => (format!("{label} "), label.len() + 1),
            None if spaces > 0 => (" ".repeat(spaces), spaces + 2),
            None => (String::new(), 0),
        };
        let text = line.get(begin.len()..).unwrap_or_default();
        lines.extend(hanging(begin, pieces(text), indent, width));
    }
    lines.join("\n")
}

/// Words, or several between two backticks.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match pieces.last_mut().filter(|piece| piece.matches('`').count() % 2 == 1) {
            Some(open) => *open += &format!(" {word}"),
            None => pieces.push(word.to_owned()),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_broken_between_words_and_its_commands_stay_whole() {
        let labels = ["Error:", "Hint:"];
        let text = "Error: /a/very/long/path is no socket\n\
            Hint: move it away, or run `dockbridge start --socket /x` with another one\n\
            \x20 a list of some words, one more\nlong, without a first word at all";
        assert_eq!(
            folded(text, &labels, 30),
            "Error: /a/very/long/path is no\n\
            \x20      socket\n\
            Hint: move it away, or run\n\
            \x20     `dockbridge start --socket /x`\n\
            \x20     with another one\n\
            \x20 a list of some words, one\n\
            \x20   more\n\
            long, without a first word at\n\
            all"
        );
        assert_eq!(folded(text, &labels, 200), text);
        assert_eq!(folded("Hint: 'tis `open", &labels, 3), "Hint: 'tis\n      `open");
    }

    #[test]
    fn text_beside_a_name_keeps_its_column() {
        let text = "word ".repeat(20);
        let lines = item("Cause", &text, 14);
        assert_eq!(lines[0], format!("Cause         {}", "word ".repeat(13).trim_end()));
        assert_eq!(lines[1], format!("              {}", "word ".repeat(7).trim_end()));
    }
}
