//! Measures rows on one link, in the network that this process is in: each row by each way before
//! the next row, so that what changes on the host meanwhile changes for all of them.

use std::path::PathBuf;

use anyhow::Result;

use crate::link::Link;
use crate::output::{complain, say};
use crate::peer::Peer;
use crate::record::Record;
use crate::rows::{ROWS, Row};
use crate::stage::Stage;
use crate::way::Way;

/// What is measured, and by whom; the same words for one link and for a whole run.
#[derive(Debug, Clone, clap::Args)]
pub struct Choice {
    /// Rows, instead of all: a list with commas
    #[arg(long, value_delimiter = ',', value_name = "ROW", value_parser = clap::builder::PossibleValuesParser::new(ROWS.map(|row| row.id)))]
    pub rows: Vec<String>,
    /// Ways, instead of all
    #[arg(long, value_delimiter = ',', value_name = "WAY")]
    pub ways: Vec<Way>,
    /// Fewer repetitions, smaller transfers, and without ssh:// unless it is asked for
    #[arg(long)]
    pub quick: bool,
    /// Adds the results to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Choice {
    /// As arguments for a process of its own.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let list = |arguments: &mut Vec<String>, name: &str, values: Vec<String>| {
            if !values.is_empty() {
                arguments.extend([name.to_owned(), values.join(",")]);
            }
        };
        list(&mut arguments, "--rows", self.rows.clone());
        list(&mut arguments, "--ways", self.ways.iter().map(Way::to_string).collect());
        list(
            &mut arguments,
            "--json",
            self.json.iter().map(|path| path.display().to_string()).collect(),
        );
        arguments.extend(self.quick.then(|| "--quick".to_owned()));
        arguments
    }

    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        ROWS.into_iter()
            .filter(|row| self.rows.is_empty() || self.rows.iter().any(|id| id == row.id))
    }

    fn takes_part(&self, way: Way) -> bool {
        if self.ways.is_empty() {
            !(self.quick && way.opens_by_login())
        } else {
            self.ways.contains(&way)
        }
    }
}

/// Arguments of `measure`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which link this is
    #[arg(long)]
    link: Link,
    /// The machine's address
    #[arg(long)]
    host: String,
    /// Private key that lets root in
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Folder of the files to send
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    choice: Choice,
}

/// Measures.
pub fn run(arguments: &Args) -> Result<()> {
    let choice = &arguments.choice;
    let folder = tempfile::Builder::new().prefix("dbb-").tempdir()?;
    let stage = Stage {
        host: arguments.host.clone(),
        key: arguments.key.clone(),
        link: arguments.link,
        folder: folder.path().to_owned(),
        data: arguments.data.clone(),
        quick: choice.quick,
    };
    let wanted =
        |way: &Way| choice.takes_part(*way) && choice.rows().any(|row| row.ways.contains(way));
    let mut peers = Vec::new();
    for way in Way::ALL.into_iter().filter(wanted) {
        match Peer::start(way, &stage) {
            Ok(peer) => peers.push(peer),
            Err(error) => complain(&format!("{error:#}: it is passed over")),
        }
    }
    for row in choice.rows() {
        for peer in peers.iter().filter(|peer| row.ways.contains(&peer.way)) {
            let outcome = (row.measure)(peer, &stage);
            let record = Record {
                link: stage.link,
                row: row.id.to_owned(),
                way: peer.way,
                error: outcome.as_ref().err().map(|error| format!("{error:#}")),
                figures: outcome.unwrap_or_default(),
            };
            say(&progress(&record));
            if let Some(file) = &choice.json {
                record.append(file)?;
            }
        }
    }
    Ok(())
}

fn progress(record: &Record) -> String {
    let figures: Vec<String> =
        record.figures.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
    let outcome = record.error.clone().unwrap_or_else(|| figures.join(", "));
    format!(
        "{:<7}{:<12}{:<24}{outcome}",
        format!("{:?}", record.link),
        record.row,
        record.way.title()
    )
}
