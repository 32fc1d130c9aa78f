//! Why the gateway takes no more requests from a connection.

/// A request that is malformed or ambiguous, in the words of Go's server where it has any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: &'static str,
    /// Empty where the status says it all.
    pub(crate) why: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: &'static str) -> Self {
        Self { status, why: "" }
    }

    pub(crate) const fn bad(why: &'static str) -> Self {
        Self { status: "400 Bad Request", why }
    }
}
