use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::super::super::tests::{now, status, wakes};
use super::*;

/// What is drawn, without colors.
fn drawn(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view.draw_at(frame, &now())).unwrap();
    terminal.backend().to_string()
}

fn waking() -> View {
    let mut view = View::new(wakes());
    let waking = status(json!({
        "state": "waking",
        "since_seconds": 12.3,
        "phases": [
            {"words": "creating the server", "detail": null, "seconds": 0.4, "over": true},
            {"words": "booting", "detail": "cx23 in fsn1", "seconds": 11.9, "over": false},
        ],
        "next": "docker commands wait until the machine is ready",
    }));
    view.show(Ok(waking), Duration::ZERO);
    view
}

#[test]
fn stages_of_a_wake_have_their_times() {
    insta::assert_snapshot!(drawn(&waking(), 80, 16), @r#"
    "State     waking since 15:59:48 (12 s)                                          "
    "Cost      each started hour from the creation of the server on                  "
    "Volume    asking the cloud                                                      "
    "Next      docker commands wait until the machine is ready                       "
    "                                                                                "
    "          done  creating the server                        0.4 s                "
    "          now   booting (cx23 in fsn1)                      12 s, usually 18 s  "
    "                                                                                "
    "Profile   default                                                               "
    "Socket    unix:///run/user/1000/dockbridge/default/docker.sock                  "
    "                                                                                "
    "                                                                                "
    "                                                                                "
    "                                                                                "
    "                                                                                "
    "q or Ctrl-C ends the watch; the machine stays                                   "
    "#);
}

#[test]
fn throughput_is_drawn_and_a_lost_daemon_is_named_above_the_last_status() {
    let mut view = View::new(wakes());
    for second in 0..10_u64 {
        let up = status(json!({
            "state": "up",
            "tunnel": {
                "up": second * second * 1_000,
                "down": second * 5_000,
                "streams": 2,
                "round_trip_ms": 12.3,
            },
            "next": "kept: 1 activity in progress",
        }));
        view.show(Ok(up), Duration::from_secs(second));
    }
    view.show(Err(ClientError::NotRunning { socket: "/x".into() }), Duration::from_secs(10));
    let drawn = drawn(&view, 80, 20);
    for part in [
        "State     on since 15:58:30 (1 min)",
        "Daemon    no dockbridge serves /x",
        " sent 17.0 kB/s ",
        " received 5.0 kB/s ",
        "█",
    ] {
        assert!(drawn.contains(part), "{part}: {drawn}");
    }
}

#[test]
fn every_size_of_a_terminal_is_drawn() {
    let view = waking();
    for (width, height) in [(0, 0), (1, 1), (9, 3), (10, 24), (200, 2), (300, 100)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw_at(frame, &now())).unwrap();
    }
}
