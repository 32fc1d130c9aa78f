//! `dockbridge doctor`: checks what dockbridge needs, on this computer and in the cloud, and
//! repairs what is safe to repair. It wakes no machine and creates nothing in the cloud.

mod checks;
mod fix;
mod found;
mod print;
mod schedule;
mod surroundings;

use std::sync::Arc;

use api::{Check, CheckState, Code, DoctorDocument, Repair};
use futures::FutureExt as _;
use machine::with_causes;
use secrecy::SecretString;

use self::schedule::{Done, run_all};
use self::surroundings::Surroundings;
use crate::failure::{Failure, Outcome};
use crate::json::say_json;
use crate::output::say_styled;
use crate::resolved::{GlobalArgs, Resolved};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Repair what is safe: file modes, stale sockets, the docker context
    #[arg(long)]
    fix: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let mut examined = Examined::of(global).await?;
    let mut repairs = Vec::new();
    if arguments.fix {
        repairs = examined.repair();
        if repairs.iter().any(|repair| repair.done) {
            examined = Examined::of(global).await?;
        }
    }
    let checks = examined.checks();
    if arguments.json {
        let profile = examined.around.resolved.profile.to_string();
        say_json(&DoctorDocument::new(VERSION, &profile, &repairs, &checks))?;
    } else {
        print::lines(&checks, &repairs).iter().all(|line| say_styled(line));
    }
    match checks.iter().filter(|check| check.state == CheckState::Broken).count() {
        0 => Ok(()),
        broken => Err(Failure::bare(
            Code::ChecksFailed,
            format!("{broken} of {} checks found something broken", checks.len()),
        )),
    }
}

/// All checks, with what they looked at.
pub struct Examined {
    around: Arc<Surroundings>,
    done: Vec<Done>,
}

impl Examined {
    /// Makes all checks.
    pub async fn of(global: &GlobalArgs) -> Outcome<Self> {
        let (resolved, problems) = Resolved::read(global)?;
        let around = Arc::new(Surroundings::new(resolved, problems));
        let done = run_all(|code| {
            let around = Arc::clone(&around);
            async move { checks::look(code, &around).await }.boxed()
        })
        .await;
        Ok(Self { around, done })
    }

    /// What was found.
    pub fn checks(&self) -> Vec<Check> {
        self.done.iter().map(|done| done.check.clone()).collect()
    }

    /// Arguments and settings.
    pub fn resolved(&self) -> &Resolved {
        &self.around.resolved
    }

    /// The token that the checks used, if there is one.
    pub async fn token(&self) -> Option<SecretString> {
        self.around.token().await.ok().cloned()
    }

    fn repair(&self) -> Vec<Repair> {
        let mut repairs = Vec::new();
        for done in &self.done {
            for fix in &done.fixes {
                let applied = fix.apply(self.resolved());
                repairs.push(Repair {
                    code: done.check.code,
                    done: applied.is_ok(),
                    message: applied.unwrap_or_else(|error| with_causes(&error)),
                });
            }
        }
        repairs
    }
}

/// The document of `doctor --json`.
pub fn document<'a>(profile: &'a str, checks: &'a [Check]) -> DoctorDocument<'a> {
    DoctorDocument::new(VERSION, profile, &[], checks)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use api::CheckCode;

    /// The list of `docs/doctor.md`, from the registry.
    fn reference() -> String {
        let mut text = String::new();
        for code in CheckCode::ALL {
            let entry = code.entry();
            let item = |name, text: &str| testkit::wrapped(&format!("- {name}: {text}"), "  ");
            let _ = writeln!(
                text,
                "\n### `{code}`\n\n{}\n\n{}\n{}\n- Limit: {} s",
                testkit::wrapped(&format!("{}: {}", entry.title, entry.about), ""),
                item("Cause", entry.cause),
                item("What to do", entry.cure),
                entry.ceiling.as_secs(),
            );
            for other in entry.depends_on {
                let _ = writeln!(text, "- Not run after a failure of: `{other}`");
            }
        }
        text.push('\n');
        text
    }

    #[test]
    fn checks_reference_follows_the_registry() {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/doctor.md");
        let test = "-p dockbridge --bin dockbridge reference";
        testkit::compare_generated(&document, "checks", &reference(), test);
    }
}
