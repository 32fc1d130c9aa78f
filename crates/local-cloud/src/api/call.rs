//! The arguments of a route's function.

use serde_json::Value;

use super::faults::Kind;
use super::page::Query;
use crate::work::{ChainFault, Late};

pub(crate) struct Call {
    /// The ids in the path, in order.
    pub(crate) params: Vec<u64>,
    pub(crate) query: Query,
    pub(crate) body: Value,
    /// The fault injected into this request.
    pub(crate) fault: Option<Kind>,
    /// How late the device of an attachment appears.
    pub(crate) late: Option<Late>,
    /// The fault of the actions that it starts.
    pub(crate) chain_fault: ChainFault,
}
