//! The states of a machine's life as `status` prints them.

use super::*;

/// Without its price, so that a line fits.
fn machine() -> Value {
    let mut machine = super::machine();
    machine["price_hourly"] = Value::Null;
    machine
}

#[test]
fn waking() {
    let shown = shown(json!({
        "state": "waking",
        "since_seconds": 12.3,
        "phases": [
            {"words": "asking the cloud", "detail": null, "seconds": 0.4, "over": true},
            {"words": "booting", "detail": "cx23 in fsn1", "seconds": 11.9, "over": false},
        ],
        "next": "docker commands wait until the machine is ready",
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     waking for 12 s
    Next      docker commands wait until the machine is ready
    ");
}

#[test]
fn idle() {
    let shown = shown(json!({
        "state": "up",
        "since_seconds": 600.0,
        "machine": machine(),
        "cost": {"hourly": 0.0068, "hours": 1, "so_far": 0.0068, "volume_monthly": 0.88},
        "reasons": [{"kind": "paid_hour", "what": "the hour is paid", "seconds": 2900}],
        "next": "destroyed after another 2930 s without activity, the grace included",
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     up for 600 s
    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Volume    dockbridge-default (8, 20 GB in fsn1)
    Cost      0.0068 EUR so far (1 started h at 0.0068); the volume 0.88 EUR a month; all net
    Kept by   paid hour the hour is paid, counts for another 48m 20s
    Next      destroyed after another 2930 s without activity, the grace included
    ");
}

#[test]
fn pinned() {
    let shown = shown(json!({
        "state": "up",
        "machine": machine(),
        "pin": {"age_seconds": 60, "seconds": 28_740},
        "reasons": [
            {"kind": "pin", "what": "dockbridge pin", "age_seconds": 60, "seconds": 28_740},
        ],
        "next": "destroyed after another 28770 s without activity, the grace included",
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     up for 90 s
    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Volume    dockbridge-default (8, 20 GB in fsn1)
    Kept by   pin       dockbridge pin, for 1m, counts for another 7h 59m
    Next      destroyed after another 28770 s without activity, the grace included
    ");
}

#[test]
fn in_its_grace_period() {
    let shown = shown(json!({
        "state": "up",
        "machine": machine(),
        "next": "destroyed in 21 s, since nothing has used it for 5 min; any activity cancels it",
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     up for 90 s
    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Volume    dockbridge-default (8, 20 GB in fsn1)
    Next      destroyed in 21 s, since nothing has used it for 5 min; any activity cancels it
    ");
}

#[test]
fn over_budget_soon() {
    let shown = shown(json!({
        "state": "up",
        "machine": machine(),
        "budget": {"limit": 20.0, "spent": 16.84},
        "warnings": ["84 % of this month's budget are spent"],
        "next": "kept: 2 activities in progress",
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     up for 90 s
    Machine   db-default (7, cx23 in fsn1), running, 203.0.113.7
    Image     docker-ce (9)
    Volume    dockbridge-default (8, 20 GB in fsn1)
    Budget    16.84 of 20.00 EUR spent this month; net
    Note      84 % of this month's budget are spent
    Next      kept: 2 activities in progress
    ");
}

#[test]
fn lost() {
    let shown = shown(json!({
        "state": "lost",
        "reason": "the machine has not answered for 6 s",
        "since_seconds": 4.2,
        "last_known": {"machine": machine(), "age_seconds": 10},
        "next_attempt_seconds": 8.0,
        "next": "connecting again in 8 s; a docker command tries at once",
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     lost for 4.2 s: the machine has not answered for 6 s
    Last seen db-default (7, cx23 in fsn1), running, 203.0.113.7, as seen 10s ago
    Next      connecting again in 8 s; a docker command tries at once
    ");
}

#[test]
fn releasing() {
    let shown = shown(json!({
        "state": "releasing",
        "reason": "nothing has used it for 5 min",
        "since_seconds": 3.0,
        "last_known": {"machine": machine(), "age_seconds": 3},
        "next": "the machine is being destroyed; its volume stays",
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     releasing for 3.0 s: nothing has used it for 5 min
    Last seen db-default (7, cx23 in fsn1), running, 203.0.113.7, as seen 3s ago
    Next      the machine is being destroyed; its volume stays
    ");
}

#[test]
fn releasing_with_trouble() {
    let shown = shown(json!({
        "state": "releasing",
        "reason": "`dockbridge server destroy`; the cloud does not answer",
        "since_seconds": 70.0,
        "next": "dockbridge keeps trying until the machine is gone; its volume stays",
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     releasing for 70 s: `dockbridge server destroy`; the cloud does not answer
    Next      dockbridge keeps trying until the machine is gone; its volume stays
    ");
}

#[test]
fn failed() {
    let shown = shown(json!({
        "state": "failed",
        "reason": "none of cx23, cpx22 is in stock in fsn1, nbg1",
        "since_seconds": 5.0,
        "next": "the next docker command wakes a machine",
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     failed for 5.0 s: none of cx23, cpx22 is in stock in fsn1, nbg1
    Next      the next docker command wakes a machine
    ");
}

#[test]
fn connected_to_a_host_of_ones_own() {
    let shown = shown(json!({
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
    }));
    insta::assert_snapshot!(shown, @r"
    Profile   default
    Socket    unix:///run/user/1000/dockbridge/default/docker.sock
    State     up for 90 s
    Machine   lab.example, running, 192.0.2.9
    Tunnel    0 streams, 0 bytes up, 0 down
    Next      this host is not dockbridge's: it is only connected to
    ");
}
