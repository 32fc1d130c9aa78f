//! Rules that change while containers run.

use super::*;
use crate::rules::Rules;

fn opened(actions: &[Action]) -> Vec<u16> {
    let ports = actions.iter().filter_map(|action| match action {
        Action::Open(listening) => Some(listening.slot.wanted.at.port()),
        Action::Close(_) | Action::Yield(..) => None,
    });
    ports.collect()
}

#[test]
fn port_appears_and_disappears_with_the_rules_while_its_container_runs() {
    let mut table = Table::new(Rules::default());
    let ticket = table.ask();
    let actions = table.observe(ticket, "a", Some(container("a", &[80, 5432])));
    assert_eq!(opened(&actions), [80, 5432]);
    for action in &actions {
        if let Action::Open(listening) = action {
            table.opened(listening.clone(), vec![listening.slot.wanted.at]);
        }
    }
    let exclude = vec!["5432".parse().unwrap()];
    let actions = table.set_rules(Rules { include: Vec::new(), exclude });
    let [Action::Close(slot)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(slot.wanted, tcp(5432));
    assert_eq!(opened(&table.set_rules(Rules::default())), [5432]);
    assert_eq!(table.set_rules(Rules::default()).len(), 1, "it is not open yet");
}
