//! Metrics and health of a daemon, on its control socket and on the address of `metrics.listen`.

use std::net::{TcpListener, TcpStream};

use testkit::Ran;

use crate::rig::{Desk, run};

async fn curl(desk: &Desk, arguments: &[&str]) -> Ran {
    let mut curl = desk.command("curl");
    curl.args(["-sS", "-w", "%{http_code}"]).args(arguments);
    run(curl, "").await
}

#[tokio::test]
async fn control_socket_has_metrics_and_health() {
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    let control = format!("{}.control", desk.socket().display());
    let ask = async |path: &str| {
        let url = format!("http://dockbridge/{path}");
        curl(&desk, &["--unix-socket", &control, &url]).await
    };
    ask("healthz").await.succeeded().said(&["ok: process ", " serves profile default\n200"]);
    ask("readyz").await.succeeded().said(&["ok: the supervisor answers\n200"]);
    ask("metrics").await.succeeded().said(&[
        &format!("dockbridge_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        "dockbridge_machine_state{state=\"absent\"} 1",
        "dockbridge_month_cost{currency=\"EUR\"} 0",
        "dockbridge_cloud_requests_total{result=\"answered\"} ",
        "dockbridge_cloud_rate_limit_remaining_requests ",
    ]);
    daemon.stop().await;
}

#[tokio::test]
async fn prometheus_accepts_the_text_and_the_names() {
    if std::process::Command::new("promtool").arg("--version").output().is_err() {
        return testkit::passed_over!("no promtool");
    }
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    desk.dockbridge(&["ports", "add", &format!("{port}:web:80")]).await.succeeded();
    let mut scrape = desk.command("curl");
    scrape.args(["-sS", "--unix-socket"]).arg(format!("{}.control", desk.socket().display()));
    scrape.arg("http://dockbridge/metrics");
    let text = run(scrape, "").await.succeeded().stdout.clone();
    assert!(text.contains("dockbridge_forward_up{container=\"web\""), "{text}");
    let mut promtool = desk.command("promtool");
    promtool.args(["check", "metrics"]);
    let checked = run(promtool, &text).await;
    let said = [&checked.succeeded().stdout, &checked.stderr];
    assert!(said.iter().all(|said| said.is_empty()), "{checked}\n{text}");
    daemon.stop().await;
}

#[tokio::test]
async fn request_that_is_refused_here_is_counted_once() {
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    let here = desk.directory.path().display().to_string();
    let body = format!(r#"{{"Image":"a","HostConfig":{{"Binds":["{here}:/x"]}}}}"#);
    let socket = desk.socket().display().to_string();
    let create = "http://docker/v1.41/containers/create";
    let sent = ["--unix-socket", &socket, "-H", "Content-Type: application/json", "-d", &body];
    curl(&desk, &[&sent[..], &[create]].concat()).await.succeeded().said(&["400"]);
    let control = format!("{socket}.control");
    let scraped = curl(&desk, &["--unix-socket", &control, "http://dockbridge/metrics"]).await;
    scraped.succeeded().said(&[
        "dockbridge_requests_total{endpoint=\"command\",status=\"4xx\"} 1\n",
        "dockbridge_request_duration_seconds_count{endpoint=\"command\"} 1\n",
        "dockbridge_requests_total{endpoint=\"command\",status=\"none\"} 0\n",
    ]);
    desk.nothing_was_created().await;
    daemon.stop().await;
}

#[tokio::test]
async fn tcp_address_serves_what_only_looks_and_only_where_the_settings_say() {
    let desk = Desk::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    desk.settings(&format!("metrics: {{listen: {port}}}\n"));
    desk.dockbridge(&["start"]).await.failed(
        1,
        &[
            &format!("the address 127.0.0.1:{port} of the metrics cannot be listened on"),
            "change `metrics.listen`, or leave it out",
        ],
    );
    drop(taken);
    let daemon = desk.start().await;
    let address = format!("http://127.0.0.1:{port}");
    assert!(daemon.output().contains(&format!("Metrics: {address}/metrics")));
    let ask = async |path: &str| curl(&desk, &[&format!("{address}/{path}")]).await;
    ask("metrics").await.succeeded().said(&["# TYPE dockbridge_build_info gauge", "200"]);
    ask("healthz").await.succeeded().said(&["200"]);
    ask("readyz").await.succeeded().said(&["200"]);
    for path in ["status", "stop", "machine-log"] {
        ask(path).await.succeeded().said(&["404"]);
    }
    daemon.stop().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it ends with the daemon");

    desk.settings("");
    let daemon = desk.start().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it is off by default");
    daemon.stop().await;
}
