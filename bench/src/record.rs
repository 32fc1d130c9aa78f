//! Stored results: a line of JSON for each row, link and route.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::goal::{ByRoute, Figures};
use crate::link::Link;
use crate::route::Route;

/// One route in one row on one link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The path.
    pub link: Link,
    /// The row's name.
    pub row: String,
    /// The route. Files of earlier revisions have another name for it.
    #[serde(alias = "way")] // words: allow
    pub route: Route,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Figures::is_empty")]
    pub figures: Figures,
    /// Why nothing was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Measurements by link and row.
pub type Measured = BTreeMap<(Link, String), ByRoute>;

impl Record {
    /// Adds it to a file.
    pub fn append(&self, path: &Path) -> Result<()> {
        let file = File::options().create(true).append(true).open(path);
        let mut file = file.with_context(|| path.display().to_string())?;
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        file.write_all(&line)?;
        Ok(())
    }
}

/// All records of a file.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    BufReader::new(file).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

/// The measurements among them; of two for the same thing the later one counts.
pub fn measured(records: &[Record]) -> Measured {
    let mut measured = Measured::new();
    for record in records.iter().filter(|record| record.error.is_none()) {
        measured
            .entry((record.link, record.row.clone()))
            .or_default()
            .insert(record.route, record.figures.clone());
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_lines_and_the_last_of_a_kind_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results.jsonl");
        let record = |route, value: Option<f64>| Record {
            link: Link::Wan30,
            row: "new".to_owned(),
            route,
            figures: value.map(|value| ("p50 ms".to_owned(), value)).into_iter().collect(),
            error: value.is_none().then(|| "broken".to_owned()),
        };
        let all = [
            record(Route::Tcp, Some(61.5)),
            record(Route::Forward, None),
            record(Route::Tcp, Some(60.5)),
        ];
        for record in &all {
            record.append(&path).unwrap();
        }
        let first = std::fs::read_to_string(&path).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(
            first,
            r#"{"link":"wan30","row":"new","route":"tcp","figures":{"p50 ms":61.5}}"#
        );
        assert_eq!(read(&path).unwrap(), all);
        let measured = measured(&read(&path).unwrap());
        let row = &measured[&(Link::Wan30, "new".to_owned())];
        assert_eq!((row.len(), row[&Route::Tcp]["p50 ms"]), (1, 60.5));
    }
}
