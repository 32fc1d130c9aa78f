//! The supervisor's next action, as a plain function of where the machine stands, what is wanted,
//! and the time. The driver takes the action, waits for something to change, and asks again.

use std::time::Duration;

use lifecycle::Moment;

use super::recovery::Recovery;

/// A client that waits for a machine gets another one if the cloud has not deleted this one for so
/// long: it may be as good as new.
const LONGEST_RELEASE_FOR_CLIENTS: Duration = Duration::from_secs(30);

/// Where the machine stands while the supervisor waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none. One that existed before a failure is looked for again at `retry`.
    Absent { retry: Option<Moment> },
    /// It does not answer, and the next attempt to connect is due at a moment.
    Lost {
        /// When the last attempt began.
        attempted: Option<Moment>,
        due: Moment,
    },
    /// An attempt to connect goes on.
    Connecting { begun: Moment },
    /// It answers.
    Up,
    /// It is taken down, and the cloud has not done it yet. The next attempt is due at a moment.
    Releasing {
        begun: Moment,
        due: Moment,
        /// By an order of the user, which wins over requests.
        ordered: bool,
    },
}

/// An order of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A machine, whatever failed before.
    Wake,
    /// The end of the machine.
    Destroy,
    /// The end of the daemon; the machine is left to its lease.
    Stop,
}

/// What clients and the user want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Intent {
    /// A request waits for a machine.
    pub(super) wanted: bool,
    pub(super) order: Option<Order>,
}

/// What the supervisor does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing, until something changes.
    Wait,
    /// The requests that wait get the last failure.
    AnswerWithLastFailure,
    /// The requests that wait are refused: an order of the user wins over them.
    RefuseRequests,
    /// Get a machine.
    Wake,
    /// Look for the machine that existed, and connect to it.
    Connect,
    /// Take the machine down by an order of the user.
    Destroy,
    /// Ask the cloud again to take the machine down.
    ReleaseAgain,
    /// The daemon ends.
    End,
}

/// The next action. An order wins over requests, a request over a pause.
pub(super) fn step(stage: Stage, intent: Intent, recovery: &Recovery, now: Moment) -> Action {
    match intent.order {
        Some(Order::Stop) => return Action::End,
        Some(Order::Destroy) => return Action::Destroy,
        Some(Order::Wake) if stage != Stage::Up => return Action::Wake,
        Some(Order::Wake) | None => {}
    }
    let is_due = |moment: Moment| moment <= now;
    match stage {
        Stage::Absent { .. } if intent.wanted && recovery.refuses(now) => {
            Action::AnswerWithLastFailure
        }
        Stage::Absent { .. } if intent.wanted => Action::Wake,
        Stage::Absent { retry } if retry.is_some_and(is_due) => Action::Connect,
        Stage::Lost { attempted, .. } if intent.wanted => {
            match is_due(Recovery::due_for_client(attempted, now)) {
                true => Action::Wake,
                false => Action::Wait,
            }
        }
        Stage::Lost { due, .. } if is_due(due) => Action::Connect,
        Stage::Connecting { begun }
            if intent.wanted && is_due(Recovery::due_for_client(Some(begun), now)) =>
        {
            Action::Wake
        }
        Stage::Releasing { ordered: true, .. } if intent.wanted => Action::RefuseRequests,
        Stage::Releasing { begun, .. }
            if intent.wanted && now.since(begun) > LONGEST_RELEASE_FOR_CLIENTS =>
        {
            Action::Wake
        }
        Stage::Releasing { due, .. } if is_due(due) => Action::ReleaseAgain,
        Stage::Absent { .. }
        | Stage::Lost { .. }
        | Stage::Connecting { .. }
        | Stage::Up
        | Stage::Releasing { .. } => Action::Wait,
    }
}

