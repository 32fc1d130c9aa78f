//! Forwards, without a machine.

use std::net::TcpListener;

use crate::rig::{Desk, run};

#[tokio::test]
async fn forwards_are_kept_for_a_container_that_is_to_come_and_no_machine_is_made_for_them() {
    let desk = Desk::new().await;
    desk.dockbridge(&["ports"])
        .await
        .failed(3, &["no dockbridge serves", "start it with `dockbridge start`"]);
    let daemon = desk.start().await;
    desk.dockbridge(&["ports"]).await.succeeded().said(&["No container publishes a port."]);

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let forward = format!("{port}:web:80");
    let expected = format!("{port} will forward to web:80 when that container runs.");
    desk.dockbridge(&["ports", "add", &forward]).await.succeeded().said(&[&expected]);
    desk.dockbridge(&["ports", "add", &forward])
        .await
        .failed(1, &["a forward made by hand listens on", "dockbridge ports remove"]);
    let listed = desk.dockbridge(&["ports"]).await;
    listed.succeeded().said(&[
        &format!("127.0.0.1:{port}"),
        "web:80",
        "waiting",
        "no container web runs",
    ]);
    let json = desk.dockbridge(&["status", "--json"]).await.succeeded().json();
    let port_status = &json["ports"][0];
    assert_eq!(
        (&port_status["state"]["state"], &port_status["by_hand"]),
        (&"waiting".into(), &true.into()),
        "{json}"
    );
    TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut scrape = desk.command("curl");
    scrape
        .args(["-sS", "--fail", "--unix-socket"])
        .arg(format!("{}.control", desk.socket().display()))
        .arg("http://dockbridge/metrics");
    let labels =
        format!("{{container=\"web\",port=\"80\",protocol=\"tcp\",local=\"127.0.0.1:{port}\"}} 0");
    let scraped = run(scrape, "").await;
    scraped.succeeded().said(&[
        "# TYPE dockbridge_forward_connections_total counter",
        &format!("dockbridge_forward_up{labels}"),
    ]);

    desk.dockbridge(&["ports", "remove", &port.to_string()])
        .await
        .succeeded()
        .said(&["Removed the forward on"]);
    desk.dockbridge(&["ports", "remove", &port.to_string()])
        .await
        .failed(1, &["no forward made by hand listens on"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = format!("{}:web:80", taken.local_addr().unwrap().port());
    desk.dockbridge(&["ports", "add", &forward])
        .await
        .failed(1, &["cannot be listened on: port is already allocated"]);
    desk.nothing_was_created().await;
    daemon.stop().await;
}
