//! The request that a stream or channel serves, as the client names it. Knows neither.

/// The id of the client's request, if there is one. The agent only logs it.
pub type Request = Option<Box<str>>;
