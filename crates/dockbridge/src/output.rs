//! Printing. All output for users and programs goes through here.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use api::client::{Client, ClientError};
use api::{MachineState, Status};
use clap::builder::styling::{AnsiColor, Style, Styles};
use machine::History;

use crate::live_line;
use crate::wrapping::folded;

/// Arguments to insert after `dockbridge` in hints, so that they apply to the same profile.
static GLOBAL_ARGUMENTS: OnceLock<String> = OnceLock::new();
/// The first error of writing standard output.
static UNWRITTEN: Mutex<Option<io::Error>> = Mutex::new(None);
/// A line met a closed pipe.
static HAS_NO_READER: AtomicBool = AtomicBool::new(false);

/// Records the arguments of this command. Arguments that the environment sets as well are left
/// out.
pub fn typed_with(profile: &str, config: Option<&Path>, socket: Option<&Path>) {
    let named = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let mut arguments = String::new();
    if profile != "default" && !named("DOCKBRIDGE_PROFILE", profile) {
        arguments.push_str(&format!("--profile {profile} "));
    }
    if let Some(path) = config.map(|path| path.display().to_string())
        && !named("DOCKBRIDGE_CONFIG", &path)
    {
        arguments.push_str(&format!("--config {} ", quoted(&path)));
    }
    if let Some(path) = socket {
        arguments.push_str(&format!("--socket {} ", quoted(&path.display().to_string())));
    }
    let _ = GLOBAL_ARGUMENTS.set(arguments);
}

/// Quotes a text as one shell word.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Completes the commands in a text, so that they work as printed.
pub fn with_arguments(text: &str) -> String {
    match GLOBAL_ARGUMENTS.get().map(String::as_str) {
        None | Some("") => text.to_owned(),
        Some(arguments) => completed(text, arguments),
    }
}

fn completed(text: &str, arguments: &str) -> String {
    // These have no profile of the user's.
    let apart = ["try", "local-cloud", "explain", "--"];
    let mut pieces = text.split("`dockbridge ");
    let mut whole = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        whole.push_str("`dockbridge ");
        if !apart.iter().any(|command| piece.starts_with(command)) {
            whole.push_str(arguments);
        }
        whole.push_str(piece);
    }
    whole
}

