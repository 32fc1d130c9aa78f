//! The token: where it comes from, whether the API accepts it, whether it may write; and this
//! computer's clock, by the API's dates.

use api::{CheckCode, Code};

use crate::cloud_access::may_write;
use crate::commands::doctor::found::Found;
use crate::commands::doctor::surroundings::{Refusal, Surroundings, refused};
use crate::hints::warning_hints;
use crate::settings::token::Source;

/// Where a token was found, and where the saved one is that it overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    source: Option<Source>,
    overridden: Option<Source>,
}

pub async fn token(around: &Surroundings) -> Found {
    let saved = around.resolved.kept_source();
    let origin = match around.resolved.overrides_kept() {
        Some(source) => Origin { source: Some(source), overridden: saved },
        None => Origin { source: saved, overridden: None },
    };
    judge_token(around.token().await.err(), &origin)
}

fn judge_token(error: Option<&api::Error>, origin: &Origin) -> Found {
    if let Some(error) = error {
        return Found::of_error(error);
    }
    let Some(source) = &origin.source else { return Found::ok("found") };
    match &origin.overridden {
        None => Found::ok(format!("from {source}")),
        Some(saved) => Found::hint(format!("from {source}, which overrides {saved}"))
            .cause("`dockbridge init` saved a token, and the settings have another one.")
            .cure("nothing, if that is intended; else remove one of the two"),
    }
}

pub async fn api(around: &Surroundings) -> Found {
    let endpoint = around.resolved.endpoint();
    let source = around.resolved.overrides_kept();
    match around.project().await {
        Ok(project) => judge_api(project.answer.as_ref().err(), &endpoint, source.as_ref()),
        Err(error) => Found::of_error(error),
    }
}

fn judge_api(refusal: Option<&Refusal>, endpoint: &str, source: Option<&Source>) -> Found {
    let Some(Refusal { error, .. }) = refusal else {
        return Found::ok(format!("{endpoint} accepts the token"));
    };
    let found = Found::of_error(error);
    if error.code != Code::TokenInvalid {
        return found.cause("The API is down, or something stands between it and this computer.");
    }
    let from = source.map(|source| format!(" from {source}")).unwrap_or_default();
    Found { message: format!("{endpoint} rejects the token{from}"), ..found }
        .cause("The token was deleted, or belongs to another cloud.")
}

pub async fn writes(around: &Surroundings) -> Found {
    match around.project().await {
        Ok(project) => {
            let answer = may_write(&project.client).await;
            judge_writes(answer.map_err(|error| refused(&error)))
        }
        Err(error) => Found::of_error(error),
    }
}

fn judge_writes(answer: Result<bool, api::Error>) -> Found {
    match answer {
        Ok(true) => Found::ok("the token may write"),
        Ok(false) => {
            Found::broken("the token can only read, but dockbridge creates and deletes machines")
        }
        Err(error) => Found::of_error(&error).cause("The API did not answer this request."),
    }
}

pub async fn clock(around: &Surroundings) -> Found {
    let Ok(project) = around.project().await else {
        return Found::not_run(format!(
            "not run, because {} failed",
            CheckCode::Token.entry().title
        ));
    };
    judge_clock(project.client.clock_offset(), project.answer.as_ref().err())
}

