//! Renders an error with its causes, for log lines and for results that carry text.

pub use agent_proto::with_causes;
