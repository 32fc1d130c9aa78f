//! What the watch draws. Pure: from the last status and the rates to widgets of any size.

use std::time::Duration;

use api::client::ClientError;
use api::{Bills, MachineState, Status};
use machine::History;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Sparkline};

use super::super::local_time::LocalTime;
use super::super::row::{Row, Tone, completed, label};
use super::super::{answers, details};
use super::rates::Rates;
use crate::commands::ports::bytes;
use crate::output::seconds;

/// Lines of a sparkline with its frame.
const GRAPH: u16 = 4;

/// What is shown.
pub struct View {
    wakes: History,
    status: Option<Status>,
    /// Why the daemon does not answer.
    trouble: Option<String>,
    rates: Rates,
    /// What bills; the outer `None` until the first look at it has ended.
    pub bills: Option<Option<Bills>>,
}

impl View {
    pub fn new(wakes: History) -> Self {
        Self { wakes, status: None, trouble: None, rates: Rates::default(), bills: None }
    }

    /// The next look, at a time since the beginning. Without an answer the last status stays.
    pub fn show(&mut self, seen: Result<Status, ClientError>, at: Duration) {
        match seen {
            Ok(status) => {
                let tunnel = status.tunnel.as_ref();
                self.rates.read(at, tunnel.map(|tunnel| (tunnel.up, tunnel.down)));
                (self.status, self.trouble) = (Some(status), None);
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    pub fn draw(&self, frame: &mut Frame<'_>) {
        self.draw_at(frame, &LocalTime::now());
    }

    fn draw_at(&self, frame: &mut Frame<'_>, now: &LocalTime) {
        let area = frame.area();
        let width = usize::from(area.width);
        let head = lines(self.head(now), width);
        let stages = self.stages();
        let has_tunnel = self.status.as_ref().is_some_and(|status| status.tunnel.is_some());
        let height = |lines: usize| u16::try_from(lines).unwrap_or(u16::MAX);
        let [top, wake, graphs, rest, foot] = Layout::vertical([
            Constraint::Length(height(head.len()).saturating_add(1)),
            Constraint::Length(height(stages.len())),
            Constraint::Length(if has_tunnel { GRAPH } else { 0 }),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(area);
        frame.render_widget(Paragraph::new(head), top);
        frame.render_widget(Paragraph::new(stages), wake);
        self.draw_graphs(frame, graphs);
        if let Some(status) = &self.status {
            let rows = completed(details::details(status, now));
            frame.render_widget(Paragraph::new(lines(rows, width)), rest);
        }
        frame.render_widget(Paragraph::new("q or Ctrl-C ends the watch; the machine stays"), foot);
    }

    fn head(&self, now: &LocalTime) -> Vec<Row> {
        let bills = self.bills.as_ref().and_then(Option::as_ref);
        let answers = |status| answers::answers(status, bills, now);
        let mut rows: Vec<Row> = self.status.iter().flat_map(answers).collect();
        if self.bills.is_none()
            && let Some(volume) = rows.iter_mut().find(|row| **row == answers::no_volume())
        {
            *volume = Row::plain(volume.label, "asking the cloud");
        }
        let trouble = self.trouble.iter();
        rows.extend(trouble.map(|trouble| Row::toned("Daemon", Tone::Bad, trouble)));
        completed(rows)
    }

    /// The stages of a wake, with their times and usual times.
    fn stages(&self) -> Vec<Line<'static>> {
        // The stages of the last wake stay in the status.
        let goes_on = |status: &&Status| {
            status.state == MachineState::Waking || status.phases.iter().any(|phase| !phase.over)
        };
        let Some(status) = self.status.as_ref().filter(goes_on) else { return Vec::new() };
        let line = |phase: &api::PhaseStatus| {
            let detail = phase.detail.as_ref().map(|detail| format!(" ({detail})"));
            let name = format!("{}{}", phase.words, detail.unwrap_or_default());
            let usual = self.wakes.usual(&phase.words);
            let usual = usual.map(|usual| format!(", usually {}", seconds(usual.as_secs_f64())));
            let (mark, tone) = if phase.over { ("done", Tone::Good) } else { ("now ", Tone::Busy) };
            let time = seconds(phase.seconds);
            Line::from(vec![
                Span::raw("          "),
                Span::styled(mark, style(tone)),
                Span::raw(format!("  {name:<40} {time:>7}{}", usual.unwrap_or_default())),
            ])
        };
        let mut lines: Vec<_> = status.phases.iter().map(line).collect();
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines
    }

    fn draw_graphs(&self, frame: &mut Frame<'_>, area: Rect) {
        let now = self.rates.now();
        let halves: [Rect; 2] = Layout::horizontal([Constraint::Fill(1); 2]).areas(area);
        let columns = usize::from(halves[0].width.saturating_sub(2));
        for (half, name, rate, samples) in [
            (halves[0], "sent", now.sent, self.rates.last(columns, |rate| rate.sent)),
            (halves[1], "received", now.received, self.rates.last(columns, |rate| rate.received)),
        ] {
            let title = format!(" {name} {}/s ", bytes(rate));
            let graph = Sparkline::default()
                .block(Block::bordered().title(title))
                .data(samples)
                .style(style(Tone::Good));
            frame.render_widget(graph, half);
        }
    }
}

fn lines(rows: Vec<Row>, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for row in rows {
        for (number, (head, rest)) in row.wrapped(Some(width)).into_iter().enumerate() {
            let label = Span::raw(label(&row, number));
            lines.push(Line::from(vec![
                label,
                Span::styled(head, style(row.tone)),
                Span::raw(rest),
            ]));
        }
    }
    lines
}

/// The terminal library leaves colors out where NO_COLOR is set.
fn style(tone: Tone) -> Style {
    let color = match tone {
        Tone::Plain => return Style::new(),
        Tone::Good => Color::Green,
        Tone::Busy => Color::Yellow,
        Tone::Bad => Color::Red,
    };
    Style::new().fg(color)
}

#[cfg(test)]
mod tests;
