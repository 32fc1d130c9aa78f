//! The settings, and the files that dockbridge has on this computer: whether they are valid,
//! private and writable.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;

use crate::commands::doctor::fix::Fix;
use crate::commands::doctor::found::Found;
use crate::commands::doctor::surroundings::Surroundings;
use crate::resolved::Resolved;
use crate::settings::token::Source;
use crate::settings::{Problem, Severity};

/// Bytes. A log, a token or a state file needs less.
const ROOM_NEEDED: u64 = 1 << 20;

pub fn settings(around: &Surroundings) -> Found {
    let Surroundings { resolved, problems, .. } = around;
    let path = resolved.settings_file.exists().then_some(resolved.settings_file.as_path());
    judge_settings(path, problems, resolved.endpoint_not_used())
}

/// `not_used` is the warning of an endpoint that has no effect.
fn judge_settings(path: Option<&Path>, problems: &[Problem], not_used: Option<String>) -> Found {
    let of = |severity| problems.iter().filter(move |problem| problem.severity == severity);
    let message = |severity| {
        let messages: Vec<String> = of(severity).map(ToString::to_string).collect();
        messages.join("; ")
    };
    if of(Severity::Refused).next().is_some() {
        let mut cures: Vec<&str> = of(Severity::Refused).filter_map(Problem::hint).collect();
        cures.dedup();
        let found = Found::broken(message(Severity::Refused));
        return cures
            .into_iter()
            .chain(["`dockbridge config show` prints all settings with their values"])
            .fold(found, Found::cure);
    }
    if of(Severity::Warned).next().is_some() {
        return Found::hint(message(Severity::Warned)).cause("It works, but not as intended.");
    }
    match (not_used, path) {
        (Some(warning), _) => Found::hint(warning)
            .cause("A saved token is only sent to the address that it was checked with."),
        (None, Some(path)) => Found::ok(path.display().to_string()),
        (None, None) => Found::ok("there is no file: dockbridge uses its defaults"),
    }
}

/// A file or directory that only its owner may read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Private {
    path: PathBuf,
    mode: u32,
    is_directory: bool,
}

/// A directory in which dockbridge writes, or would create its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    path: PathBuf,
    /// Why nothing can be written there.
    obstacle: Option<String>,
}

pub fn files(around: &Surroundings) -> Found {
    let resolved = &around.resolved;
    let paths = &resolved.paths;
    let places = [paths.config(), paths.state(), paths.run()].map(place);
    let unusable = [resolved.known_owner().err(), resolved.known_login_key().err()];
    let unusable: Vec<api::Error> =
        unusable.into_iter().flatten().map(|failure| failure.error().clone()).collect();
    judge_files(&private(resolved), &places, &unusable)
}

