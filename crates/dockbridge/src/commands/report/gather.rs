//! What a bundle contains, and which secrets this computer has that must not be in it.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Stdio;

use api::{StatusDocument, WhyDocument};
use machine::Profile;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::process::Command;

use super::bundle::Piece;
use super::redact::Redactor;
use crate::commands::doctor::{self, Examined};
use crate::commands::service::installed::Units;
use crate::commands::{config, version};
use crate::credentials::is_in_keyring;
use crate::failure::Outcome;
use crate::resolved::{GlobalArgs, Resolved};

/// Bytes of the end of a log. A day of a busy daemon at level `info` is less.
const LONGEST_LOG: u64 = 1 << 20;
/// Lines of the journal, about as much.
const LONGEST_JOURNAL: &str = "8000";

/// All files of the bundle, without secrets.
pub async fn pieces(
    examined: &Examined,
    global: &GlobalArgs,
    redactor: &Redactor,
) -> Outcome<Vec<Piece>> {
    let resolved = examined.resolved();
    let state = resolved.paths.profile_state(&resolved.profile);
    let (profile, checks) = (resolved.profile.to_string(), examined.checks());
    let json = |document: &dyn erased::Document| redactor.json(document.value());
    let piece = |name, about, text| Piece { name, about, text };
    let mut pieces = vec![
        piece("doctor.json", "`doctor --json`", json(&doctor::document(&profile, &checks))),
        piece("version.json", "`version --json`", json(&version::document(global).await)),
        piece("settings.yaml", "`config show`", redactor.text(&config::shown::all(resolved))),
    ];
    match resolved.daemon().status().await {
        Ok(status) => pieces.extend([
            piece("status.json", "`status --json`", json(&StatusDocument::new(&status, None))),
            piece("why.json", "`why --json`", json(&WhyDocument::of(&status))),
        ]),
        Err(error) => {
            let failed = api::Failed::new(api::Error::new(error.code(), error.to_string()));
            pieces.push(piece("status.json", "why there is no status", json(&failed)));
        }
    }
    let log = match end_of(&state.join("daemon.log")) {
        text if text.is_empty() => journal(resolved).await,
        text => text,
    };
    pieces.push(piece("daemon.log", "the end of the daemon's log", redactor.text(&log)));
    let audit = end_of(&state.join("audit.jsonl"));
    pieces.push(piece("audit.jsonl", "what changed the cloud", redactor.text(&audit)));
    Ok(pieces)
}

mod erased {
    //! Documents of several types, as values.

    pub trait Document {
        fn value(&self) -> serde_json::Value;
    }

    impl<T: super::Serialize> Document for T {
        fn value(&self) -> serde_json::Value {
            serde_json::to_value(self).unwrap_or_default()
        }
    }
}

/// The last whole lines of a file; empty if it cannot be read.
fn end_of(path: &Path) -> String {
    let read = || {
        let mut file = fs::File::open(path)?;
        let begin = file.metadata()?.len().saturating_sub(LONGEST_LOG);
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        file.take(LONGEST_LOG).read_to_end(&mut bytes)?;
        std::io::Result::Ok((bytes, begin > 0))
    };
    let Ok((bytes, is_cut)) = read() else { return String::new() };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // Half a line may hold half a secret, which nothing would recognize.
    match text.split_once('\n') {
        Some((_, whole)) if is_cut => whole.to_owned(),
        _ => text,
    }
}

/// The log of a daemon that is a service; empty if it is none.
async fn journal(resolved: &Resolved) -> String {
    let Some(units) = Units::serving(resolved) else { return String::new() };
    let mut journalctl = Command::new("journalctl");
    journalctl.args(["--user", "--no-pager", "--lines", LONGEST_JOURNAL, "--unit"]);
    journalctl.arg(&units.names.service).stdin(Stdio::null()).stderr(Stdio::null());
    let output = journalctl.output().await.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).into_owned()
}

/// Each secret that this computer has: tokens of all profiles, login keys, the commands that print
/// tokens, and variables whose names say that they are secret.
pub fn known_secrets(resolved: &Resolved, token: Option<SecretString>) -> Vec<String> {
    let hetzner = &resolved.settings.hetzner;
    let mut known: Vec<String> = Vec::new();
    known.extend(token.map(|token| token.expose_secret().to_owned()));
    known.extend(hetzner.api_token.as_ref().map(|it| it.secret.expose_secret().to_owned()));
    known.extend(hetzner.token_command.clone());
    let paths = &resolved.paths;
    let mut files = vec![paths.private_key()];
    files.extend(resolved.settings.ssh.private_key_path.clone());
    files.extend([&resolved.profile, &Profile::default()].map(|profile| paths.token(profile)));
    let others = fs::read_dir(paths.config().join("profiles")).into_iter().flatten().flatten();
    files.extend(others.map(|profile| profile.path().join("token")));
    let contents = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    known.extend(contents.filter(|content| !is_in_keyring(content)));
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let is_secret = name.to_str().is_some_and(super::redact::is_secret_name);
        is_secret.then(|| value.to_string_lossy().into_owned())
    });
    known.extend(variables);
    known
}
