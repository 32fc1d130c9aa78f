//! `dockbridge completions`: what a shell needs to complete commands and arguments.

use clap::CommandFactory as _;
use clap_complete::aot::{Shell, generate};

use crate::Arguments;
use crate::failure::Outcome;
use crate::output::say_as_is;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: ShellKind,
}

/// The shells for which packages install completions.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ShellKind {
    /// For example into ~/.local/share/bash-completion/completions/dockbridge
    Bash,
    /// As _dockbridge, into a directory of $fpath
    Zsh,
    /// For example into ~/.config/fish/completions/dockbridge.fish
    Fish,
}

impl From<ShellKind> for Shell {
    fn from(kind: ShellKind) -> Self {
        match kind {
            ShellKind::Bash => Self::Bash,
            ShellKind::Zsh => Self::Zsh,
            ShellKind::Fish => Self::Fish,
        }
    }
}

pub fn run(arguments: &Args) -> Outcome {
    let mut text = Vec::new();
    let mut command = Arguments::command();
    generate(Shell::from(arguments.shell), &mut command, "dockbridge", &mut text);
    say_as_is(&String::from_utf8_lossy(&text));
    Ok(())
}
