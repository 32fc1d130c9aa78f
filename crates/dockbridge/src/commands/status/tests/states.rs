//! The states of a machine's life as `status` shows them.

use super::*;

#[test]
fn absent() {
    let fields = json!({
        "reason": "nothing has used it for 5 min",
        "since_seconds": 780.0,
        "proxy_port": 2375,
        "last_end": {
            "server": 7,
            "actor": "policy",
            "because": "nothing has used it for 5 min",
            "age_seconds": 780,
        },
        "pin": {"age_seconds": 10, "seconds": null},
    });
    let rows = rows(fields, Some(&bills()));
    insta::assert_snapshot!(plain(&rows), @"
    State     off since 15:47 (13 min): nothing has used it for 5 min
    Cost      nothing by the hour
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      the next docker command creates a machine

    Pinned    until `dockbridge unpin`, applies once a machine exists
    Last end  server 7, deleted by the policy 13 min ago: nothing has used it for 5
              min
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    Port      tcp://127.0.0.1:2375 (same engine)
    Bills     volume dockbridge-default (8, 20 GB in fsn1, not attached): 0.88 EUR a
              month
    ");
    insta::assert_snapshot!(colored(&rows), @"");
}

#[test]
fn waking_with_its_stage_and_the_usual_time() {
    let fields = json!({
        "state": "waking",
        "since_seconds": 12.3,
        "phases": [
            {"words": "creating the server", "detail": null, "seconds": 0.4, "over": true},
            {"words": "booting", "detail": "cx23 in fsn1", "seconds": 11.9, "over": false},
        ],
        "next": "docker commands wait until the machine is ready",
    });
    let rows = rows(fields, Some(&bills()));
    insta::assert_snapshot!(plain(&rows), @"
    State     waking since 15:59:48 (12 s)
    Stage     booting (cx23 in fsn1) for 12 s, usually 18 s
    Cost      each started hour from the creation of the server on
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      docker commands wait until the machine is ready

    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    Bills     volume dockbridge-default (8, 20 GB in fsn1, not attached): 0.88 EUR a
              month
    ");
    insta::assert_snapshot!(colored(&rows), @"
    State     ^[33mwaking^[0m since 15:59:48 (12 s)
    Stage     ^[33mbooting (cx23 in fsn1) for 12 s, usually 18 s^[0m
    ");
}

#[test]
fn up_and_idle() {
    let fields = json!({
        "state": "up",
        "since_seconds": 600.0,
        "machine": machine(),
        "cost": cost(),
        "reasons": [{"kind": "paid_hour", "what": "the hour is paid", "seconds": 2900}],
        "endings": [ending("idle", 2930, 2900, "activity")],
        "next": "destroyed after another 2930 s without activity, the grace included",
    });
    let rows = rows(fields, None);
    insta::assert_snapshot!(plain(&rows), @"
    State     on since 15:50 (10 min), idle
    Cost      0.0136 EUR net so far: 2 started hours at 0.0068, the next at 16:50
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      deleted at 16:48 (in 48 min) unless used

    Kept by   paid hour the hour is paid, counts for another 48m 20s
    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[32mon^[0m since 15:50 (10 min), idle"
    );
}

#[test]
fn up_and_active() {
    let rows = rows(in_use(), None);
    insta::assert_snapshot!(plain(&rows), @"
    State     on since 15:54 (5 min), in use
    Cost      0.0136 EUR net so far: 2 started hours at 0.0068, the next at 16:50
    Volume    20 GB in fsn1, 0.88 EUR net a month, 25.0 % full: dockbridge-default
              (8)
    Next      stays while it is used: 1 activity in progress

    Kept by   command   GET /containers/json, for 3s, by docker, while it continues
    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Docker    2 of 3 containers run, lease until 16:04 (in 4 min)
    Tunnel    2 streams, 1.2 kB sent, 34.0 kB received, round trip 12.3 ms
    Checks    15:59:51 heartbeat passed in 12 ms (11 times since 15:55:00)
              15:54:50 connect passed
              15:54:37 path failed: the machine has not answered for 6 s
    Path      reconnected once; last lost at 15:54:37 for 13 s: the machine has not
              answered for 6 s
    Activity  command   1 now of 41, 1.2 kB sent, 34.0 MB received
              build     2, 1.2 kB sent, 34.0 MB received
    Recent    15:59:40 command POST /containers/create, 0.2 s, 1.2 kB
    Port      127.0.0.1:80 forwards to web:80
    Budget    1.50 of 20.00 EUR spent this month; net
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(colored(&rows), @"
    State     ^[32mon^[0m since 15:54 (5 min), in use
              ^[31m15:54:37 path failed^[0m: the machine has not answered for 6 s
    Activity  ^[32mcommand   1 now^[0m of 41, 1.2 kB sent, 34.0 MB received
    ");
}

#[test]
fn pinned() {
    let fields = json!({
        "state": "up",
        "machine": machine(),
        "cost": cost(),
        "pin": {"age_seconds": 60, "seconds": 28_740},
        "reasons": [
            {"kind": "pin", "what": "dockbridge pin", "age_seconds": 60, "seconds": 28_740},
        ],
        "endings": [ending("idle", 28_770, 28_740, "activity")],
        "next": "destroyed after another 28770 s without activity, the grace included",
    });
    let rows = rows(fields, None);
    insta::assert_snapshot!(plain(&rows), @"
    State     on since 15:58:30 (1 min), idle, pinned until 23:59 (in 7 h 59 min)
    Cost      0.0136 EUR net so far: 2 started hours at 0.0068, the next at 16:50
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      deleted at 23:59 (in 7 h 59 min) unless used

    Kept by   pin       dockbridge pin, for 1m, counts for another 7h 59m
    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[32mon^[0m since 15:58:30 (1 min), idle, pinned until 23:59 (in 7 h 59 min)"
    );
}

#[test]
fn pinned_without_an_end_it_stays() {
    let fields = json!({
        "state": "up",
        "machine": machine(),
        "reasons": [{"kind": "pin", "what": "dockbridge pin", "age_seconds": 60, "seconds": null}],
    });
    let shown = plain(&rows(fields, None));
    for line in [
        "State     on since 15:58:30 (1 min), idle, pinned",
        "Next      stays until `dockbridge unpin`",
    ] {
        assert!(shown.lines().any(|found| found == line), "{shown}");
    }
}

#[test]
fn in_its_grace_period() {
    let fields = json!({
        "state": "up",
        "machine": machine(),
        "cost": cost(),
        "endings": [ending("idle", 21, 0, "activity")],
        "next": "destroyed in 21 s, since nothing has used it for 5 min; any activity cancels it",
    });
    let rows = rows(fields, None);
    insta::assert_snapshot!(plain(&rows), @"
    State     on since 15:58:30 (1 min), about to go
    Cost      0.0136 EUR net so far: 2 started hours at 0.0068, the next at 16:50
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      deleted at 16:00:21 (in 21 s), since nothing has used it for 5 min;
              any activity cancels it

    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[32mon^[0m since 15:58:30 (1 min), about to go"
    );
}

#[test]
fn end_that_activity_does_not_cancel_has_its_reason() {
    let fields = json!({
        "state": "up",
        "machine": machine(),
        "endings": [ending("max_lifetime", 7_200, 7_170, "nothing")],
    });
    let shown = plain(&rows(fields, None)).replace("\n          ", " ");
    let line = "Next      deleted at 18:00 (in 2 h) at the latest: nothing has used it for 5 min; \
        only a settings change prevents this";
    assert!(shown.lines().any(|found| found == line), "{shown}");
}

#[test]
fn releasing_with_trouble() {
    let fields = json!({
        "state": "releasing",
        "reason": "`dockbridge server destroy`; the cloud does not answer",
        "since_seconds": 70.0,
        "last_known": {"machine": machine(), "age_seconds": 70},
        "next": "dockbridge keeps trying until the machine is gone; its volume stays",
    });
    let rows = rows(fields, None);
    insta::assert_snapshot!(plain(&rows), @"
    State     being deleted since 15:58:50 (1 min): `dockbridge server destroy`; the
              cloud does not answer
    Cost      0.0068 EUR net a started hour until it is gone
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      dockbridge keeps trying until the machine is gone; its volume stays

    Last seen db-default (7, cx23 in fsn1), running, 203.0.113.7, 1 min ago
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[33mbeing deleted^[0m since 15:58:50 (1 min): `dockbridge server destroy`; the"
    );
}

#[test]
fn lost() {
    let loss = json!({"at": NOW - 4, "reason": "it is silent", "seconds": 4.2, "end": null});
    let fields = json!({
        "state": "lost",
        "reason": "the machine has not answered for 6 s",
        "since_seconds": 4.2,
        "last_known": {"machine": machine(), "age_seconds": 10},
        "next_attempt_seconds": 8.0,
        "reconnects": {"total": 0, "recent": [loss]},
        "next": "connecting again in 8 s; a docker command tries at once",
    });
    let rows = rows(fields, None);
    insta::assert_snapshot!(plain(&rows), @"
    State     not reachable since 15:59:56 (4 s): the machine has not answered for 6
              s
    Cost      0.0068 EUR net a started hour until it is gone
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      connecting again in 8 s; a docker command tries at once

    Last seen db-default (7, cx23 in fsn1), running, 203.0.113.7, 10 s ago
    Path      never reconnected; last lost at 15:59:56 for 4 s so far: it is silent
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[31mnot reachable^[0m since 15:59:56 (4 s): the machine has not answered for 6"
    );
}

#[test]
fn failed() {
    let fields = json!({
        "state": "failed",
        "reason": "none of cx23, cpx22 is in stock in fsn1, nbg1",
        "since_seconds": 5.0,
        "next": "the next docker command wakes a machine",
    });
    let bills = Bills { look: None, trouble: Some("no route to host".to_owned()) };
    let rows = rows(fields, Some(&bills));
    insta::assert_snapshot!(plain(&rows), @"
    State     failed at 15:59:55 (5 s): none of cx23, cpx22 is in stock in fsn1,
              nbg1
    Cost      nothing by the hour
    Volume    not known: the cloud does not answer
    Next      the next docker command wakes a machine

    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    Bills     unknown (no route to host)
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[31mfailed^[0m at 15:59:55 (5 s): none of cx23, cpx22 is in stock in fsn1,"
    );
}

#[test]
fn with_broken_settings_and_warnings() {
    let status = status(json!({
        "warnings": ["84 % of this month's budget are spent"],
    }));
    let (wakes, now, bills) = (wakes(), now(), bills());
    let seen = Seen { status: &status, bills: Some(&bills), wakes: &wakes, invalid: 2, now: &now };
    let rows = screen(&seen);
    insta::assert_snapshot!(plain(&rows), @"
    State     off since 15:58:30 (1 min)
    Cost      nothing by the hour
    Volume    20 GB in fsn1, 0.88 EUR net a month: dockbridge-default (8)
    Next      the next docker command creates a machine
    Settings  2 values are invalid and ignored: `dockbridge config validate` names
              them

    Note      84 % of this month's budget are spent
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    Bills     volume dockbridge-default (8, 20 GB in fsn1, not attached): 0.88 EUR a
              month
    ");
    insta::assert_snapshot!(colored(&rows), @"
    Settings  ^[31m2 values are invalid and ignored: `dockbridge config validate` names^[0m
              ^[31mthem^[0m
    Note      ^[33m84 % of this month's budget are spent^[0m
    ");
}

#[test]
fn connected_to_a_host_of_ones_own() {
    let fields = json!({
        "state": "up",
        "machine": {
            "id": null,
            "name": "lab.example",
            "address": "192.0.2.9",
            "status": "running",
            "server_type": null,
            "location": null,
            "created": null,
            "price_hourly": null,
            "volume": null,
        },
        "tunnel": {"up": 0, "down": 0, "streams": 0, "round_trip_ms": null},
        "next": "this host is not dockbridge's: it is only connected to",
    });
    let rows = rows(fields, None);
    insta::assert_snapshot!(plain(&rows), @"
    State     on since 15:58:30 (1 min), a host of your own
    Cost      nothing by dockbridge
    Next      this host is not dockbridge's: it is only connected to

    Machine   lab.example, running, 192.0.2.9
    Tunnel    0 streams, 0 B sent, 0 B received
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    ");
    insta::assert_snapshot!(
        colored(&rows),
        @"State     ^[32mon^[0m since 15:58:30 (1 min), a host of your own"
    );
}
