//! What a request that wakes the machine waits for: the running stage, as `wake` and `status` show
//! it, with its usual time from past wakes. Pure.

use gateway::Wait;
use lifecycle::Moment;
use machine::History;

use crate::state::{DaemonState, MachineState};

/// Called while no machine answers.
pub(crate) fn wait(now: &DaemonState, past: &History, moment: Moment) -> Wait {
    let running = now.phases.last().filter(|phase| phase.ended.is_none());
    let whole = |stage: &str| Wait {
        stage: stage.to_owned(),
        lasted: moment.since(now.since),
        usual: None,
    };
    match (&now.machine, running) {
        (MachineState::Releasing { .. }, _) => whole("deleting the last machine"),
        (_, Some(phase)) => {
            let words = phase.phase.words();
            let detail = phase.detail.as_ref().map(|detail| format!(" ({detail})"));
            Wait {
                stage: format!("{words}{}", detail.unwrap_or_default()),
                lasted: moment.since(phase.began),
                usual: past.usual(words),
            }
        }
        (MachineState::Up(_) | MachineState::Lost { .. }, None) => whole("connecting again"),
        (
            MachineState::Absent { .. } | MachineState::Waking | MachineState::Failed { .. },
            None,
        ) => whole("asking for a machine"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use machine::Phase;

    use super::*;

    const PAST: &str = r#"{"wakes": [{"image": 1, "server_type": "cx23", "location": "fsn1",
        "at": 0, "took_ms": 20000, "stages": [{"phase": "boot", "took_ms": 18000}]}]}"#;

    #[test]
    fn running_stage_is_reported_with_its_usual_time() {
        let begun = Moment::default();
        let mut now = DaemonState::new(begun);
        now.enter(MachineState::Waking, begun);
        now.phase(Phase::Boot, Some("cx23 in fsn1".to_owned()), begun);
        let past: History = serde_json::from_str(PAST).unwrap();
        let lasted = Duration::from_secs(12);
        assert_eq!(
            wait(&now, &past, begun.plus(lasted)),
            Wait {
                stage: "booting (cx23 in fsn1)".to_owned(),
                lasted,
                usual: Some(Duration::from_secs(18)),
            }
        );
    }

    #[test]
    fn release_that_goes_on_is_reported_before_the_next_wake() {
        let begun = Moment::default();
        let mut now = DaemonState::new(begun);
        now.phase(Phase::Resume, None, begun);
        let state = MachineState::Releasing { because: "an order".to_owned(), trouble: None };
        now.enter(state, begun);
        let wait = wait(&now, &History::default(), begun);
        assert_eq!((wait.stage.as_str(), wait.usual), ("deleting the last machine", None));
    }
}
