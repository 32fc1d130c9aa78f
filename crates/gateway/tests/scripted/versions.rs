//! Clients of HTTP/1.0, which need not name a host.

use crate::rig::rig;

#[tokio::test]
async fn request_of_http_1_0_needs_no_host() {
    let mut rig = rig();
    for lines in [
        "GET /info HTTP/1.0\n\n",
        "GET /info HTTP/1.0\r\nAccept: */*\r\n\r\n",
        "POST /containers/x/stop HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut client = rig.client().await;
        client.send(lines).await;
        let mut engine = rig.engine().await;
        let head = engine.head().await;
        assert!(head.contains(" HTTP/1.1\r\n") && head.contains("\r\nHost: docker\r\n"), "{head}");
        engine
            .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
        let answered = client.rest().await;
        // Neither length nor chunks: the response ends with the connection.
        assert!(
            answered.starts_with("HTTP/1.0 200 OK\r\n") && answered.ends_with("\r\n\r\nok"),
            "{answered}"
        );
    }
}

#[tokio::test]
async fn host_that_a_client_names_is_passed_on() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.0\r\nHost: somewhere\r\n\r\n").await;
    let head = rig.engine().await.head().await;
    assert!(head.contains("\r\nHost: somewhere\r\n") && !head.contains("docker"), "{head}");
}
