//! What a person does not want to think of: containers that come back with the machine, a volume
//! that fills up, a bill that is true.

mod after_a_wake;
mod asleep;
mod growth;
mod money;
