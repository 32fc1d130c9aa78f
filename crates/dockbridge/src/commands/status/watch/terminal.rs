//! The watch on a terminal: draws what is known, and hears the keys.

use std::io;
use std::pin::pin;
use std::time::Duration;

use api::{Bills, Code, Status};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use tokio::time::{Instant, sleep};

use super::taken::Taken;
use super::view::View;
use crate::commands::bills;
use crate::failure::{Failure, Outcome};
use crate::resolved::Resolved;
use crate::shutdown::end_of_process;

/// Between two looks at what bills: each is five requests to the cloud.
const BILLS_EVERY: Duration = Duration::from_secs(60);

fn unusable(error: &io::Error) -> Failure {
    Failure::of_code(Code::OutputNotWritten, format!("cannot draw on the terminal: {error}"))
}

/// Until `q`, Ctrl-C or a signal.
pub async fn run(resolved: &Resolved, first: Status) -> Outcome {
    let ending = end_of_process()?;
    let (daemon, begun) = (resolved.daemon(), Instant::now());
    let mut view = View::new(resolved.wakes());
    let mut last = Some(first.state);
    view.show(Ok(first), begun.elapsed());
    let mut terminal = Taken::take().map_err(|error| unusable(&error))?;
    let mut events = EventStream::new();
    let mut status = pin!(super::next(&daemon, last));
    let mut bills = pin!(look(resolved, Duration::ZERO));
    loop {
        terminal.draw(|frame| view.draw(frame)).map_err(|error| unusable(&error))?;
        tokio::select! {
            () = ending.cancelled() => return Ok(()),
            event = events.next() => match event {
                Some(Ok(event)) if !ends(&event) => {}
                _ => return Ok(()),
            },
            seen = &mut status => {
                last = seen.as_ref().ok().map(|status: &Status| status.state);
                view.show(seen, begun.elapsed());
                status.set(super::next(&daemon, last));
            }
            looked = &mut bills => {
                view.bills = Some(looked);
                bills.set(look(resolved, BILLS_EVERY));
            }
        }
    }
}

/// What bills, after a pause.
async fn look(resolved: &Resolved, pause: Duration) -> Option<Bills> {
    sleep(pause).await;
    bills::look(resolved, false).await
}

/// Whether a key asks for the end. Any other event, such as a new size, draws again.
fn ends(event: &Event) -> bool {
    let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
        return false;
    };
    match code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> bool {
        ends(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn q_escape_and_ctrl_c_end_the_watch_and_other_events_draw_again() {
        assert!(press(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(press(KeyCode::Esc, KeyModifiers::NONE));
        assert!(press(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!press(KeyCode::Char('c'), KeyModifiers::NONE));
        assert!(!ends(&Event::Resize(10, 10)));
    }
}
