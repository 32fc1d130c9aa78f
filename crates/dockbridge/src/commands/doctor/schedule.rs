//! Runs all checks at once, each with its ceiling, and each only after those that it depends on
//! have succeeded. Knows no check: it gets a function that looks.

use std::collections::BTreeMap;

use api::{Check, CheckCode, CheckState};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, join_all};
use tokio::time::{Instant, timeout};

use super::fix::Fix;
use super::found::Found;
use crate::output::with_arguments;

/// A check with its result, and with what `--fix` can do.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    pub check: Check,
    pub fixes: Vec<Fix>,
}

/// Runs all checks, and returns them in the order of the registry.
pub async fn run_all<L>(look: L) -> Vec<Done>
where
    L: Fn(CheckCode) -> BoxFuture<'static, Found>,
{
    let mut running: BTreeMap<CheckCode, Shared<BoxFuture<'static, Done>>> = BTreeMap::new();
    for code in CheckCode::ALL {
        let grounds = code.entry().depends_on.iter();
        let grounds: Vec<_> = grounds.filter_map(|ground| running.get(ground).cloned()).collect();
        // Not polled before its grounds have succeeded.
        let looking = look(*code);
        let check = async move {
            for ground in join_all(grounds).await {
                let failed = ground.check.state == CheckState::Broken;
                let because = failed.then_some(ground.check.code);
                if let Some(because) = because.or(ground.check.not_run_because) {
                    return without_ground(*code, because);
                }
            }
            let begun = Instant::now();
            let ceiling = code.entry().ceiling;
            // A task of its own: a system call that blocks delays no other check.
            let mut task = tokio::spawn(looking);
            let found = match timeout(ceiling, &mut task).await {
                Ok(Ok(found)) => found,
                Ok(Err(error)) => Found::broken(format!("the check itself failed: {error}")),
                Err(_) => {
                    task.abort();
                    Found::broken(format!("no result within {} s", ceiling.as_secs()))
                }
            };
            done(*code, found, begun.elapsed().as_secs_f64())
        };
        running.insert(*code, check.boxed().shared());
    }
    join_all(running.into_values()).await
}

/// The result of a check whose ground failed.
fn without_ground(code: CheckCode, because: CheckCode) -> Done {
    let message = format!("not run, because {} failed", because.entry().title);
    let done = done(code, Found::not_run(message), 0.0);
    Done { check: Check { not_run_because: Some(because), ..done.check }, ..done }
}

/// The check with what it found, completed from the registry.
pub fn done(code: CheckCode, found: Found, seconds: f64) -> Done {
    let Found { state, message, cause, cures, fixes } = found;
    let entry = code.entry();
    let has_advice = matches!(state, CheckState::Hint | CheckState::Broken);
    let cures = match cures.is_empty() {
        true => vec![entry.cure.to_owned()],
        false => cures,
    };
    let check = Check {
        code,
        title: entry.title.to_owned(),
        state,
        message: with_arguments(&message),
        cause: has_advice.then(|| sentence(cause.as_deref().unwrap_or(entry.cause))),
        cure: match has_advice {
            true => cures.iter().map(|cure| with_arguments(&sentence(cure))).collect(),
            false => Vec::new(),
        },
        depends_on: entry.depends_on.to_vec(),
        not_run_because: None,
        fixable: !fixes.is_empty(),
        seconds: (seconds * 1e3).round() / 1e3,
    };
    Done { check, fixes }
}

/// Hints of errors begin with a small letter and have no full stop; the registry has sentences. A
/// text that ends in a path or an assignment is for copying.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let last = text.split_whitespace().next_back().unwrap_or_default();
    let is_whole = last.ends_with(['.', ':', '…']) || last.contains(['/', '=']);
    let stop = if is_whole { "" } else { "." };
    first.into_iter().chain(letters).chain(stop.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_become_sentences() {
        assert_eq!(sentence("unset DOCKER_HOST"), "Unset DOCKER_HOST.");
        assert_eq!(sentence("`dockbridge stop` ends it"), "`dockbridge stop` ends it.");
        assert_eq!(sentence("It is whole."), "It is whole.");
        assert_eq!(sentence("export DOCKER_HOST=x"), "Export DOCKER_HOST=x");
    }

    fn state(done: &[Done], code: CheckCode) -> (CheckState, Option<CheckCode>) {
        let found = done.iter().find(|done| done.check.code == code).unwrap();
        (found.check.state, found.check.not_run_because)
    }

    #[tokio::test]
    async fn check_without_its_ground_is_not_run_and_names_the_first_failure() {
        let done = run_all(|code| {
            async move {
                match code {
                    CheckCode::NameLookup => Found::broken("no such name"),
                    // They depend on it.
                    CheckCode::Https | CheckCode::Api => panic!("{code} was run"),
                    _ => Found::ok("fine"),
                }
            }
            .boxed()
        })
        .await;
        let codes: Vec<_> = done.iter().map(|done| done.check.code).collect();
        assert_eq!(codes, CheckCode::ALL);
        let because = Some(CheckCode::NameLookup);
        assert_eq!(state(&done, CheckCode::Https), (CheckState::NotRun, because));
        assert_eq!(state(&done, CheckCode::TokenWrites), (CheckState::NotRun, because));
        assert_eq!(state(&done, CheckCode::Token), (CheckState::Ok, None));
    }

    #[tokio::test]
    async fn check_that_does_not_apply_stops_no_other() {
        let done = run_all(|code| {
            async move {
                match code {
                    CheckCode::Socket => Found::not_run("nothing to see"),
                    _ => Found::ok("fine"),
                }
            }
            .boxed()
        })
        .await;
        assert_eq!(state(&done, CheckCode::VolumeFill), (CheckState::Ok, None));
    }

    #[tokio::test(start_paused = true)]
    async fn check_that_hangs_fails_at_its_ceiling_and_delays_no_other() {
        let begun = Instant::now();
        let done = run_all(|code| {
            async move {
                match code {
                    CheckCode::DockerClient | CheckCode::Socket => std::future::pending().await,
                    _ => Found::ok("fine"),
                }
            }
            .boxed()
        })
        .await;
        let ceiling = CheckCode::DockerClient.entry().ceiling;
        let longest = ceiling.max(CheckCode::Socket.entry().ceiling);
        assert_eq!(begun.elapsed(), longest, "they run at once");
        let client = done.iter().find(|done| done.check.code == CheckCode::DockerClient).unwrap();
        assert_eq!(client.check.message, format!("no result within {} s", ceiling.as_secs()));
        assert_eq!(client.check.state, CheckState::Broken);
        let because = Some(CheckCode::DockerClient);
        assert_eq!(state(&done, CheckCode::DockerContext), (CheckState::NotRun, because));
    }
}
