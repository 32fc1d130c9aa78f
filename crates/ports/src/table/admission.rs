//! Which published ports appear here, by the rules that hold now.

use super::{Action, Table};
use crate::address::Address;
use crate::rules::Rules;

impl Table {
    /// Whether published ports of a container appear here.
    pub(crate) fn admits(&self, name: &str, wanted: Address) -> bool {
        self.rules.admit(name, wanted.protocol, wanted.at.port())
    }

    /// Other rules hold from now on.
    pub(crate) fn set_rules(&mut self, rules: Rules) -> Vec<Action> {
        self.rules = rules;
        self.difference()
    }
}
