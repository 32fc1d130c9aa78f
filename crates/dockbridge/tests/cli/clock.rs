//! A computer whose clock is far off: each command that counts money says so, and a TLS connection
//! that fails for it names the clock. The clock of the child processes alone is moved, by
//! libfaketime.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::rig::{Desk, run};

/// libfaketime, where it is installed; the reason why not is printed.
pub fn faketime() -> Option<String> {
    // Host programs: /usr/lib/*/faketime/libfaketime.so.1
    let library = |directory: std::fs::DirEntry| {
        let library = directory.path().join("faketime/libfaketime.so.1");
        library.exists().then(|| library.display().to_string())
    };
    let found = std::fs::read_dir("/usr/lib").unwrap().flatten().find_map(library);
    if found.is_none() {
        testkit::passed_over!("no libfaketime");
    }
    found
}

/// The clock of this desk's commands is off by this, such as `+400d`.
pub fn set_clock(desk: &mut Desk, library: &str, offset: &str) {
    // The clock that counts from boot is right on such a computer, too.
    desk.set("LD_PRELOAD", library)
        .set("FAKETIME", offset)
        .set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

#[tokio::test]
async fn start_status_and_cost_warn_of_a_clock_that_is_far_off() {
    let Some(library) = faketime() else { return };
    for (offset, warning) in [
        ("+400d", "this computer's clock is 400 days ahead of the cloud's"),
        ("-400d", "this computer's clock is 400 days behind the cloud's"),
    ] {
        let mut desk = Desk::new().await;
        set_clock(&mut desk, &library, offset);
        desk.identity("default");
        let note = format!("Note      {warning}");
        desk.dockbridge(&["status"]).await.failed(3, &[]).said(&[&note]);
        let daemon = desk.start().await;
        assert!(daemon.output().contains(&format!("Note: {warning}")), "{}", daemon.output());
        desk.dockbridge(&["status"]).await.succeeded().said(&[&note]);
        desk.dockbridge(&["cost"]).await.succeeded().said(&[&format!("Note: {warning}")]);
        let cost = desk.dockbridge(&["cost", "--json"]).await.succeeded().json();
        assert!(
            cost["warnings"][0]["message"].as_str().is_some_and(|said| said.starts_with(warning)),
            "{cost}"
        );
        daemon.stop().await;
    }
}

#[tokio::test]
async fn right_clock_is_not_mentioned() {
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    let status = desk.dockbridge(&["status"]).await;
    let cost = desk.dockbridge(&["cost"]).await;
    for said in [&status.succeeded().stdout, &cost.succeeded().stdout, &daemon.output()] {
        assert!(!said.contains("clock"), "{said}");
    }
    daemon.stop().await;
}

/// A TLS server for localhost whose certificate is valid from now on for 30 days.
struct TlsServer {
    endpoint: String,
    /// Ends with it.
    _server: Child,
}

impl TlsServer {
    async fn start(desk: &Desk) -> Self {
        let (config, key, certificate) =
            (desk.path("openssl.cnf"), desk.path("key.pem"), desk.path("certificate.pem"));
        let text = "[req]\ndistinguished_name = name\nx509_extensions = server\nprompt = no\n\
                    [name]\nCN = localhost\n\
                    [server]\nsubjectAltName = DNS:localhost\nbasicConstraints = CA:FALSE\n";
        std::fs::write(&config, text).unwrap();
        // Not the desk's environment: the certificate is made by the right clock.
        let mut request = tokio::process::Command::new("openssl");
        request.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        request.args(["-nodes", "-days", "30", "-config"]).arg(config);
        request.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        run(request, "").await.succeeded();
        let mut server = tokio::process::Command::new("openssl");
        server.args(["s_server", "-www", "-accept", "localhost:0", "-key"]).arg(key);
        server.arg("-cert").arg(certificate);
        let mut server =
            server.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next_line().await.unwrap().expect("it says where it listens");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.rsplit_once(':').unwrap().1.to_owned();
            }
        };
        Self { endpoint: format!("https://localhost:{port}/v1"), _server: server }
    }
}

#[tokio::test]
async fn tls_that_fails_for_the_clock_says_to_set_it() {
    let Some(library) = faketime() else { return };
    let mut desk = Desk::new().await;
    let server = TlsServer::start(&desk).await;
    let certificate = desk.path("certificate.pem").display().to_string();
    desk.set("HCLOUD_ENDPOINT", &server.endpoint).set("SSL_CERT_FILE", &certificate);
    // By the right clock the connection is made, and what answers is not the API.
    desk.dockbridge(&["server", "list"]).await.failed(1, &["is not the Hetzner API"]);
    for (offset, cause) in [("+400d", "certificate expired"), ("-400d", "not valid yet")] {
        set_clock(&mut desk, &library, offset);
        desk.dockbridge(&["server", "list"]).await.failed(
            1,
            &[&server.endpoint, cause, "by this computer's clock", "Hint: set the clock"],
        );
    }
}
