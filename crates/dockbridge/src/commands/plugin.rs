//! `dockbridge plugin`: `docker dockbridge …` as another name of this program. The plugin is a link
//! in docker's directory for plugins of the user; another file there is left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use api::Code;

use crate::docker_plugin::NAME;
use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::paths::unremovable;

/// Subcommands of `plugin`.
#[derive(Debug, Clone, Copy, clap::Subcommand)]
pub enum Command {
    /// Link this program into docker's plugins
    Install,
    /// Remove the link
    #[command(aliases = ["rm", "uninstall"])]
    Remove,
}

/// What is at the place of the link.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A link to a dockbridge: this program, or one that is gone.
    Own,
    /// A link to another dockbridge that exists, or no link.
    Foreign,
}

pub fn run(command: Command) -> Outcome {
    let link = link()?;
    match command {
        Command::Install => install(&link),
        Command::Remove => match remove(&link)? {
            true => {
                say(&format!("Removed the docker plugin {}.", link.display()));
                Ok(())
            }
            false => {
                say(&format!("No docker plugin of this dockbridge is at {}.", link.display()));
                Ok(())
            }
        },
    }
}

/// Removes the link if it points to this program. Returns its path if it did.
pub fn remove_own() -> Option<PathBuf> {
    let link = link().ok()?;
    remove(&link).is_ok_and(|removed| removed).then_some(link)
}

/// In `DOCKER_CONFIG`, or in `.docker` of the home.
fn link() -> Outcome<PathBuf> {
    let set = std::env::var_os("DOCKER_CONFIG").filter(|directory| !directory.is_empty());
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".docker"));
    let docker = set.map(PathBuf::from).or_else(home).ok_or_else(|| {
        Failure::of_code(Code::HomeUnknown, "HOME is not set, so docker's directory is unknown")
            .hint("set HOME, or DOCKER_CONFIG to docker's directory")
    })?;
    Ok(docker.join("cli-plugins").join(NAME))
}

fn install(link: &Path) -> Outcome {
    let program = std::env::current_exe()?;
    if found(link, &program) == Found::Foreign {
        let message = format!("{} is not a link to this dockbridge", link.display());
        return Err(Failure::of_code(Code::FileNotWritten, message)
            .hint("move it away, and run `dockbridge plugin install` again"));
    }
    if let Some(directory) = link.parent() {
        fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    }
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(unremovable(link, &error));
        }
        _ => {}
    }
    std::os::unix::fs::symlink(&program, link).map_err(|error| unwritable(link, &error))?;
    say(&format!("Linked {} to {}.", link.display(), program.display()));
    say("`docker dockbridge status` now runs `dockbridge status`.");
    Ok(())
}

/// Whether there was a link to this program. docker's directories go with it if they are empty
/// then.
fn remove(link: &Path) -> Outcome<bool> {
    if found(link, &std::env::current_exe()?) != Found::Own {
        return Ok(false);
    }
    fs::remove_file(link).map_err(|error| unremovable(link, &error))?;
    for directory in link.ancestors().skip(1).take(2) {
        let _ = fs::remove_dir(directory);
    }
    Ok(true)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::bare(Code::FileNotWritten, format!("cannot write {}: {error}", path.display()))
        .hint("make docker's directory writable, or choose another one with DOCKER_CONFIG")
}

fn found(link: &Path, program: &Path) -> Found {
    if fs::symlink_metadata(link).is_err() {
        return Found::Nothing;
    }
    let Ok(target) = fs::read_link(link) else { return Found::Foreign };
    let same = |path: &Path| fs::canonicalize(path).ok();
    match same(link) {
        Some(there) if same(program).is_some_and(|own| own == there) => Found::Own,
        None if target.file_name().is_some_and(|name| name == "dockbridge") => Found::Own,
        _ => Found::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_link_to_this_program_or_to_one_that_is_gone_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (program, link) = (path("dockbridge"), path(NAME));
        fs::write(&program, "").unwrap();
        assert_eq!(found(&link, &program), Found::Nothing);
        for (target, expected) in [
            ("dockbridge", Found::Own),
            ("gone/dockbridge", Found::Own),
            ("gone/x", Found::Foreign),
        ] {
            symlink(path(target), &link).unwrap();
            assert_eq!(found(&link, &program), expected, "{target}");
            fs::remove_file(&link).unwrap();
        }
        fs::create_dir(path("other")).unwrap();
        fs::write(path("other/dockbridge"), "").unwrap();
        symlink(path("other/dockbridge"), &link).unwrap();
        assert_eq!(found(&link, &program), Found::Foreign, "another dockbridge is installed");
        fs::remove_file(&link).unwrap();
        fs::write(&link, "").unwrap();
        assert_eq!(found(&link, &program), Found::Foreign);
    }
}
