//! The comparison as text: a table for each link, in Markdown that is readable as it is.

use std::fmt::Write as _;

use crate::link::Link;
use crate::record::{Measured, Record, measured};
use crate::route::Route;
use crate::rows::transfer::FIRST;
use crate::rows::{ROWS, Row};

/// Everything that was measured, the goals, and what failed.
pub fn render(records: &[Record]) -> String {
    let measured = measured(records);
    let mut text = String::new();
    for link in Link::ALL {
        if measured.keys().any(|(of, _)| *of == link) {
            let _ = writeln!(
                text,
                "### {}\n\n{}{}",
                link.title(),
                align(&cells(link, &measured)),
                first_transfers(link, &measured)
            );
        }
    }
    for record in records {
        if let Some(error) = &record.error {
            let _ = writeln!(
                text,
                "Not measured: {}, {}, {:?}: {error}",
                record.row,
                record.route.title(),
                record.link
            );
        }
    }
    text
}

/// Goals that are met, and all that could be judged.
pub fn score(records: &[Record]) -> (usize, usize) {
    let measured = measured(records);
    let verdicts: Vec<bool> = measured
        .iter()
        .filter_map(|((link, id), by_route)| {
            Some((*link, ROWS.iter().find(|row| row.id == id)?, by_route))
        })
        .flat_map(|(link, row, by_route)| {
            (row.goals)(link)
                .into_iter()
                .filter_map(move |goal| Some(goal.judge(link, by_route)?.met))
        })
        .collect();
    (verdicts.iter().filter(|met| **met).count(), verdicts.len())
}

/// Which of dockbridge's rates are those of first transfers: they are slower, and with `--quick`
/// they depend on what else was measured.
fn first_transfers(link: Link, measured: &Measured) -> String {
    let first = ROWS.iter().filter_map(|row| {
        let percent =
            measured.get(&(link, row.id.to_owned()))?.get(&Route::Dockbridge)?.get(FIRST)?;
        (*percent > 0.0).then(|| format!("{} ({percent:.0} % of the samples)", row.title))
    });
    let first: Vec<String> = first.collect();
    if first.is_empty() {
        String::new()
    } else {
        format!("\nFirst transfers of their tunnel: {}.\n", first.join("; "))
    }
}

fn cells(link: Link, measured: &Measured) -> Vec<Vec<String>> {
    let routes: Vec<Route> = Route::ALL
        .into_iter()
        .filter(|route| measured.iter().any(|((of, _), by)| *of == link && by.contains_key(route)))
        .collect();
    let mut head = vec!["row".to_owned(), "figure".to_owned()];
    head.extend(routes.iter().map(|route| route.title().to_owned()));
    head.extend(["goal", "ratio", "met"].map(str::to_owned));
    let mut cells = vec![head];
    for row in ROWS {
        if let Some(by_route) = measured.get(&(link, row.id.to_owned())) {
            lines(row, link, by_route, &routes, &mut cells);
        }
    }
    cells
}

/// A line for each figure that a route has, with its goals.
fn lines(
    row: &Row,
    link: Link,
    by_route: &crate::goal::ByRoute,
    routes: &[Route],
    cells: &mut Vec<Vec<String>>,
) {
    let goals = (row.goals)(link);
    let mut title = row.title;
    for figure in row.shown {
        if !by_route.values().any(|figures| figures.contains_key(*figure)) {
            continue;
        }
        let value = |route: &Route| {
            by_route
                .get(route)
                .and_then(|figures| figures.get(*figure))
                .map_or("-".to_owned(), |value| short(*value))
        };
        let of_figure = goals.iter().filter(|goal| goal.figure == *figure);
        let mut ends: Vec<[String; 3]> = of_figure
            .map(|goal| match goal.judge(link, by_route) {
                Some(verdict) => [
                    goal.words(),
                    short(verdict.ratio),
                    (if verdict.met { "yes" } else { "**no**" }).to_owned(),
                ],
                None => [goal.words(), "-".to_owned(), "-".to_owned()],
            })
            .collect();
        if ends.is_empty() {
            ends.push([const { String::new() }; 3]);
        }
        let mut front = vec![title.to_owned(), (*figure).to_owned()];
        front.extend(routes.iter().map(value));
        for end in ends {
            let mut line = front.clone();
            line.extend(end);
            cells.push(line);
            // A second goal repeats nothing.
            front.fill(String::new());
        }
        title = "";
    }
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

fn align(cells: &[Vec<String>]) -> String {
    let columns = cells.first().map_or(0, Vec::len);
    let width = |column: usize| {
        cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (at, line) in cells.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if at == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(row: &str, route: Route, figures: &[(&str, f64)]) -> Record {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Record { link: Link::Wan30, row: row.to_owned(), route, figures, error: None }
    }

    #[test]
    fn a_table_has_the_figures_the_goals_and_how_it_stands_with_them() {
        let mut records = vec![
            record("new", Route::Dockbridge, &[("p50 ms", 31.5), ("p99 ms", 40.0)]),
            record("new", Route::Tcp, &[("p50 ms", 61.54), ("p99 ms", 70.0)]),
            record("download", Route::Dockbridge, &[("MB/s", 99.0), ("first transfers %", 50.0)]),
            record("download", Route::Tcp, &[("MB/s", 90.0), ("first transfers %", 50.0)]),
            record("save", Route::Dockbridge, &[("first transfers %", 0.0)]),
        ];
        records.push(Record {
            error: Some("it broke".to_owned()),
            figures: Default::default(),
            ..record("save", Route::Ssh, &[])
        });
        let text = render(&records);
        let expected = "\
### 30 ms, 1 Gbit/s

| row                         | figure | dockbridge | raw TCP | goal               | ratio | \
            met    |
|-----------------------------|--------|------------|---------|--------------------|-------|\
            --------|
| request on a new connection | p50 ms | 31.5       | 61.5    | ≤ 1.1 × round trip | 1.05  | \
            yes    |
|                             | p99 ms | 40.0       | 70.0    |                    |       \
            |        |
| download, incompressible    | MB/s   | 99.0       | 90.0    | ≥ 0.95 × raw TCP   | 1.10  | \
            yes    |
|                             |        |            |         | ≥ 1.2 × raw TCP    | 1.10  | \
            **no** |

First transfers of their tunnel: download, incompressible (50 % of the samples).

Not measured: save, ssh://, Wan30: it broke
";
        assert_eq!(text, expected);
        assert_eq!(score(&records), (2, 3));
    }
}
