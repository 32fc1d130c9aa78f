//! Unattended upkeep: containers that restart with the machine, a volume that fills up, a correct
//! bill.

mod after_a_wake;
mod asleep;
mod growth;
mod login_key;
mod money;
