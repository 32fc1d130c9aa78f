//! Twelve cases, and the true reason in each.

use std::sync::Arc;

use lifecycle::{
    Activity, Billing, Budget, Clock as _, Container, Containers, Counts, FakeClock, Guard, Kind,
    Policy, Tenure, decide,
};

use super::*;

const HOUR: Billing =
    Billing { unit: Duration::from_secs(3_600), release_takes: Duration::from_secs(90) };
const CLIENT: &str = "Docker-Client/28.2.2 (linux)";

struct Stage {
    clock: Arc<FakeClock>,
    activity: Activity,
    policy: Policy,
    tenure: Tenure,
}

impl Stage {
    fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        clock.advance(Duration::from_secs(1_000_000));
        let tenure = Tenure::free(clock.now());
        let policy = Policy { keep_paid_hour: false, ..Policy::default() };
        Self { activity: Activity::new(clock.clone()), clock, policy, tenure }
    }

    fn begin(&self, kind: Kind, source: &str) -> Guard {
        self.activity.begin_for(kind, source, Some(CLIENT.to_owned()))
    }

    fn after(&self, seconds: u64) -> Why {
        self.clock.advance(Duration::from_secs(seconds));
        why_of_machine(&decide(
            &self.activity.snapshot(),
            &self.policy,
            &self.tenure,
            self.clock.now(),
        ))
    }

    /// In a state without a machine that answers.
    fn without(&self, state: &MachineState) -> Why {
        let now = self.clock.now();
        why_of(state, &decide(&self.activity.snapshot(), &self.policy, &self.tenure, now), now)
    }
}

/// The first reason: its kind, its text, and how long it has lasted.
fn first(why: &Why) -> (&str, &str, Option<u64>) {
    let reason = why.reasons.first().expect("there is a reason");
    (reason.kind.word(), &reason.what, reason.age_seconds)
}

#[test]
fn one_command_is_being_answered() {
    let stage = Stage::new();
    let _command = stage.begin(Kind::Command, "POST /containers/db/stop");
    let why = stage.after(700);
    assert_eq!(first(&why), ("command", "POST /containers/db/stop", Some(700)));
    assert_eq!((why.reasons[0].client.as_deref(), why.reasons[0].seconds), (Some(CLIENT), None));
    assert_eq!((why.next.as_str(), why.endings.len()), ("kept: 1 activity in progress", 0));
}

#[test]
fn two_silent_build_beside_a_pull() {
    let stage = Stage::new();
    let _build = stage.begin(Kind::Build, "POST /session");
    let _pull = stage.begin(Kind::Transfer, "POST /images/create");
    let why = stage.after(4_000);
    let kinds: Vec<&str> = why.reasons.iter().map(|reason| reason.kind.word()).collect();
    assert_eq!(
        (kinds, why.next.as_str()),
        (vec!["build", "transfer"], "kept: 2 activities in progress")
    );
}

#[test]
fn three_open_connection_is_silent() {
    let stage = Stage::new();
    let _open = stage.begin(Kind::Stream, "POST /exec/4f/start");
    let why = stage.after(1_000);
    assert_eq!(first(&why), ("stream", "POST /exec/4f/start", Some(1_000)));
    assert_eq!((why.reasons[0].silent_seconds, why.reasons[0].seconds), (Some(1_000), Some(800)));
    assert_eq!(why.next, "destroyed after another 830 s without activity, the grace included");
}

#[test]
fn four_connection_through_a_published_port() {
    let stage = Stage::new();
    let port = stage.activity.begin(Kind::Forward, "web:8080");
    stage.after(900);
    port.traffic();
    let why = stage.after(400);
    assert_eq!(first(&why), ("port", "web:8080", Some(1_300)));
    assert_eq!((why.reasons[0].silent_seconds, why.reasons[0].seconds), (Some(400), Some(1_400)));
}

#[test]
fn five_containers_run() {
    let stage = Stage::new();
    stage.activity.set_containers(
        ["db", "web", "mail"]
            .map(|name| Container { name: name.to_owned(), counts: Counts::AsSet })
            .to_vec(),
    );
    let why = stage.after(600);
    assert_eq!(first(&why), ("container", "containers db, web and 1 more are running", None));
    assert_eq!(why.reasons[0].seconds, Some(1_200));
}

#[test]
fn six_container_has_the_keep_label() {
    let mut stage = Stage::new();
    stage.policy.containers = Containers::Ignore;
    let train = Container { name: "train".to_owned(), counts: Counts::Always };
    stage.activity.set_containers(vec![train]);
    let why = stage.after(90_000);
    assert_eq!(first(&why), ("container", "container train has the label dockbridge.keep", None));
    assert_eq!(why.next, "kept: 1 activity in progress");
}

