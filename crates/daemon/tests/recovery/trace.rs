//! One request is found by its id in its answer, in the daemon's log and in the agent's.

use api::client::{Client, ClientError};
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use testkit::CapturedLog;

use crate::rig::{LONGEST, Mode, Stage, docker_error};

/// The id, status and body of an answer that dockbridge made itself.
async fn failed(response: Response<Incoming>) -> (String, (u16, String)) {
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (id, (status, String::from_utf8(body.to_vec()).unwrap()))
}

#[tokio::test]
async fn request_that_fails_on_the_machine_has_one_id_in_all_logs() {
    let log = CapturedLog::begin();
    let Some(mut stage) = Stage::up(true).await else { return };
    stage.engine.stop();
    let mut client = stage.client().await;
    let response = client.open("POST", "/v1.41/containers/web/pause").await;
    let (id, answer) = failed(response).await;
    let message = docker_error(&answer);
    assert!(message.ends_with("Is Docker running on the machine?"), "as without an id: {message}");
    let reason = "docker.sock cannot be reached: No such file or directory";
    let span = format!("request{{id={id} method=POST endpoint=containers/{{id}}/pause}}");
    log.until("the daemon's line", LONGEST, &["INFO", &span, "answered with an error", reason])
        .await;
    let stream = format!("of request {id}: ");
    log.until("the agent's line", LONGEST, &["INFO", "on the machine: stream ", &stream, reason])
        .await;
    stage.close().await;
}

#[tokio::test]
async fn wake_that_fails_is_logged_under_the_request_that_began_it() {
    let log = CapturedLog::begin();
    let Some(stage) = Stage::start(true, Mode::Refusing).await else { return };
    let mut client = stage.client().await;
    let response = client.open("GET", "/v1.41/containers/json").await;
    let (id, answer) = failed(response).await;
    assert!(docker_error(&answer).contains("cannot be reached"), "{answer:?}");
    let request = format!("request={id}}}");
    log.until("the attempt", LONGEST, &["ERROR", "wake{attempt=", &request, "no machine"]).await;
    stage.close().await;
}

#[tokio::test]
async fn refused_command_has_an_id() {
    let Some(stage) = Stage::up(true).await else { return };
    let client = Client::of(&stage.socket());
    let refused = client.remove_forward(&"8080".parse().unwrap()).await;
    let Err(ClientError::Refused(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code, api::Code::PortsDisabled);
    assert_eq!(error.request_id.map(|id| id.len()), Some(12));
    stage.close().await;
}
