//! What several checks look at, looked at once: the token, the API, what is billed, the daemon.
//! Judges nothing. It creates nothing, neither here nor in the cloud.

use std::time::Duration;

use api::client::ClientError;
use api::{Standing, Status};
use hetzner::{Client, Query};
use jiff::Timestamp;
use machine::with_causes;
use secrecy::SecretString;
use tokio::sync::OnceCell;

use crate::cloud_access::client_at;
use crate::failure::Failure;
use crate::resolved::Resolved;
use crate::settings::Problem;

/// A call without an answer fails after this time; the ceilings of the checks are longer.
const LONGEST_SILENCE: Duration = Duration::from_secs(8);

/// This computer, as the checks see it.
#[derive(Debug)]
pub struct Surroundings {
    pub resolved: Resolved,
    /// Of the settings.
    pub problems: Vec<Problem>,
    token: OnceCell<Result<SecretString, api::Error>>,
    project: OnceCell<Result<Project, api::Error>>,
    standing: OnceCell<Result<Standing, api::Error>>,
    daemon: OnceCell<Daemon>,
}

/// The cloud project, after one request.
#[derive(Debug)]
pub struct Project {
    /// Its requests are not in the audit log: none of them changes anything.
    pub client: Client,
    pub token: SecretString,
    /// The locations, or why the API refused.
    pub answer: Result<Vec<String>, Refusal>,
}

/// Why the API refused, or did not answer.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub error: api::Error,
    /// By this computer's clock the API's certificate is expired or not valid yet.
    pub is_clock_trouble: bool,
}

/// The daemon of the profile.
#[derive(Debug)]
pub enum Daemon {
    Answers(Box<Status>),
    NotRunning,
    /// It has the control socket, and does not answer as a daemon does.
    Silent(String),
}

/// An error of the cloud, with its code and hints.
pub fn refused(error: &hetzner::Error) -> api::Error {
    Failure::of_code(machine::cloud_code(error), with_causes(error)).error().clone()
}

impl Surroundings {
    pub fn new(resolved: Resolved, problems: Vec<Problem>) -> Self {
        Self {
            resolved,
            problems,
            token: OnceCell::new(),
            project: OnceCell::new(),
            standing: OnceCell::new(),
            daemon: OnceCell::new(),
        }
    }

    /// The token. A command that prints it runs once.
    pub async fn token(&self) -> Result<&SecretString, &api::Error> {
        let find = async || {
            let resolved = self.resolved.clone();
            let found = tokio::task::spawn_blocking(move || resolved.token()).await;
            let found = found.unwrap_or_else(|error| Err(std::io::Error::other(error).into()));
            found.map_err(|failure| failure.error().clone())
        };
        self.token.get_or_init(find).await.as_ref()
    }

    /// The project. The error says why no request could be made.
    pub async fn project(&self) -> Result<&Project, &api::Error> {
        let ask = async || {
            let token = self.token().await.map_err(Clone::clone)?.clone();
            let client = client_at(&self.resolved.endpoint(), token.clone())
                .map_err(|failure| failure.error().clone())?
                .with(hetzner::Config {
                    retries: 1,
                    longest_silence: LONGEST_SILENCE,
                    request_timeout: LONGEST_SILENCE,
                    backoff: Duration::from_millis(200),
                    ..hetzner::Config::default()
                });
            let answer = match client.locations().list(&Query::default()).await {
                Ok(found) => Ok(found.into_iter().map(|location| location.name).collect()),
                Err(error) => Err(Refusal {
                    error: refused(&error),
                    is_clock_trouble: error.is_clock_trouble(),
                }),
            };
            Ok(Project { client, token, answer })
        };
        self.project.get_or_init(ask).await.as_ref()
    }

    /// Everything of this owner that is billed; nothing without an owner id.
    pub async fn standing(&self) -> Result<&Standing, &api::Error> {
        let ask = async || {
            let of_failure = |failure: Failure| failure.error().clone();
            let project = self.project().await.map_err(Clone::clone)?;
            let Some(owner) = self.resolved.known_owner().map_err(of_failure)? else {
                return Ok(Standing::default());
            };
            let found = machine::standing(&project.client, &owner).await;
            found.map_err(|error| of_failure(Failure::from(error)))
        };
        self.standing.get_or_init(ask).await.as_ref()
    }

    /// The daemon. Asking it wakes no machine.
    pub async fn daemon(&self) -> &Daemon {
        let ask = async || match self.resolved.daemon().status().await {
            Ok(status) => Daemon::Answers(Box::new(status)),
            Err(ClientError::NotRunning { .. }) => Daemon::NotRunning,
            Err(error) => Daemon::Silent(with_causes(&error)),
        };
        self.daemon.get_or_init(ask).await
    }

    /// The status of the daemon, if one answers.
    pub async fn status(&self) -> Option<&Status> {
        match self.daemon().await {
            Daemon::Answers(status) => Some(status),
            Daemon::NotRunning | Daemon::Silent(_) => None,
        }
    }

    /// Seconds since 1970 by the cloud's clock, where one of its answers had a date.
    pub fn cloud_now(&self, client: &Client) -> i64 {
        Timestamp::now().as_second().saturating_sub(client.clock_offset().unwrap_or(0))
    }
}
