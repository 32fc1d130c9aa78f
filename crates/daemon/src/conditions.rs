//! What holds now that the user should know, by the daemon's state, its ports and the cloud's
//! clock. Pure.

use api::{Condition, PortState, PortStatus, Summary};
use tunnel::AgentState;

use crate::disk_usage::VolumeUsage;
use crate::state::{DaemonState, MachineState};

/// In seconds. A larger offset is not the delay of an answer, and makes bills and ages wrong.
const FAR_OFF: u64 = 5 * 60;

/// All conditions that hold. `clock_offset` is in seconds, as [`clock_condition`] takes it.
pub(crate) fn conditions(
    now: &DaemonState,
    ports: &[PortStatus],
    clock_offset: Option<i64>,
) -> Vec<Condition> {
    let volume = now.volume_usage();
    let budget = now.tenure.and_then(|(_, tenure)| tenure.budget);
    let ready = match &now.machine {
        MachineState::Up(ready) => Some(ready),
        _ => None,
    };
    let found = [
        clock_offset.and_then(clock_condition),
        volume.and_then(VolumeUsage::full),
        volume.and_then(VolumeUsage::nearly_full),
        budget.and_then(|budget| budget.warning()).map(budget_condition),
        ready.and_then(|ready| without_agent(&ready.summary, ready.tunnel.agent())),
        ready.and_then(|ready| without_price(&ready.summary)),
        unavailable(ports),
    ];
    found.into_iter().flatten().collect()
}

/// A clock that is `offset` seconds ahead of the cloud's, or behind it if that is negative; `None`
/// if it is right.
pub fn clock_condition(offset: i64) -> Option<Condition> {
    (offset.unsigned_abs() > FAR_OFF).then_some(Condition::ClockWrong { offset })
}

fn budget_condition(percent: u64) -> Condition {
    Condition::BudgetNearlySpent { percent }
}

/// Whether no agent runs on a machine that bills.
fn without_agent(machine: &Summary, agent: AgentState) -> Option<Condition> {
    match (machine.id, agent) {
        (Some(_), AgentState::Absent { reason }) => {
            Some(Condition::AgentNotRunning { machine: machine.name.clone(), reason })
        }
        _ => None,
    }
}

/// Without the price list, the price is that of the server alone.
fn without_price(machine: &Summary) -> Option<Condition> {
    let is_priced = machine.price_hourly.is_some() && machine.currency.is_some();
    (machine.id.is_some() && !is_priced).then(|| Condition::PriceUnknown {
        machine: machine.name.clone(),
        has_part: machine.price_hourly.is_some(),
    })
}

fn unavailable(ports: &[PortStatus]) -> Option<Condition> {
    let ports: Vec<String> = ports
        .iter()
        .filter(|port| matches!(port.state, PortState::Unavailable { .. }))
        .map(|port| port.local.to_string())
        .collect();
    (!ports.is_empty()).then_some(Condition::PortsUnavailable { ports })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::{Protocol, Traffic};
    use lifecycle::{Budget, Moment, Tenure};

    use super::*;

    #[test]
    fn clock_that_is_far_off_is_reported_with_its_offset() {
        for offset in [0, -300, 300] {
            assert_eq!(clock_condition(offset), None, "{offset}");
        }
        for offset in [301, -301, 400 * 86_400] {
            assert_eq!(clock_condition(offset), Some(Condition::ClockWrong { offset }));
        }
    }

    fn machine(id: Option<u64>) -> Summary {
        Summary {
            price_hourly: Some(0.01),
            currency: Some("EUR".to_owned()),
            ..Summary::known_as("m", id)
        }
    }

    #[test]
    fn only_a_machine_that_bills_needs_an_agent_and_a_price() {
        let absent = || AgentState::Absent { reason: "no room".to_owned() };
        let billed = machine(Some(7));
        assert_eq!(
            without_agent(&billed, absent()),
            Some(Condition::AgentNotRunning {
                machine: "m".to_owned(),
                reason: "no room".to_owned()
            })
        );
        assert_eq!(without_agent(&billed, AgentState::Running { resident: true }), None);
        assert_eq!(without_agent(&machine(None), absent()), None);

        let unpriced = |id, price_hourly| {
            without_price(&Summary { price_hourly, currency: None, ..machine(id) })
        };
        let unknown = |has_part| Condition::PriceUnknown { machine: "m".to_owned(), has_part };
        assert_eq!(without_price(&billed), None);
        assert_eq!(unpriced(None, None), None);
        assert_eq!(unpriced(Some(7), None), Some(unknown(false)));
        assert_eq!(unpriced(Some(7), Some(0.01)), Some(unknown(true)));
    }

    #[test]
    fn ports_that_do_not_answer_and_a_budget_that_is_nearly_spent_are_reported() {
        let port = |state| PortStatus {
            container: "web".to_owned(),
            protocol: Protocol::Tcp,
            local: "127.0.0.1:80".parse().unwrap(),
            addresses: Vec::new(),
            asked_for: None,
            container_port: 80,
            remote: None,
            by_hand: false,
            traffic: Traffic::default(),
            state,
        };
        let begun = Moment::default().plus(Duration::from_secs(9));
        let mut now = DaemonState::new(begun);
        assert_eq!(conditions(&now, &[port(PortState::Open)], Some(0)), []);
        let budget = Some(Budget { limit: 1_000, spent: 900, next_unit: 9 });
        now.tenure = Some((Some(7), Tenure { budget, ..Tenure::free(begun) }));
        let taken = port(PortState::Unavailable { why: "it is taken".to_owned() });
        let ports = vec!["127.0.0.1:80".to_owned()];
        assert_eq!(
            conditions(&now, &[port(PortState::Open), taken], None),
            [Condition::BudgetNearlySpent { percent: 90 }, Condition::PortsUnavailable { ports }]
        );
    }
}
