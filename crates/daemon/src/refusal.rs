//! Answers the clients that wait at the service manager's sockets for a daemon that cannot start.
//! They get the reason, in Docker's form and in that of the control socket. Without an answer
//! they would go on waiting, and the service manager would start the daemon for them again.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use api::{Answer, Error};
use axum::http::StatusCode;
use axum::{Json, Router};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long clients are accepted. A client that waits is there already; its next request may need
/// another connection.
const ACCEPTING: Duration = Duration::from_secs(1);
/// How long those that were accepted may take.
const LONGEST_ANSWER: Duration = Duration::from_secs(1);

/// Sockets at which clients may wait.
#[derive(Debug)]
pub struct Refusal {
    pub(crate) unix: Vec<UnixListener>,
    pub(crate) tcp: Vec<TcpListener>,
}

impl Refusal {
    /// Answers every request with the error. Returns at once where there are no sockets.
    pub async fn answer(self, error: Error) {
        let answer = Answer::from(error);
        let refuse = move || {
            let answer = answer.clone();
            async move { (StatusCode::SERVICE_UNAVAILABLE, Json(answer)) }
        };
        let router = Router::new().fallback(refuse);
        let ending = CancellationToken::new();
        let mut serving = JoinSet::new();
        for listener in self.unix.into_iter().flat_map(tokio::net::UnixListener::from_std) {
            let serve = axum::serve(listener, router.clone());
            serving.spawn(
                serve.with_graceful_shutdown(ending.clone().cancelled_owned()).into_future(),
            );
        }
        for listener in self.tcp.into_iter().flat_map(tokio::net::TcpListener::from_std) {
            let serve = axum::serve(listener, router.clone());
            serving.spawn(
                serve.with_graceful_shutdown(ending.clone().cancelled_owned()).into_future(),
            );
        }
        if serving.is_empty() {
            return;
        }
        sleep(ACCEPTING).await;
        ending.cancel();
        let ended = async { while serving.join_next().await.is_some() {} };
        if timeout(LONGEST_ANSWER, ended).await.is_err() {
            tracing::debug!("a client takes no answer");
        }
    }
}

#[cfg(test)]
mod tests {
    use api::Code;
    use api::client::{Client, ClientError};
    use api::control_socket;

    use super::*;

    #[tokio::test]
    async fn client_that_waits_gets_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(control_socket(&socket)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let refusal = Refusal { unix: vec![listener], tcp: Vec::new() };
        let error = Error::new(Code::TokenInvalid, "the token is wrong").hint("get another");
        let client = Client::of(&socket);
        let (asked, ()) = tokio::join!(client.status(), refusal.answer(error.clone()));
        let Err(ClientError::Refused(refused)) = asked else { panic!("{asked:?}") };
        assert_eq!(*refused, error);
    }

    #[tokio::test]
    async fn without_sockets_nothing_is_waited_for() {
        let refusal = Refusal { unix: Vec::new(), tcp: Vec::new() };
        let answering = refusal.answer(Error::new(Code::Failed, "it failed"));
        assert!(futures::poll!(Box::pin(answering)).is_ready());
    }
}
