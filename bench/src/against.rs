//! Two revisions of dockbridge beside each other: medians of one run's rounds and their ratio. Only
//! ratios within one run are comparable, so that both programs are measured in turn.

use std::fmt::Write as _;

use crate::link::Link;
use crate::record::Record;
use crate::route::Route;
use crate::rows::ROWS;

/// A table with the figures of both revisions; empty where only one was measured.
pub fn render(records: &[Record]) -> String {
    let mut text = String::new();
    for link in Link::ALL {
        for row in ROWS {
            for figure in row.shown {
                let values = |route| figures(records, link, row.id, route, figure);
                let (own, other) = (values(Route::Dockbridge), values(Route::Against));
                if let Some(line) = compared(&own, &other) {
                    let _ = writeln!(text, "| {link} | {} | {figure} | {line} |", row.title);
                }
            }
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "Medians of the rounds; the range is that of the ratios of each round.\n\n\
        | link | row | figure | this revision | other revision | ratio | range |\n\
        |---|---|---|---|---|---|---|\n{text}"
    )
}

/// What one route reached in each round.
fn figures(records: &[Record], link: Link, row: &str, route: Route, figure: &str) -> Vec<f64> {
    let rounds = records
        .iter()
        .filter(|record| record.link == link && record.row == row && record.route == route);
    rounds.filter_map(|record| record.figures.get(figure)).copied().collect()
}

/// Medians, their ratio, and the smallest and largest ratio of a round.
fn compared(own: &[f64], other: &[f64]) -> Option<String> {
    let (own_median, other_median) = (median(own)?, median(other)?);
    let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| own / other).collect();
    let smallest = ratios.iter().copied().reduce(f64::min)?;
    let largest = ratios.iter().copied().reduce(f64::max)?;
    let ratio = own_median / other_median;
    Some(format!(
        "{own_median:.2} | {other_median:.2} | {ratio:.2} | {smallest:.2} to {largest:.2}"
    ))
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(route: Route, value: f64) -> Record {
        let figures = [("p50 ms".to_owned(), value)].into_iter().collect();
        Record { link: Link::Wan30, row: "new".to_owned(), route, figures, error: None }
    }

    #[test]
    fn medians_and_ratios_of_both_revisions_are_in_the_table() {
        let records = [
            record(Route::Dockbridge, 30.0),
            record(Route::Against, 60.0),
            record(Route::Against, 50.0),
            record(Route::Dockbridge, 40.0),
            record(Route::Dockbridge, 31.0),
            record(Route::Against, 62.0),
        ];
        let text = render(&records);
        let line = text.lines().last().unwrap();
        let row = "request on a new connection";
        assert_eq!(
            line,
            format!("| wan30 | {row} | p50 ms | 31.00 | 60.00 | 0.52 | 0.50 to 0.80 |")
        );
    }

    #[test]
    fn one_revision_alone_has_no_table() {
        assert_eq!(render(&[record(Route::Dockbridge, 30.0)]), "");
    }
}
