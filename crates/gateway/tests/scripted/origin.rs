//! The endpoint on a TCP port: for programs of this computer, and not for web pages.

use tokio::net::{TcpListener, TcpStream};

use crate::rig::{OK, Rig, rig, within};

async fn listening(rig: &Rig) -> std::net::SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (gateway, shutdown) = (rig.gateway.clone(), rig.shutdown.clone());
    tokio::spawn(async move { gateway.serve(listener, shutdown).await });
    address
}

async fn asked(address: std::net::SocketAddr, head: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn programs_of_this_computer_are_served() {
    let mut rig = rig();
    let address = listening(&rig).await;
    for host in ["localhost".to_owned(), address.to_string(), format!("[::1]:{}", address.port())] {
        let asking = tokio::spawn(async move {
            asked(address, &format!("GET /info HTTP/1.1\r\nHost: {host}\r\n")).await
        });
        let mut engine = rig.engine().await;
        engine.head().await;
        engine.send(OK).await;
        assert!(asking.await.unwrap().ends_with("\r\n\r\nok"));
    }
}

#[tokio::test]
async fn web_pages_are_refused() {
    let mut rig = rig();
    let address = listening(&rig).await;
    for lines in [
        "Host: evil.example:2375\r\n",
        "Host: localhost\r\nOrigin: http://evil.example\r\n",
        "Host: localhost\r\nOrigin: null\r\n",
        "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        // Also what the gateway answers itself.
        for request in ["POST /containers/create", "GET /_ping"] {
            let answer = asked(address, &format!("{request} HTTP/1.1\r\n{lines}")).await;
            assert!(
                answer.starts_with("HTTP/1.1 403 Forbidden\r\n")
                    && answer.contains("\r\n\r\n{\"message\":\""),
                "{lines:?}: {answer}"
            );
        }
    }
    assert!(rig.asks_no_more());
    // The Unix socket has no origin check.
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: evil.example\r\nOrigin: null\r\n\r\n").await;
    rig.asked().await;
}
