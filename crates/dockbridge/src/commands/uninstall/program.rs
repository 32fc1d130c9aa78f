//! The program's own files. `install.sh` writes a list of what it installed; where there is none, a
//! package manager or the user installed the program, and removes it.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The list of installed files, below the prefix.
const LIST: &str = "share/dockbridge/installed";

/// How this program was installed.
#[derive(Debug, PartialEq, Eq)]
pub enum Program {
    /// By `install.sh`.
    Installed {
        /// The directory above `bin`.
        prefix: PathBuf,
        /// Files, then directories that were created for them, each after what it contains.
        files: Vec<PathBuf>,
    },
    /// By other means, at this path.
    Elsewhere(PathBuf),
}

impl Program {
    /// The program that runs.
    pub fn find() -> Self {
        let path = std::env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
        Self::at(&path)
    }

    fn at(path: &Path) -> Self {
        let prefix = path.parent().and_then(Path::parent);
        let listed = prefix.and_then(|prefix| {
            let list = fs::read_to_string(prefix.join(LIST)).ok()?;
            let files: Vec<PathBuf> =
                list.lines().filter(|line| is_inside(line)).map(|line| prefix.join(line)).collect();
            // The list of another copy of the program does not concern this one.
            let is_own = files.iter().any(|file| file == path);
            is_own.then(|| Self::Installed { prefix: prefix.to_owned(), files })
        });
        listed.unwrap_or_else(|| Self::Elsewhere(path.to_owned()))
    }
}

/// Whether a line names something below the prefix.
fn is_inside(line: &str) -> bool {
    let mut components = Path::new(line).components();
    !line.is_empty() && components.all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_files_below_the_prefix_belong_to_the_program() {
        let prefix = tempfile::tempdir().unwrap();
        let prefix = prefix.path();
        fs::create_dir_all(prefix.join("share/dockbridge")).unwrap();
        let program = prefix.join("bin/dockbridge");
        assert_eq!(Program::at(&program), Program::Elsewhere(program.clone()));

        let list = "bin/dockbridge\nshare/dockbridge/installed\n../outside\n/etc/passwd\n\nbin\n";
        fs::write(prefix.join(LIST), list).unwrap();
        let files = ["bin/dockbridge", "share/dockbridge/installed", "bin"];
        let installed = Program::Installed {
            prefix: prefix.to_owned(),
            files: files.iter().map(|file| prefix.join(file)).collect(),
        };
        assert_eq!(Program::at(&program), installed);

        let other = prefix.join("bin/other");
        assert_eq!(Program::at(&other), Program::Elsewhere(other.clone()), "not in the list");
    }
}
