//! `dockbridge report`: a bundle for a bug report, without secrets. It wakes no machine.

mod bundle;
mod gather;
mod redact;

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use self::bundle::archive;
use self::gather::{known_secrets, pieces};
use self::redact::Redactor;
use super::doctor::Examined;
use crate::failure::Outcome;
use crate::output::say;
use crate::paths::unwritable;
use crate::resolved::GlobalArgs;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to write, instead of dockbridge-report-TIME.tar.gz in the working directory
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let now = Timestamp::now();
    let name = format!("dockbridge-report-{}", now.strftime("%Y%m%d-%H%M%S"));
    let path = arguments.output.unwrap_or_else(|| Path::new(&name).with_extension("tar.gz"));
    let examined = Examined::of(global).await?;
    let resolved = examined.resolved();
    let redactor = Redactor::new(known_secrets(resolved, examined.token().await));
    let pieces = pieces(&examined, global, &redactor).await?;
    let bytes = archive(&name, &pieces, now.as_second())?;
    let path = std::path::absolute(&path)?;
    platform::private_file::write(&path, &bytes).map_err(|error| unwritable(&path, &error))?;
    say(&format!("Wrote {}, readable by you alone:", path.display()));
    for piece in &pieces {
        say(&format!("  {:<14} {:>8} bytes, {}", piece.name, piece.text.len(), piece.about));
    }
    say(
        "Tokens, keys, passwords, user names in addresses and the values of commands are removed. \
         Names of containers, images and paths are not: read it before you send it.",
    );
    Ok(())
}