/// Prints a line on standard output. A closed pipe is no error; any other error makes the command
/// fail, see [`written`].
pub fn say(line: &str) {
    // JSON is for programs and stays unchanged.
    let is_json = line.starts_with(['{', '[']);
    let line = if is_json { line.to_owned() } else { with_arguments(line) };
    let mut stdout = io::stdout().lock();
    note(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// Prints a text for programs on standard output.
pub fn say_as_is(text: &str) {
    let mut stdout = io::stdout().lock();
    note(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Prints a line with escape sequences, which only a terminal gets, and none where NO_COLOR is set.
/// Returns whether further lines have a reader.
pub fn say_styled(line: &str) -> bool {
    let mut stdout = anstream::AutoStream::auto(io::stdout().lock());
    note(writeln!(stdout, "{line}").and_then(|()| stdout.flush()))
}

/// Whether the reader of standard output is gone, as far as a line has shown it.
pub fn has_no_reader() -> bool {
    HAS_NO_READER.load(Ordering::Relaxed)
}

/// Records a failure. Returns whether the line was written.
fn note(written: io::Result<()>) -> bool {
    let Err(error) = written else { return true };
    if error.kind() == io::ErrorKind::BrokenPipe {
        HAS_NO_READER.store(true, Ordering::Relaxed);
    } else {
        UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
    false
}

/// Whether all lines were written.
pub fn written() -> io::Result<()> {
    let unwritten = UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    unwritten.map_or(Ok(()), Err)
}

/// Prints a message on standard error. A terminal shows the first word of a line in color, unless
/// `NO_COLOR` is set, and breaks the line between words.
pub fn complain(message: &str) {
    let message = with_arguments(message);
    let width = if io::stderr().is_terminal() { terminal_width() } else { None };
    let message = match width {
        Some(width) => folded(&message, &first_words().map(|(word, _)| word), width),
        None => message,
    };
    live_line::erase();
    let _ = writeln!(anstream::stderr(), "{}", styled(&message));
}

/// Columns of this process's terminal; `None` where it does not say how wide it is.
pub fn terminal_width() -> Option<usize> {
    let (width, _) = crossterm::terminal::size().ok()?;
    Some(usize::from(width)).filter(|width| *width > 0)
}

/// Prints a line of less weight on standard error, on a terminal only.
pub fn whisper(line: &str) {
    let dim = Style::new().dimmed();
    if io::stderr().is_terminal() {
        live_line::erase();
        let _ = writeln!(anstream::stderr(), "{dim}{line}{dim:#}");
    }
}

/// The words with which a line of a message begins, in the colors that clap gives to such words.
fn first_words() -> [(&'static str, Style); 3] {
    let styles = Styles::styled();
    [
        ("Error:", *styles.get_error()),
        ("Warning:", AnsiColor::Yellow.on_default().bold()),
        ("Hint:", *styles.get_valid()),
    ]
}

fn styled(text: &str) -> String {
    let words = first_words();
    let line = |line: &str| {
        let known = words.iter().find(|(word, _)| line.starts_with(word));
        known.map_or_else(
            || line.to_owned(),
            |(word, style)| format!("{style}{word}{style:#}{}", &line[word.len()..]),
        )
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Prints a line for programs on standard error.
pub fn complain_as_is(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// `1.2 s`, `75 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
}

/// The current phase, with its usual duration: `booting (cx23 in fsn1) for 12 s, usually 18 s`.
pub fn running_stage(status: &Status, wakes: &History) -> Option<String> {
    let phase = status.phases.last().filter(|phase| !phase.over)?;
    let detail = phase.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let usual = wakes
        .usual(&phase.words)
        .map(|usual| format!(", usually {}", seconds(usual.as_secs_f64())))
        .unwrap_or_default();
    Some(format!("{}{detail} for {}{usual}", phase.words, seconds(phase.seconds)))
}

/// Shows the current phase: in place on a terminal, else once after it has lasted for a while.
struct Running {
    is_terminal: bool,
    /// Number of finished phases when the last line was printed.
    shown: Option<usize>,
}

impl Running {
    /// Seconds. Without a terminal, a shorter phase gets no line of its own.
    const WORTH_A_LINE: f64 = 3.0;

    fn show(&mut self, status: &Status, wakes: &History, ended: usize) {
        let Some(stage) = running_stage(status, wakes) else { return };
        if self.is_terminal {
            let mut out = std::io::stdout();
            let _ = write!(out, "\r\x1b[K  {stage}").and_then(|()| out.flush());
            self.shown = Some(ended);
        } else if self.shown != Some(ended)
            && status.phases.last().is_some_and(|phase| phase.seconds >= Self::WORTH_A_LINE)
        {
            say(&format!("  {stage}"));
            self.shown = Some(ended);
        }
    }

    fn clear(&mut self) {
        if self.is_terminal && self.shown.take().is_some() {
            let mut out = std::io::stdout();
            let _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
        }
    }
}

/// Ceiling for the time until a wake request reaches the daemon.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);

/// Prints the phases of a wake as they end, and the current one with its usual duration, until the
/// machine is up or has failed. Returns the last status.
pub async fn follow_wake(
    daemon: &Client,
    limit: Duration,
    wakes: &History,
) -> Result<Status, ClientError> {
    let begun = tokio::time::Instant::now();
    let mut running = Running { is_terminal: std::io::stdout().is_terminal(), shown: None };
    let (mut printed, mut has_begun) = (0, false);
    loop {
        let status = daemon.status().await?;
        if status.phases.iter().filter(|phase| phase.over).count() > printed {
            running.clear();
        }
        for phase in status.phases.iter().filter(|phase| phase.over).skip(printed) {
            let detail =
                phase.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            say(&format!(
                "  {:<40} {:>7}",
                format!("{}{detail}", phase.words),
                seconds(phase.seconds)
            ));
            printed += 1;
        }
        has_begun |= matches!(status.state, MachineState::Waking | MachineState::Lost);
        let is_waking = match status.state {
            MachineState::Waking | MachineState::Lost => true,
            // A wake that has begun gets here only if it was canceled. Before that, the request
            // may not have reached the daemon yet.
            MachineState::Absent | MachineState::Releasing => {
                !has_begun && begun.elapsed() < BEGINS_WITHIN
            }
            MachineState::Up | MachineState::Failed => false,
        };
        if !is_waking || begun.elapsed() > limit {
            running.clear();
            return Ok(status);
        }
        running.show(&status, wakes, printed);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_hints_mean_the_profile_that_was_typed() {
        let complete = |text| completed(text, "--profile m ");
        assert_eq!(
            complete("start it with `dockbridge start`"),
            "start it with `dockbridge --profile m start`"
        );
        assert_eq!(
            complete("`dockbridge status` or `dockbridge stop`"),
            "`dockbridge --profile m status` or `dockbridge --profile m stop`"
        );
        assert_eq!(
            complete("`dockbridge try` needs no account"),
            "`dockbridge try` needs no account"
        );
        assert_eq!(complete("no dockbridge serves /x"), "no dockbridge serves /x");
    }

    #[test]
    fn first_words_of_a_message_are_colored_and_the_rest_is_not() {
        assert_eq!(
            styled("Error: no disk Error: x\nHint: make room\nas above"),
            "\u{1b}[1m\u{1b}[31mError:\u{1b}[0m no disk Error: x\n\
             \u{1b}[32mHint:\u{1b}[0m make room\nas above"
        );
        assert_eq!(styled("No server exists."), "No server exists.");
    }

    #[test]
    fn a_path_with_blanks_is_one_word() {
        assert_eq!(quoted("/a/b.yaml"), "/a/b.yaml");
        assert_eq!(quoted("/a b/it's"), "'/a b/it'\\''s'");
    }
}
