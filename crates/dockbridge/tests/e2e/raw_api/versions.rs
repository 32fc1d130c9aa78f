//! HTTP/1.0, which needs no host and knows no chunks.

use super::{blocking, said_until_the_end};
use crate::docker_cli::Comparison;
use crate::rig::pass_over;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_version_1_0_is_answered_as_by_the_engine() {
    let Some(comparison) = Comparison::new().await else { return pass_over() };
    comparison
        .stage
        .docker(&["run", "--name", "logged", "tiny", "echo", "a line"])
        .await
        .succeeded();
    for request in [
        "GET /info HTTP/1.0\n\n",
        "GET /info HTTP/1.0\r\nHost: x\r\n\r\n",
        "GET /_ping HTTP/1.0\n\n",
        "GET /containers/json?all=1 HTTP/1.0\r\n\r\n",
        "GET /containers/logged/logs?stdout=1&follow=1 HTTP/1.0\r\n\r\n",
        "POST /containers/nobody/start HTTP/1.0\r\n\r\n",
        "POST /volumes/create HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: \
         15\r\n\r\n{\"Name\":\"data\"}",
    ] {
        let (direct, through) = (comparison.direct.clone(), comparison.stage.socket());
        let on_the_engine = blocking(move || said_until_the_end(direct, request)).await;
        let here = blocking(move || said_until_the_end(through, request)).await;
        let seen = |said: &str| {
            let (head, body) = said.split_once("\r\n\r\n").unwrap_or((said, ""));
            let chunked = head.to_ascii_lowercase().contains("transfer-encoding");
            // Values of the moment differ: times, and numbers of file descriptors.
            (
                head.lines().next().unwrap_or_default().to_owned(),
                chunked,
                body.get(..6).unwrap_or(body).to_owned(),
            )
        };
        assert_eq!(
            seen(&here),
            seen(&on_the_engine),
            "{request:?}\non the engine: {on_the_engine}\nthrough dockbridge: {here}"
        );
    }
    comparison.close().await;
}