#[test]
fn seven_pin() {
    let stage = Stage::new();
    stage.activity.pin(Some(Duration::from_secs(8 * 3_600)));
    let why = stage.after(3_600);
    assert_eq!(first(&why), ("pin", "pinned by the user", Some(3_600)));
    assert_eq!(why.reasons[0].seconds, Some(7 * 3_600));
}

#[test]
fn eight_paid_hour() {
    let mut stage = Stage::new();
    (stage.policy.keep_paid_hour, stage.tenure.billing) = (true, Some(HOUR));
    let why = stage.after(600);
    assert_eq!(first(&why), ("paid_hour", "the hour is paid for another 50 min", None));
    assert_eq!(why.next, "destroyed after another 2910 s without activity, the grace included");
}

#[test]
fn nine_grace_period_only() {
    let stage = Stage::new();
    drop(stage.begin(Kind::Command, "GET /info"));
    let why = stage.after(310);
    assert!(why.reasons.is_empty());
    assert_eq!(
        why.next,
        "destroyed in 20 s, since nothing has used it for 5 min; any activity cancels it"
    );
    assert_eq!((why.endings[0].cause.word(), why.endings[0].grace_seconds), ("idle", 0));
}

#[test]
fn ten_locked_screen() {
    let stage = Stage::new();
    drop(stage.begin(Kind::Command, "GET /info"));
    stage.after(200);
    drop(stage.begin(Kind::Command, "GET /info"));
    stage.activity.set_locked(true);
    drop(stage.begin(Kind::Stream, "POST /containers/x/attach"));
    let why = stage.after(280);
    assert_eq!(
        why.next,
        "destroyed in 20 s, since the screen has been locked for 4 min; unlocking the screen \
         cancels it"
    );
    assert_eq!((why.endings[0].cause.word(), why.endings[1].cause.word()), ("lock", "idle"));
    assert_eq!(first(&why).0, "recent", "which would keep it if the screen were not locked");
}

#[test]
fn eleven_lifetime_and_budget_end_it_during_work() {
    let mut stage = Stage::new();
    stage.policy.max_lifetime = Some(Duration::from_secs(4 * 3_600));
    stage.tenure.billing = Some(HOUR);
    stage.tenure.budget = Some(Budget { limit: 1_000, spent: 900, next_unit: 9 });
    let _build = stage.begin(Kind::Build, "POST /build");
    let why = stage.after(3_600);
    let hard = "destroyed in 10800 s at the latest: it is as old as activity.max_lifetime allows \
        (4 h); only a settings change prevents this";
    assert_eq!((why.next.as_str(), first(&why).0), (hard, "build"));
    assert_eq!(stage.tenure.budget.and_then(|budget| budget.warning()), Some(90));
    stage.tenure.budget = Some(Budget { limit: 1_000, spent: 995, next_unit: 9 });
    let why = stage.after(0);
    assert_eq!(
        (why.endings[0].cause.word(), why.endings[0].seconds, why.endings[1].cause.word()),
        ("budget", 3_510, "max_lifetime")
    );
}

#[test]
fn twelve_no_machine_answers() {
    let stage = Stage::new();
    let again = Some(stage.clock.now().plus(Duration::from_secs(7)));
    for (state, next) in [
        (MachineState::Absent { because: None }, "the next docker command wakes a machine"),
        (MachineState::Waking, "docker commands wait until the machine is ready"),
        (
            MachineState::Lost { reason: String::new(), trouble: None, again },
            "connecting again in 7 s; a docker command tries at once",
        ),
        (
            MachineState::Lost { reason: String::new(), trouble: None, again: None },
            "connecting again now",
        ),
        (
            MachineState::Releasing { because: String::new(), trouble: None },
            "the machine is being destroyed; its volume stays",
        ),
        (
            MachineState::Releasing {
                because: String::new(),
                trouble: Some("no answer".to_owned()),
            },
            "dockbridge keeps trying until the machine is gone; its volume stays",
        ),
        (
            MachineState::Failed {
                error: Box::new(api::Error::new(api::Code::NoMachine, "")),
                again: None,
            },
            "the next docker command wakes a machine",
        ),
    ] {
        let why = stage.without(&state);
        assert_eq!(
            (why.next.as_str(), why.reasons.len(), why.endings.len()),
            (next, 0, 0),
            "{state:?}"
        );
    }
}
