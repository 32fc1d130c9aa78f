//! The rows of the comparison, one file each. A row names the routes that take part, measures one
//! route at a time, and has the goals of dockbridge. Another row is another file and another line
//! here.

mod busy;
mod docker_ps;
mod download;
mod first;
mod forward;
mod import;
mod kept;
mod new;
mod own;
mod save;
mod short;
mod source_tree;
mod stalled;
mod streams;
pub mod transfer;
mod upload;

use anyhow::Result;

use crate::goal::{Figures, Goal};
use crate::link::Link;
use crate::peer::Peer;
use crate::route::Route;
use crate::stage::Stage;

/// One row.
pub struct Row {
    /// As it is called on the command line.
    pub id: &'static str,
    /// As it is called in the table.
    pub title: &'static str,
    /// The routes that take part.
    pub routes: &'static [Route],
    /// Figures for the table, the most important first.
    pub shown: &'static [&'static str],
    /// Measures one route.
    pub measure: fn(&Peer, &Stage) -> Result<Figures>,
    /// The goals; none on a link that it has nothing to do with.
    pub goals: fn(Link) -> Vec<Goal>,
}

impl Row {
    /// Whether a route takes part. Another revision of dockbridge does where this one has others
    /// beside it: its benchmark is built, and not its command.
    pub fn has(&self, route: Route) -> bool {
        match route {
            Route::Against => self.routes != ALONE && self.routes.contains(&Route::Dockbridge),
            _ => self.routes.contains(&route),
        }
    }

    /// Whether it is measured on a link: it has something to reach there.
    pub fn is_on(&self, link: Link) -> bool {
        !(self.goals)(link).is_empty()
    }
}

/// In the order of the table.
pub const ROWS: [&Row; 23] = [
    &new::ROW,
    &kept::ROW,
    &docker_ps::ROW,
    &first::UPLOAD,
    &first::DOWNLOAD,
    &first::TURN,
    &first::FORWARD,
    &upload::ROW,
    &download::ROW,
    &source_tree::ROW,
    &import::ROW,
    &save::ROW,
    &streams::FEW,
    &streams::MANY,
    &short::ROW,
    &busy::ROW,
    &stalled::ROW,
    &forward::NEW,
    &forward::KEPT,
    &forward::BULK,
    &own::START,
    &own::STATUS,
    &own::IDLE,
];

/// The routes of rows whose bytes need not be compressible.
const COMMON: &[Route] = &[
    Route::Dockbridge,
    Route::Ssh,
    Route::SshMaster,
    Route::Forward,
    Route::ForwardGcm,
    Route::Tcp,
];
/// Those that carry many connections at once.
const SHARED: &[Route] = &[Route::Dockbridge, Route::Forward, Route::ForwardGcm, Route::Tcp];

/// Those that measure the command and the daemon, and no path.
const ALONE: &[Route] = &[Route::Dockbridge];

/// Figures by name.
fn figures<const N: usize>(of: [(&str, f64); N]) -> Figures {
    of.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The value below which this part of all lies, of at least one.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = (part * last as f64).round();
    values.get(at as usize).copied().unwrap_or(f64::NAN)
}

/// `p50 ms` and `p99 ms` of times in seconds.
fn latency(mut seconds: Vec<f64>) -> Figures {
    let (median, late) = (quantile(&mut seconds, 0.5), quantile(&mut seconds, 0.99));
    figures([("p50 ms", median * 1e3), ("p99 ms", late * 1e3)])
}

/// A request that only the engine can answer.
const FORWARDED: &str = "/volumes";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let mut values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(
            (quantile(&mut values, 0.5), quantile(&mut values, 0.99), quantile(&mut values, 1.0)),
            (50.0, 99.0, 100.0)
        );
        assert_eq!(quantile(&mut [7.0], 0.99), 7.0);
        assert!(quantile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn every_row_has_its_own_name_and_goals_about_figures_that_are_shown() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(row.routes.contains(&Route::Dockbridge), "{}", row.id);
            assert!(ROWS[..at].iter().all(|other| other.id != row.id), "{}", row.id);
            for link in Link::ALL {
                let goals = (row.goals)(link);
                let needs_goals = link == Link::Plain || row.routes != ALONE;
                assert!(!goals.is_empty() || !needs_goals, "{} has no goal on {link:?}", row.id);
                for goal in goals {
                    assert!(row.shown.contains(&goal.figure), "{}: {}", row.id, goal.figure);
                    if let crate::goal::Of::Route(route) = goal.of {
                        assert!(
                            row.routes.contains(&route),
                            "{}: {route:?} does not take part",
                            row.id
                        );
                    }
                }
            }
        }
    }
}
