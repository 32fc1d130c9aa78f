use super::*;

fn machine(id: u64) -> Summary {
    serde_json::from_value(serde_json::json!({
        "id": id, "name": "m", "status": "running", "busy": false, "server_type": "cx23",
        "location": "fsn1", "created": 1_000, "price_hourly": 0.0096, "price_monthly": 5.99,
        "currency": "EUR", "billed_unit_seconds": 3_600,
    }))
    .unwrap()
}

fn seen(state: MachineState, since: Moment) -> Seen {
    Seen { state, since, machine: None, detail: "why".to_owned(), end: None }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn wait_is_worth_a_notice_after_ten_seconds_and_then_its_end_is() {
    let begun = Moment::default();
    let mut watched = Watched::default();
    let mut at = |state, count| watched.see(seen(state, begun), begun.plus(seconds(count)));
    assert_eq!(at(MachineState::Waking, 0), None);
    assert_eq!(at(MachineState::Waking, 9), None);
    assert_eq!(at(MachineState::Waking, 10), Some(Event::Waits));
    assert_eq!(at(MachineState::Waking, 11), None, "one notice for one wait");
    assert_eq!(at(MachineState::Up, 38), Some(Event::Ready { after: seconds(38) }));
    assert_eq!(at(MachineState::Up, 39), None);
    assert_eq!(at(MachineState::Lost, 50), None);
    assert_eq!(at(MachineState::Waking, 60), Some(Event::Waits));
    let failed = Event::Failed { why: "why".to_owned() };
    assert_eq!(at(MachineState::Failed, 61), Some(failed));
    assert_eq!(at(MachineState::Failed, 62), None);
}

#[test]
fn short_wait_is_worth_none() {
    let begun = Moment::default();
    let mut watched = Watched::default();
    assert_eq!(watched.see(seen(MachineState::Waking, begun), begun), None);
    assert_eq!(watched.next_look(), Some(begun.plus(LONG_WAIT)));
    let later = begun.plus(seconds(9));
    assert_eq!(watched.see(seen(MachineState::Up, later), later), None);
    assert_eq!(watched.next_look(), None);
}

#[test]
fn machine_that_goes_is_worth_a_notice_unless_the_user_ordered_it() {
    let now = Moment::default();
    let end = |server, actor| {
        Some(End { server: Some(server), actor, because: String::new(), at: Timestamp::now() })
    };
    for (end, is_worth_it) in [
        (None, true),
        (end(7, Actor::Policy), true),
        (end(7, Actor::User), false),
        (end(6, Actor::User), true),
    ] {
        let mut watched = Watched::default();
        assert_eq!(watched.see(seen(MachineState::Absent, now), now), None, "there was none");
        let up = Seen { machine: Some(machine(7)), ..seen(MachineState::Up, now) };
        assert_eq!(watched.see(up, now), None);
        assert_eq!(watched.see(seen(MachineState::Releasing, now), now), None);
        let gone = Seen { end: end.clone(), ..seen(MachineState::Absent, now) };
        let event = watched.see(gone, now);
        let expected = Event::Gone { machine: Box::new(machine(7)), because: "why".to_owned() };
        assert_eq!(event, is_worth_it.then_some(expected), "{end:?}");
        assert_eq!(watched.see(seen(MachineState::Absent, now), now), None, "once");
    }
}

#[test]
fn notice_says_why_the_machine_went_and_what_it_cost() {
    let directory = tempfile::tempdir().unwrap();
    let mut accounts = crate::ledger::Accounts::open(directory.path(), seconds(300), None);
    let now = Timestamp::now();
    let machine = Summary { created: Some(now.as_second() - 3_700), ..machine(7) };
    accounts.machine_exists(&machine, now);
    let notices = Notices {
        desktop: Desktop::default(),
        profile: "lab".to_owned(),
        directory: directory.path().to_owned(),
        lease: 300,
        clock: Arc::new(lifecycle::SuspendClock),
    };
    let because = "nothing has used it for 5m".to_owned();
    let event = Event::Gone { machine: Box::new(machine), because };
    let state = DaemonState::new(Moment::default());
    assert_eq!(
        notices.note(&event, &state),
        Note {
            summary: "dockbridge (profile lab): the machine is gone".to_owned(),
            body: "Nothing has used it for 5m. It cost 0.0192 EUR, net.".to_owned(),
        }
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn missing_desktop_is_logged_once() {
    let log = testkit::CapturedLog::begin();
    let mut desk = Desk::new(Desktop::at("unix:path=/nonexistent/bus"));
    let note = Note { summary: "one".to_owned(), body: "two".to_owned() };
    desk.show(&note, true).await;
    desk.show(&note, false).await;
    let text = log.text();
    assert_eq!(text.matches("notices are not shown").count(), 1, "{text}");
}
