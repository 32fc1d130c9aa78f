use http::Method;
use http_body_util::BodyExt as _;

use super::*;
use crate::rules::endpoint::WithoutMachine;
use crate::rules::route::Route;

fn remember(responses: &StaleResponses, uri: &str, body: &str) {
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("date", "x")
        .header("server", "D")
        .body(());
    let recording =
        responses.record(&uri.parse().unwrap(), &response.unwrap(), Moment::default()).unwrap();
    let (first, second) = body.split_at(body.len() / 2);
    let recording = recording.push(&first.to_owned().into()).unwrap();
    recording.push(&second.to_owned().into()).unwrap().finish();
}

/// The response five minutes later.
async fn answer(responses: &StaleResponses, uri: &str, state: EngineState) -> Option<Value> {
    let uri: Uri = uri.parse().unwrap();
    let route = Route::of(&Method::GET, &uri, &HeaderMap::new());
    let WithoutMachine::Stale(stale) = route.without_machine else { panic!("{uri} is no read") };
    let now = Moment::default().plus(Duration::from_secs(300));
    let response = responses.answer(&uri, stale, state, now)?;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(!response.headers().contains_key("date"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Some(serde_json::from_slice(&body).unwrap())
}

const RUNNING: &str = concat!(
    r#"[{"Id":"1","State":"running","Status":"Up 2 hours","Ports":[{"PrivatePort":80}]},"#,
    r#"{"Id":"2","State":"created","Status":"Created","Ports":[]}]"#
);

#[tokio::test]
async fn containers_that_ran_are_shown_as_exited_once_the_machine_is_gone() {
    let responses = StaleResponses::default();
    let uri = "/v1.41/containers/json?all=1";
    remember(&responses, uri, RUNNING);
    let absent = answer(&responses, uri, EngineState::Absent).await.unwrap();
    let status = "Exited (255) 5 minutes ago";
    let exited = json!({ "Id": "1", "State": "exited", "Status": status, "Ports": [] });
    assert_eq!(absent[0], exited);
    assert_eq!(absent[1]["State"], "created");
    let away = answer(&responses, uri, EngineState::Away).await.unwrap();
    assert_eq!(away[0]["State"], "running", "it may still run");
}

#[tokio::test]
async fn list_of_running_containers_is_empty_without_a_machine() {
    let responses = StaleResponses::default();
    for (query, count) in [
        ("", 0),
        ("?all=0", 0),
        ("?limit=5", 2),
        ("?filters=%7B%22status%22%3A%5B%22running%22%5D%7D", 0),
        ("?all=1&filters=%7B%22status%22%3A%7B%22running%22%3Atrue%7D%7D", 0),
        ("?filters=%7B%22status%22%3A%5B%22exited%22%5D%7D", 2),
        ("?all=true&filters=%7B%22label%22%3A%5B%22x%22%5D%7D", 2),
    ] {
        let uri = format!("/containers/json{query}");
        remember(&responses, &uri, RUNNING);
        let list = answer(&responses, &uri, EngineState::Absent).await.unwrap();
        assert_eq!(list.as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn one_container_and_the_counts_change_too_and_images_stay() {
    let responses = StaleResponses::default();
    let one = concat!(
        r#"{"Id":"1","State":{"Status":"running","Running":true,"Pid":7,"ExitCode":0},"#,
        r#""NetworkSettings":{"Ports":{"80/tcp":[]}}}"#
    );
    remember(&responses, "/containers/web/json", one);
    let one = answer(&responses, "/containers/web/json", EngineState::Absent).await.unwrap();
    assert_eq!(
        (&one["State"]["Status"], &one["State"]["Running"], &one["State"]["Pid"]),
        (&json!("exited"), &json!(false), &json!(0))
    );
    assert_eq!(one["NetworkSettings"]["Ports"], json!({}));
    let info = concat!(
        r#"{"Containers":3,"ContainersRunning":2,"ContainersPaused":1,"#,
        r#""ContainersStopped":0,"ID":"x"}"#
    );
    remember(&responses, "/v1.41/info", info);
    let info = answer(&responses, "/v1.41/info", EngineState::Absent).await.unwrap();
    assert_eq!(
        (&info["ContainersRunning"], &info["ContainersStopped"], &info["ID"]),
        (&json!(0), &json!(3), &json!("x"))
    );
    remember(&responses, "/images/json", r#"[{"Id":"i"}]"#);
    let images = answer(&responses, "/images/json", EngineState::Absent).await;
    assert_eq!(images, Some(json!([{"Id": "i"}])));
}

#[tokio::test]
async fn list_that_was_never_read_is_empty_and_other_reads_are_unknown() {
    let responses = StaleResponses::default();
    for (uri, expected) in [
        ("/v1.41/containers/json?all=1", Some(json!([]))),
        ("/volumes", Some(json!({"Volumes": [], "Warnings": null}))),
        ("/info", None),
    ] {
        assert_eq!(answer(&responses, uri, EngineState::Absent).await, expected, "{uri}");
    }
}

#[tokio::test]
async fn last_response_counts_and_all_of_them_are_bounded() {
    let responses = StaleResponses::default();
    remember(&responses, "/info", r#"{"Containers":1}"#);
    remember(&responses, "/info", r#"{"Containers":2}"#);
    let info = answer(&responses, "/info", EngineState::Away).await.unwrap();
    assert_eq!(info["Containers"], 2);
    for container in 0..MAX_RESPONSES + 10 {
        remember(&responses, &format!("/containers/{container}/json"), "{}");
    }
    assert_eq!(responses.known().len(), MAX_RESPONSES);
    assert_eq!(answer(&responses, "/info", EngineState::Away).await, None);
}

#[test]
fn response_that_is_too_large_or_an_error_is_not_remembered() {
    let responses = StaleResponses::default();
    let begin = |status| {
        let response =
            Response::builder().status(status).header("content-type", "application/json");
        let response = response.body(()).unwrap();
        responses.record(&"/images/json".parse().unwrap(), &response, Moment::default())
    };
    let recording = begin(200).unwrap();
    assert!(recording.push(&vec![b' '; MAX_RESPONSE + 1].into()).is_none());
    assert!(begin(404).is_none());
}
