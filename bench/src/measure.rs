//! Measures rows on one link, in the network that this process is in: each row by each route before
//! the next row, so that what changes on the host meanwhile changes for all of them.

use std::path::PathBuf;

use anyhow::Result;

use crate::link::Link;
use crate::output::{complain, say};
use crate::peer::Peer;
use crate::record::Record;
use crate::route::Route;
use crate::rows::{ROWS, Row};
use crate::stage::{Against, Stage};

/// Which rows and routes are measured; the same arguments for one link and for a whole run.
#[derive(Debug, Clone, clap::Args)]
pub struct Choice {
    /// Rows, instead of all: a list with commas
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(ROWS.map(|row| row.id)))]
    pub rows: Vec<String>,
    /// Routes, instead of all
    #[arg(long, value_delimiter = ',', value_name = "ROUTE")]
    pub routes: Vec<Route>,
    /// Fewer repetitions, smaller transfers, and without ssh:// unless it is named
    #[arg(long)]
    pub quick: bool,
    /// Program of another revision, to measure beside this one; scripts/bench takes a revision
    #[arg(long, value_name = "PROGRAM", requires = "against_agent")]
    pub against: Option<PathBuf>,
    /// Directory with the other revision's agent
    #[arg(long, value_name = "DIR")]
    pub against_agent: Option<PathBuf>,
    /// How often each row is measured; every other time in reverse order. 3 with --against, else 1
    #[arg(long, value_name = "NUMBER")]
    pub rounds: Option<usize>,
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
        list(&mut arguments, "--routes", self.routes.iter().map(Route::to_string).collect());
        list(
            &mut arguments,
            "--json",
            self.json.iter().map(|path| path.display().to_string()).collect(),
        );
        let paths = [("--against", &self.against), ("--against-agent", &self.against_agent)];
        for (name, path) in paths {
            let path = path.iter().map(|path| path.display().to_string());
            list(&mut arguments, name, path.collect());
        }
        list(&mut arguments, "--rounds", self.rounds.iter().map(usize::to_string).collect());
        arguments.extend(self.quick.then(|| "--quick".to_owned()));
        arguments
    }

    fn rows(&self, link: Link) -> impl Iterator<Item = &'static Row> {
        let is_chosen =
            |row: &&Row| self.rows.is_empty() || self.rows.iter().any(|id| id == row.id);
        ROWS.into_iter().filter(is_chosen).filter(move |row| row.is_on(link))
    }

    fn takes_part(&self, route: Route) -> bool {
        match route {
            Route::Against => self.against.is_some(),
            _ if !self.routes.is_empty() => self.routes.contains(&route),
            // Two revisions are compared with each other; other routes take part when named.
            _ if self.against.is_some() => route == Route::Dockbridge,
            _ => !(self.quick && route.opens_by_login()),
        }
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.against.is_some() { 3 } else { 1 })
    }

    fn other_revision(&self) -> Option<Against> {
        let (program, agent) = (self.against.clone()?, self.against_agent.clone()?);
        Some(Against { program, agent })
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
    /// Directory of the files to send
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    choice: Choice,
}

/// Measures.
pub fn run(arguments: &Args) -> Result<()> {
    let choice = &arguments.choice;
    let directory = tempfile::Builder::new().prefix("dbb-").tempdir()?;
    let stage = Stage {
        host: arguments.host.clone(),
        key: arguments.key.clone(),
        link: arguments.link,
        directory: directory.path().to_owned(),
        data: arguments.data.clone(),
        quick: choice.quick,
        against: choice.other_revision(),
    };
    let rows: Vec<&Row> = choice.rows(stage.link).collect();
    let wanted =
        |route: &Route| choice.takes_part(*route) && rows.iter().any(|row| row.has(*route));
    let mut peers = Vec::new();
    for route in Route::ALL.into_iter().filter(wanted) {
        match Peer::start(route, &stage) {
            Ok(peer) => peers.push(peer),
            Err(error) => complain(&format!("{error:#}: it is skipped")),
        }
    }
    let in_turn = rows.iter().flat_map(|row| (0..choice.rounds()).map(move |round| (row, round)));
    for (row, round) in in_turn {
        let mut taking_part: Vec<&Peer> = peers.iter().filter(|peer| row.has(peer.route)).collect();
        // A host becomes warmer, or busier, while it measures.
        if round % 2 == 1 {
            taking_part.reverse();
        }
        for peer in taking_part {
            let outcome = (row.measure)(peer, &stage);
            let record = Record {
                link: stage.link,
                row: row.id.to_owned(),
                route: peer.route,
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
        record.route.title()
    )
}
