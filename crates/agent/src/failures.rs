//! The failed steps of a procedure that goes on after a failure, as one error.

use std::error::Error;

use agent_proto::with_causes;

/// The steps that failed, in order. It displays each with its causes, because it has no single
/// source.
#[derive(Debug, thiserror::Error)]
#[error("{}", joined(.0))]
pub struct Failures<E: Error + 'static>(pub Vec<E>);

fn joined<E: Error + 'static>(steps: &[E]) -> String {
    steps.iter().map(|step| with_causes(step)).collect::<Vec<_>>().join("; ")
}
