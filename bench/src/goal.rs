//! What a row has to reach, as a ratio to something of the same run.

use std::collections::BTreeMap;

use crate::link::Link;
use crate::route::Route;

/// What one route did in one row: figures by name.
pub type Figures = BTreeMap<String, f64>;

/// What all routes did in one row.
pub type ByRoute = BTreeMap<Route, Figures>;

/// Which side of the ratio is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Times, memory.
    AtMost,
    /// Rates, counts.
    AtLeast,
}

/// What dockbridge's figure is divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Of {
    /// The same figure of this route.
    Route(Route),
    /// The largest same figure of the protected routes.
    BestProtected,
    /// The largest same figure of all other routes but the compressing one.
    Best,
    /// The link's round trip, in milliseconds.
    RoundTrip,
    /// Another figure of dockbridge in the same row.
    Own(&'static str),
    /// A number.
    Number(f64),
}

/// One thing to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// The figure's name.
    pub figure: &'static str,
    /// Whether it should be small or large.
    pub bound: Bound,
    /// The ratio.
    pub factor: f64,
    /// To what.
    pub of: Of,
}

/// Whether a goal is met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// dockbridge's figure by the reference.
    pub ratio: f64,
    /// Whether that is enough.
    pub met: bool,
}

impl Goal {
    /// `figure` at most `factor` times `of`.
    pub const fn at_most(figure: &'static str, factor: f64, of: Of) -> Self {
        Self { figure, bound: Bound::AtMost, factor, of }
    }

    /// `figure` at least `factor` times `of`.
    pub const fn at_least(figure: &'static str, factor: f64, of: Of) -> Self {
        Self { figure, bound: Bound::AtLeast, factor, of }
    }

    /// `None` where either side was not measured.
    pub fn judge(&self, link: Link, measured: &ByRoute) -> Option<Verdict> {
        let own = measured.get(&Route::Dockbridge)?;
        let value = *own.get(self.figure)?;
        let largest = |counts: fn(Route) -> bool| {
            let others = measured.iter().filter(|(route, _)| {
                !route.is_dockbridge() && **route != Route::ForwardZlib && counts(**route)
            });
            others.filter_map(|(_, figures)| figures.get(self.figure)).copied().reduce(f64::max)
        };
        let reference = match self.of {
            Of::Route(route) => *measured.get(&route)?.get(self.figure)?,
            Of::BestProtected => largest(Route::is_protected)?,
            Of::Best => largest(|_| true)?,
            Of::RoundTrip => link.round_trip_ms(),
            Of::Own(name) => *own.get(name)?,
            Of::Number(number) => number,
        };
        if reference <= 0.0 {
            return None;
        }
        let ratio = value / reference;
        let met = match self.bound {
            Bound::AtMost => ratio <= self.factor,
            Bound::AtLeast => ratio >= self.factor,
        };
        Some(Verdict { ratio, met })
    }

    /// Human-readable: `≤ 1.1 × round trip`.
    pub fn words(&self) -> String {
        let sign = if self.bound == Bound::AtMost { '≤' } else { '≥' };
        let of = match self.of {
            Of::Route(route) => route.title().to_owned(),
            Of::BestProtected => "best by SSH".to_owned(),
            Of::Best => "best".to_owned(),
            Of::RoundTrip => "round trip".to_owned(),
            Of::Own(name) => name.to_owned(),
            Of::Number(number) => return format!("{sign} {}", number * self.factor),
        };
        format!("{sign} {} × {of}", self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(values: &[(Route, f64)]) -> ByRoute {
        values
            .iter()
            .map(|(route, value)| (*route, Figures::from([("p50 ms".to_owned(), *value)])))
            .collect()
    }

    #[test]
    fn a_goal_is_met_up_to_its_factor_and_not_beyond() {
        let at = |own| measured(&[(Route::Dockbridge, own), (Route::Forward, 2.0)]);
        let goal = Goal::at_most("p50 ms", 1.5, Of::Route(Route::Forward));
        assert_eq!(goal.judge(Link::Plain, &at(3.0)), Some(Verdict { ratio: 1.5, met: true }));
        assert_eq!(goal.judge(Link::Plain, &at(3.2)), Some(Verdict { ratio: 1.6, met: false }));
        let goal = Goal::at_least("p50 ms", 1.5, Of::Route(Route::Forward));
        assert!(
            goal.judge(Link::Plain, &at(3.0)).unwrap().met
                && !goal.judge(Link::Plain, &at(2.9)).unwrap().met
        );
    }

    #[test]
    fn the_best_is_the_best_of_the_others() {
        let all = measured(&[
            (Route::Dockbridge, 8.0),
            (Route::Forward, 2.0),
            (Route::ForwardGcm, 4.0),
            (Route::ForwardZlib, 16.0),
            (Route::Tcp, 10.0),
        ]);
        let ratio = |of| Goal::at_least("p50 ms", 1.0, of).judge(Link::Plain, &all).unwrap().ratio;
        assert_eq!((ratio(Of::BestProtected), ratio(Of::Best)), (2.0, 0.8));
        assert_eq!(ratio(Of::Route(Route::ForwardZlib)), 0.5);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let goal = Goal::at_most("p50 ms", 1.1, Of::RoundTrip);
        let alone = measured(&[(Route::Dockbridge, 33.0)]);
        assert_eq!(goal.judge(Link::Wan30, &alone), Some(Verdict { ratio: 1.1, met: true }));
        assert_eq!(goal.judge(Link::Plain, &alone), None);
        assert_eq!(goal.judge(Link::Wan30, &measured(&[(Route::Tcp, 61.0)])), None);
        assert_eq!(
            Goal::at_most("p50 ms", 1.0, Of::Route(Route::Tcp)).judge(Link::Wan30, &alone),
            None
        );
        assert_eq!(
            Goal::at_most("p50 ms", 2.0, Of::Own("idle ms")).judge(Link::Wan30, &alone),
            None
        );
    }
}