fn judge_clock(offset: Option<i64>, refusal: Option<&Refusal>) -> Found {
    let doubt = "by this computer's clock the API's certificate is expired or not valid yet";
    match (offset, refusal) {
        (None, Some(refusal)) if refusal.is_clock_trouble => Found::broken(doubt),
        (None, _) => Found::not_run("no answer of the API had a date"),
        (Some(offset), _) => match daemon::clock_condition(offset) {
            Some(condition) => {
                let found = Found::broken(condition.to_string());
                warning_hints(&condition).into_iter().fold(found, Found::cure)
            }
            None => Found::ok(match offset.unsigned_abs() {
                0..=1 => "as the API's".to_owned(),
                seconds => format!("{seconds} s from the API's"),
            }),
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use api::CheckState::{Broken, Hint, NotRun, Ok as Fine};

    use super::*;

    /// What can be wrong.
    pub fn findings() -> Vec<(CheckCode, Found)> {
        let (endpoint, variable) = ("https://api.example/v1", || Source::Variable("T".to_owned()));
        let missing = api::Error::new(Code::TokenMissing, "no API token is configured")
            .hint("run `dockbridge init`");
        let overridden = Some(Source::Kept("/home/ada/token".into()));
        let silent = || refusal(Code::CloudUnreachable, false);
        let rejected = refusal(Code::TokenInvalid, false);
        vec![
            (CheckCode::Token, judge_token(Some(&missing), &origin(None))),
            (CheckCode::Token, judge_token(None, &origin(overridden))),
            (CheckCode::Api, judge_api(Some(&rejected), endpoint, Some(&variable()))),
            (CheckCode::Api, judge_api(Some(&silent()), endpoint, None)),
            (CheckCode::TokenWrites, judge_writes(Ok(false))),
            (CheckCode::TokenWrites, judge_writes(Err(silent().error))),
            (CheckCode::Clock, judge_clock(Some(-400 * 86_400), None)),
            (CheckCode::Clock, judge_clock(None, Some(&refusal(Code::ClockWrong, true)))),
        ]
    }

    fn origin(overridden: Option<Source>) -> Origin {
        Origin { source: Some(Source::Variable("HCLOUD_TOKEN".to_owned())), overridden }
    }

    fn refusal(code: Code, is_clock_trouble: bool) -> Refusal {
        let error = api::Error::new(code, "GET /locations: refused").hint("do something");
        Refusal { error, is_clock_trouble }
    }

    #[test]
    fn token_is_named_with_its_source_and_what_it_overrides() {
        let mut origin = origin(None);
        assert_eq!(judge_token(None, &origin), Found::ok("from HCLOUD_TOKEN"));
        origin.overridden = Some(Source::Kept("/c/token".into()));
        let found = judge_token(None, &origin);
        assert_eq!(
            (found.state, &*found.message),
            (Hint, "from HCLOUD_TOKEN, which overrides /c/token")
        );
        let error = api::Error::new(Code::TokenMissing, "no token").hint("make one");
        let found = judge_token(Some(&error), &origin);
        assert_eq!((found.state, found.cures), (Broken, vec!["make one".to_owned()]));
    }

    #[test]
    fn rejected_token_is_distinguished_from_an_api_that_does_not_answer() {
        let (endpoint, command) = ("https://api/v1", Source::Command);
        assert_eq!(judge_api(None, endpoint, None).state, Fine);
        let found = judge_api(Some(&refusal(Code::TokenInvalid, false)), endpoint, Some(&command));
        assert_eq!(
            (found.state, &*found.message),
            (Broken, "https://api/v1 rejects the token from the output of `hetzner.token_command`")
        );
        let found = judge_api(Some(&refusal(Code::NotTheApi, false)), endpoint, None);
        assert_eq!((found.state, &*found.message), (Broken, "GET /locations: refused"));
        assert_eq!(found.cures, ["do something"]);
    }

    #[test]
    fn token_that_can_only_read_is_broken() {
        assert_eq!(judge_writes(Ok(true)).state, Fine);
        assert_eq!(judge_writes(Ok(false)).state, Broken);
        assert_eq!(judge_writes(Err(refusal(Code::CloudUnreachable, false).error)).state, Broken);
    }

    #[test]
    fn clock_is_judged_by_the_date_of_any_answer_or_by_the_certificate() {
        let (invalid, trouble) =
            (refusal(Code::TokenInvalid, false), refusal(Code::ClockWrong, true));
        for (offset, refusal, state) in [
            (Some(0), None, Fine),
            (Some(-299), Some(&invalid), Fine),
            (Some(301), None, Broken),
            (Some(-400 * 86_400), Some(&invalid), Broken),
            (None, Some(&trouble), Broken),
            (None, Some(&invalid), NotRun),
        ] {
            assert_eq!(judge_clock(offset, refusal).state, state, "{offset:?} {refusal:?}");
        }
    }
}
