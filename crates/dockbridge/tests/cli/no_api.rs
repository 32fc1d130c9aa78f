//! Something else than the API at its address, or nothing: errors contain the address, the likely
//! cause, and a hint.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::rig::Desk;

/// Answers every request with these bytes; returns the API's address there.
pub fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // One thread for each: several requests run at once.
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut request = [0; 4096];
                // A client that disconnects is no error.
                let _ = stream.read(&mut request);
                let _ = stream.write_all(bytes);
            });
        }
    });
    address
}

#[tokio::test]
async fn what_answers_instead_of_the_api_is_named_with_its_address() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Length: 61\r\nConnection: close\r\n\r\n<!DOCTYPE \
     html><html><title>Hotel</title>Log in first.</html>";
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: \
     0\r\nConnection: close\r\n\r\n";
    for (bytes, expected, hint) in [
        (
            &page[..],
            "is not the Hetzner API: it sent a web page titled \"Hotel\"",
            "a login page or proxy of this network may stand before it",
        ),
        (
            redirect,
            "is not the Hetzner API: it redirects to http://login.example/",
            "HCLOUD_ENDPOINT is wrong",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2p1\r\n",
            "what listens there speaks another protocol",
            "check the network",
        ),
    ] {
        let mut desk = Desk::new().await;
        let address = answering(bytes);
        desk.set("HCLOUD_ENDPOINT", &address);
        desk.dockbridge(&["server", "list"]).await.failed(1, &[&address, expected, hint]);
    }
}

#[tokio::test]
async fn an_api_that_is_not_there_is_named_with_the_likely_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let mut desk = Desk::new().await;
    desk.set("HCLOUD_ENDPOINT", &nobody);
    desk.dockbridge(&["server", "list"])
        .await
        .failed(1, &[&nobody, "nothing listens there", "HCLOUD_ENDPOINT is the API's address"]);
    desk.set("HCLOUD_ENDPOINT", "https://no-such-name.invalid/v1");
    desk.dockbridge(&["server", "list"])
        .await
        .failed(1, &["https://no-such-name.invalid/v1", "cannot be looked up"]);
    desk.set("HCLOUD_ENDPOINT", "https://api.example.invalid/v1").set("HTTPS_PROXY", &nobody);
    desk.dockbridge(&["server", "list"])
        .await
        .failed(1, &["https://api.example.invalid/v1", "HTTPS_PROXY"]);
}

/// On a terminal, by `script`: a message names the API before the answer comes or fails.
#[tokio::test]
async fn an_api_that_is_silent_is_said_on_a_terminal_and_given_up() {
    let mut desk = Desk::new().await;
    // Accepts and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", silent.local_addr().unwrap());
    desk.set("HCLOUD_ENDPOINT", &address);
    let line = format!("{} server list", env!("CARGO_BIN_EXE_dockbridge"));
    let mut script = desk.command("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    if std::process::Command::new("script").arg("--version").output().is_err() {
        testkit::passed_over!("no `script` for a terminal");
        return;
    }
    let ran = crate::rig::run(script, "").await;
    let said = ran.stdout.find(&format!("Waiting for {address} to answer"));
    let failed = ran.stdout.find("no usable reply came from");
    assert!(said.is_some() && said < failed, "{ran}");
    // Without a terminal there is only the failure, within the rig's ceiling.
    let ran = desk.dockbridge(&["server", "list"]).await;
    ran.failed(1, &[&address, "in time"]);
    assert!(!ran.stderr.contains("Waiting"), "{ran}");
}
