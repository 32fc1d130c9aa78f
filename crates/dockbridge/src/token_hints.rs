//! What a user can do about a token that the cloud rejects: it depends on the token's source.

use std::sync::OnceLock;

use crate::settings::token::Source;

/// The token that this process uses. The hints for a rejected token depend on its source.
static USED: OnceLock<Used> = OnceLock::new();

struct Used {
    source: Source,
    overridden: Option<Source>,
}

/// Records the token that this process uses. `overridden` is where `init` saved one that `source`
/// overrides.
pub fn remember(source: Source, overridden: Option<Source>) {
    let _ = USED.set(Used { source, overridden });
}

/// Hints for a token that the cloud rejects, by its source.
pub fn refused_token_hints(generic: &str) -> Vec<String> {
    let Some(Used { source, overridden }) = USED.get() else { return vec![generic.to_owned()] };
    let instead = match source {
        Source::Variable(name) => format!("unset {name}, or set it to a valid token"),
        Source::Setting => "remove it from the settings, or write a valid one".to_owned(),
        Source::Command => "change the command, or remove the setting".to_owned(),
        Source::Kept(_) | Source::Keyring | Source::Argument | Source::Input => {
            return vec![generic.to_owned()];
        }
    };
    match overridden {
        Some(kept) => {
            vec![format!(
                "the token comes from {source}, which overrides the one that `init` saved in \
                 {kept}: {instead}"
            )]
        }
        None => vec![
            generic.to_owned(),
            format!(
                "the token comes from {source}, which overrides one that `init` saves: {instead}"
            ),
        ],
    }
}
