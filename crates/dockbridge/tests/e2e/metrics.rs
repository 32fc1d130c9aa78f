//! Metrics and health of a daemon whose machine is in use, as a Prometheus would get them.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use crate::rig::{Ran, Stage, pass_over, run};

/// The two places where a daemon answers: arguments of curl, and the beginning of the address.
struct Places {
    control: String,
    local: u16,
}

impl Places {
    async fn ask(&self, stage: &Stage, path: &str) -> [Ran; 2] {
        let socket: &[&str] =
            &["--unix-socket", &self.control, &format!("http://dockbridge/{path}")];
        let local: &[&str] = &[&format!("http://127.0.0.1:{}/{path}", self.local)];
        let ask = async |arguments: &[&str]| {
            let mut curl = stage.command("curl");
            curl.args(["-sS", "-w", "%{http_code}"]).args(arguments);
            run(curl, "").await
        };
        [ask(socket).await, ask(local).await]
    }

    /// The text of a scrape at each place, which Prometheus's own program accepts.
    async fn scrape(&self, stage: &Stage) -> [String; 2] {
        let scraped = self.ask(stage, "metrics").await;
        let texts = scraped.map(|ran| {
            ran.succeeded().stdout.strip_suffix("200").unwrap_or_else(|| panic!("{ran}")).to_owned()
        });
        for text in &texts {
            let mut promtool = stage.command("promtool");
            promtool.args(["check", "metrics"]);
            let checked = run(promtool, text).await;
            let said = [&checked.succeeded().stdout, &checked.stderr];
            assert!(said.iter().all(|said| said.is_empty()), "{checked}\n{text}");
        }
        texts
    }
}

/// The value of a series; its name has its labels.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing:\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn prometheus_accepts_the_metrics_of_a_machine_in_use() {
    if std::process::Command::new("promtool").arg("--version").output().is_err() {
        return testkit::passed_over!("no promtool");
    }
    let Some(stage) = Stage::new().await else { return pass_over() };
    let [local, published] = [(), ()].map(|()| {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        free.local_addr().unwrap().port()
    });
    let daemon = stage.start(&[("DOCKBRIDGE_METRICS_LISTEN", &local.to_string())]).await;
    let places = Places { control: format!("{}.control", daemon.socket.display()), local };
    use_the_machine(&stage, published).await;

    let requests = |endpoint: &str, status: &str| {
        format!(r#"dockbridge_requests_total{{endpoint="{endpoint}",status="{status}"}}"#)
    };
    // The size of the volume comes with the agent's next report.
    stage
        .eventually("the volume's size is known", Duration::from_secs(60), async || {
            let [text, _] = places.scrape(&stage).await;
            text.lines().any(|line| line.starts_with("dockbridge_volume_used_bytes "))
        })
        .await;
    for text in places.scrape(&stage).await {
        for series in [
            &requests("command", "2xx"),
            &requests("command", "4xx"),
            r#"dockbridge_wakes_total{result="up"}"#,
            r#"dockbridge_machine_state{state="up"}"#,
            r#"dockbridge_wake_stage_duration_seconds_count{stage="boot"}"#,
            r#"dockbridge_request_duration_seconds_count{endpoint="command"}"#,
            "dockbridge_lease_remaining_seconds",
            "dockbridge_volume_size_bytes",
            r#"dockbridge_month_cost{currency="EUR"}"#,
            "dockbridge_tunnel_sent_bytes_total",
            "dockbridge_tunnel_received_bytes_total",
            "dockbridge_tunnel_round_trip_seconds",
            r#"dockbridge_cloud_requests_total{result="answered"}"#,
        ] {
            assert!(value(&text, series) > 0.0, "{series}:\n{text}");
        }
        let forward = text.lines().find(|line| {
            line.starts_with("dockbridge_forward_received_bytes_total{container=\"web\"")
        });
        assert!(!forward.expect("the port is listed").ends_with(" 0"), "{forward:?}");
    }
    for (path, expected) in
        [("healthz", " serves profile default\n200"), ("readyz", "the supervisor answers\n200")]
    {
        for ran in places.ask(&stage, path).await {
            ran.succeeded().said(&[expected]);
        }
    }
    daemon.stop().await;
    stage.close().await;
}

/// A wake, and requests of several classes; one is refused by the engine.
async fn use_the_machine(stage: &Stage, port: u16) {
    stage.docker(&["ps"]).await.succeeded();
    stage.make_image("tiny").await;
    let published = format!("{port}:80");
    let run_web = ["run", "-d", "--name", "web", "-p", &published, "tiny"];
    let serve = ["httpd", "-f", "-p", "80", "-h", "/bin"];
    stage.docker(&[&run_web[..], &serve].concat()).await.succeeded();
    stage.docker(&["start", "none"]).await.failed_with("No such container");
    let answers = async || {
        let mut curl = stage.command("curl");
        curl.args(["-sS", "-o", "/dev/null", &format!("http://127.0.0.1:{port}/none")]);
        run(curl, "").await.status.success()
    };
    stage.eventually("the published port answers", Duration::from_secs(20), answers).await;
}
