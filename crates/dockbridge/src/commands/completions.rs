//! `dockbridge completions`: what a shell needs to complete commands and arguments.

use api::Code;
use clap::CommandFactory as _;
use clap_complete::aot::{Shell, generate};

use crate::Arguments;
use crate::failure::{Failure, Outcome};
use crate::output::say_as_is;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell, instead of the one that SHELL names
    #[arg(value_enum)]
    shell: Option<ShellKind>,
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

impl ShellKind {
    /// The user's login shell; `None` for one without completions here.
    fn of_the_user() -> Option<Self> {
        Some(match Shell::from_env()? {
            Shell::Bash => Self::Bash,
            Shell::Zsh => Self::Zsh,
            Shell::Fish => Self::Fish,
            _ => return None,
        })
    }
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
    let shell = arguments.shell.or_else(ShellKind::of_the_user).ok_or_else(|| {
        Failure::bare(Code::SettingsInvalid, "SHELL names neither bash nor zsh nor fish")
            .hint("`dockbridge completions bash`, for example")
            .code(2)
    })?;
    let mut text = Vec::new();
    let mut command = Arguments::command();
    generate(Shell::from(shell), &mut command, "dockbridge", &mut text);
    say_as_is(&String::from_utf8_lossy(&text));
    Ok(())
}