/// When [`step`] may return another action although nothing new is wanted.
pub(super) fn next_look(stage: Stage, intent: Intent, now: Moment) -> Option<Moment> {
    match stage {
        Stage::Absent { retry } => retry,
        Stage::Lost { attempted, .. } if intent.wanted => {
            Some(Recovery::due_for_client(attempted, now))
        }
        Stage::Lost { due, .. } | Stage::Releasing { due, .. } => Some(due),
        Stage::Connecting { begun } => {
            intent.wanted.then(|| Recovery::due_for_client(Some(begun), now))
        }
        Stage::Up => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Moment {
        Moment::since_boot(Duration::from_secs(second))
    }

    const WANTED: Intent = Intent { wanted: true, order: None };
    const NOTHING: Intent = Intent { wanted: false, order: None };

    fn ordered(order: Order) -> Intent {
        Intent { wanted: true, order: Some(order) }
    }

    fn next(stage: Stage, intent: Intent, second: u64) -> Action {
        step(stage, intent, &Recovery::default(), at(second))
    }

    #[test]
    fn request_wakes_a_machine_unless_the_last_failure_answers_it() {
        let absent = Stage::Absent { retry: None };
        assert_eq!(next(absent, NOTHING, 100), Action::Wait);
        assert_eq!(next(absent, WANTED, 100), Action::Wake);
        let mut failed = Recovery::default();
        failed.refuse_for(Duration::from_secs(60), at(100));
        assert_eq!(step(absent, WANTED, &failed, at(159)), Action::AnswerWithLastFailure);
        assert_eq!(step(absent, WANTED, &failed, at(160)), Action::Wake);
        assert_eq!(step(absent, ordered(Order::Wake), &failed, at(101)), Action::Wake);
    }

    #[test]
    fn machine_that_existed_is_looked_for_again_when_its_pause_is_over() {
        let absent = Stage::Absent { retry: Some(at(120)) };
        assert_eq!(
            [next(absent, NOTHING, 119), next(absent, NOTHING, 120)],
            [Action::Wait, Action::Connect]
        );
        let lost = Stage::Lost { attempted: Some(at(100)), due: at(130) };
        assert_eq!(
            [next(lost, NOTHING, 129), next(lost, NOTHING, 130)],
            [Action::Wait, Action::Connect]
        );
    }

    #[test]
    fn waiting_client_shortens_a_pause_but_not_below_a_second() {
        let lost = Stage::Lost { attempted: Some(at(100)), due: at(130) };
        assert_eq!(
            [next(lost, WANTED, 100), next(lost, WANTED, 101)],
            [Action::Wait, Action::Wake]
        );
        let connecting = Stage::Connecting { begun: at(100) };
        assert_eq!(
            [next(connecting, WANTED, 100), next(connecting, WANTED, 101)],
            [Action::Wait, Action::Wake]
        );
        assert_eq!(next(connecting, NOTHING, 500), Action::Wait, "the attempt has its own end");
    }

    #[test]
    fn requests_during_a_release_are_refused_by_an_order_and_else_served_after_a_while() {
        let by_order = Stage::Releasing { begun: at(100), due: at(110), ordered: true };
        assert_eq!(next(by_order, WANTED, 500), Action::RefuseRequests);
        let by_policy = Stage::Releasing { begun: at(100), due: at(110), ordered: false };
        assert_eq!(next(by_policy, WANTED, 105), Action::Wait);
        assert_eq!(next(by_policy, WANTED, 110), Action::ReleaseAgain);
        assert_eq!(next(by_policy, WANTED, 131), Action::Wake);
        assert_eq!(next(by_policy, NOTHING, 131), Action::ReleaseAgain);
    }

    fn stages() -> impl Strategy<Value = Stage> {
        let moment = || (0..200u64).prop_map(at);
        prop_oneof![
            prop::option::of(moment()).prop_map(|retry| Stage::Absent { retry }),
            (prop::option::of(moment()), moment())
                .prop_map(|(attempted, due)| Stage::Lost { attempted, due }),
            moment().prop_map(|begun| Stage::Connecting { begun }),
            Just(Stage::Up),
            (moment(), moment(), any::<bool>())
                .prop_map(|(begun, due, ordered)| Stage::Releasing { begun, due, ordered }),
        ]
    }

    proptest! {
        #[test]
        fn order_is_never_lost(stage in stages(), wanted in any::<bool>(), second in 0..300u64) {
            let action = |order| {
                let intent = Intent { wanted, order: Some(order) };
                step(stage, intent, &Recovery::default(), at(second))
            };
            prop_assert_eq!(action(Order::Stop), Action::End);
            prop_assert_eq!(action(Order::Destroy), Action::Destroy);
            prop_assert!(stage == Stage::Up || action(Order::Wake) == Action::Wake);
        }

        /// A driver that sleeps until the next look misses no action.
        #[test]
        fn nothing_becomes_due_before_the_next_look(
            stage in stages(),
            wanted in any::<bool>(),
            begin in 0..300u64,
            later in 0..300u64,
        ) {
            let intent = Intent { wanted, order: None };
            let recovery = Recovery::default();
            prop_assume!(step(stage, intent, &recovery, at(begin)) == Action::Wait);
            let (now, look) = (at(begin + later), next_look(stage, intent, at(begin)));
            if look.is_none_or(|look| now < look) && !matches!(stage, Stage::Releasing { .. }) {
                prop_assert_eq!(step(stage, intent, &recovery, now), Action::Wait);
            }
        }

        /// A pause ends, and a waiting client is served within a second of the last attempt.
        #[test]
        fn no_stage_waits_forever_for_a_client(stage in stages()) {
            prop_assume!(stage != Stage::Up);
            let action = step(stage, WANTED, &Recovery::default(), at(1_000));
            prop_assert_ne!(action, Action::Wait);
        }
    }
}