fn judge_files(private: &[Private], places: &[Place], unusable: &[api::Error]) -> Found {
    if let Some(error) = unusable.first() {
        return Found::of_error(error).cause("The file was changed, or copied only in part.");
    }
    let closed = places.iter().find_map(|place| Some((place, place.obstacle.as_ref()?)));
    if let Some((Place { path, .. }, obstacle)) = closed {
        return Found::broken(format!("cannot write in {}: {obstacle}", path.display()))
            .cause("The directory belongs to another user, or its disk is full or read-only.")
            .cure("make room, or set DOCKBRIDGE_HOME to a directory on another disk");
    }
    let open: Vec<&Private> = private.iter().filter(|it| it.mode & 0o077 != 0).collect();
    if open.is_empty() {
        return Found::ok("private, and there is room to write");
    }
    // In an open directory with closed files, others see names only.
    let (directories, files): (Vec<_>, Vec<_>) = open.iter().partition(|it| it.is_directory);
    let list = |open: &[&&Private]| {
        let one = |it: &&&Private| format!("{} (mode {:04o})", it.path.display(), it.mode);
        open.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let found = match files.is_empty() {
        true => Found::hint(format!("other users may enter {}", list(&directories))),
        false => Found::broken(format!("other users may read {}", list(&files))),
    };
    open.into_iter().fold(found, |found, it| {
        let mode = if it.is_directory { 0o700 } else { 0o600 };
        found.fix(Fix::Mode { path: it.path.clone(), mode })
    })
}

/// What has to be private, of what exists.
fn private(resolved: &Resolved) -> Vec<Private> {
    let (paths, profile) = (&resolved.paths, &resolved.profile);
    let default = machine::Profile::default();
    let mut listed = vec![
        paths.config().to_owned(),
        paths.kept(profile),
        paths.profile_state(profile),
        paths.private_key(),
        paths.token(profile),
        paths.token(&default),
    ];
    // Of a socket elsewhere, the user chose the directory.
    listed
        .extend(resolved.socket.parent().filter(|it| it.starts_with(paths.run())).map(Into::into));
    let token = resolved.settings.hetzner.api_token.as_ref();
    if token.is_some_and(|token| token.source == Source::Setting) {
        listed.push(resolved.settings_file.clone());
    }
    listed.sort();
    listed.dedup();
    let seen = listed.into_iter().filter_map(|path| {
        // A link's own mode means nothing, and its target may be shared on purpose.
        let found = fs::symlink_metadata(&path).ok().filter(|found| !found.is_symlink())?;
        Some(Private {
            mode: found.permissions().mode() & 0o777,
            is_directory: found.is_dir(),
            path,
        })
    });
    seen.collect()
}

/// Where a directory is, or would be created, and whether that is possible.
fn place(path: &Path) -> Place {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let refused =
        access(existing, Access::WRITE_OK | Access::EXEC_OK).err().map(|errno| match errno {
            Errno::ROFS => "its disk is read-only".to_owned(),
            Errno::ACCESS => "it belongs to another user".to_owned(),
            other => other.to_string(),
        });
    let is_full = || {
        let disk = statvfs(existing).ok()?;
        // File systems without a limit of their own report no blocks at all.
        let room = disk.f_bavail.saturating_mul(disk.f_frsize);
        (disk.f_blocks > 0 && room < ROOM_NEEDED).then(|| "its disk is full".to_owned())
    };
    Place { path: existing.to_owned(), obstacle: refused.or_else(is_full) }
}

#[cfg(test)]
pub(super) mod tests {
    use api::{CheckCode, CheckState, Code};

    use super::*;

    /// What can be wrong.
    pub fn findings() -> Vec<(CheckCode, Found)> {
        let refused = problem(Severity::Refused, "\"loud\" is no level");
        let doubtful = problem(Severity::Warned, "debug slows transfers down");
        let settings = [
            judge_settings(None, &[refused], None),
            judge_settings(None, &[doubtful], None),
            judge_settings(None, &[], Some("`hetzner.endpoint` is not used".to_owned())),
        ];
        let open = [private("/home/ada", 0o755, true), private("/home/ada/token", 0o640, false)];
        let place =
            Place { path: "/home/ada".into(), obstacle: Some("its disk is full".to_owned()) };
        let damaged = api::Error::new(Code::OwnerInvalid, "/home/ada/owner: not an owner id");
        let files = [
            judge_files(&open, &[], &[]),
            judge_files(&open[..1], &[], &[]),
            judge_files(&[], &[place], &[]),
            judge_files(&[], &[], &[damaged]),
        ];
        let settings = settings.map(|found| (CheckCode::Settings, found));
        settings.into_iter().chain(files.map(|found| (CheckCode::Files, found))).collect()
    }

    fn private(path: &str, mode: u32, is_directory: bool) -> Private {
        Private { path: PathBuf::from(path), mode, is_directory }
    }

    fn problem(severity: Severity, message: &str) -> Problem {
        Problem {
            place: None,
            setting: Some("logging.level".to_owned()),
            message: message.to_owned(),
            severity,
        }
    }

    #[test]
    fn refused_setting_is_broken_and_a_doubtful_one_is_a_hint() {
        let (bad, doubtful) =
            (problem(Severity::Refused, "bad"), problem(Severity::Warned, "doubtful"));
        let found = judge_settings(None, &[doubtful.clone(), bad], None);
        assert_eq!((found.state, &*found.message), (CheckState::Broken, "`logging.level`: bad"));
        assert_eq!(found.cures[0], "write error, warn, info, debug or trace");
        let found = judge_settings(None, &[doubtful], None);
        assert_eq!(found.state, CheckState::Hint);
        let path = Path::new("/home/ada/config.yaml");
        assert_eq!(judge_settings(Some(path), &[], None), Found::ok("/home/ada/config.yaml"));
        let found = judge_settings(Some(path), &[], Some("it is not used".to_owned()));
        assert_eq!(found.state, CheckState::Hint);
    }

    #[test]
    fn what_others_may_read_is_broken_and_its_mode_is_restored() {
        let good = [private("/c", 0o700, true), private("/c/token", 0o400, false)];
        assert_eq!(judge_files(&good, &[], &[]).state, CheckState::Ok);
        let bad = [private("/c", 0o755, true), private("/c/token", 0o640, false)];
        let found = judge_files(&bad, &[], &[]);
        let message = "other users may read /c/token (mode 0640)";
        assert_eq!((found.state, &*found.message), (CheckState::Broken, message));
        let fix = |path: &str, mode| Fix::Mode { path: PathBuf::from(path), mode };
        assert_eq!(found.fixes, [fix("/c", 0o700), fix("/c/token", 0o600)]);
        let found = judge_files(&bad[..1], &[], &[]);
        let message = "other users may enter /c (mode 0755)";
        assert_eq!((found.state, &*found.message), (CheckState::Hint, message));
        assert_eq!(found.fixes, [fix("/c", 0o700)]);
    }

    #[test]
    fn place_that_cannot_be_written_and_a_damaged_file_are_broken() {
        let place = |obstacle: Option<&str>| Place {
            path: PathBuf::from("/home/ada"),
            obstacle: obstacle.map(str::to_owned),
        };
        let found = judge_files(&[], &[place(None), place(Some("its disk is full"))], &[]);
        assert_eq!(
            (found.state, &*found.message),
            (CheckState::Broken, "cannot write in /home/ada: its disk is full")
        );
        let error = api::Error::new(Code::OwnerInvalid, "/c/owner: not an owner id");
        let found = judge_files(&[], &[place(None)], &[error]);
        assert_eq!(
            (found.state, &*found.message),
            (CheckState::Broken, "/c/owner: not an owner id")
        );
    }
}
