//! A call that changed the cloud, as the audit log keeps it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::Actor;

words! {
    /// What became of a call.
    pub enum CallResult {
        /// The cloud accepted it.
        Accepted = "accepted",
        /// The cloud refused it.
        Refused = "refused",
        /// No reply came, and the call may have had its effect.
        Unknown = "unknown",
    }
}

/// One call that may have changed the cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// When the call ended.
    pub at: Timestamp,
    /// Who made the call.
    pub actor: Actor,
    /// Why, human-readable.
    pub reason: String,
    /// The request or command that the call was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The process that made the call.
    pub process: u32,
    /// `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// The path below the API's endpoint.
    pub path: String,
    /// The id of what was changed.
    pub id: Option<u64>,
    /// The body of the request in the cloud's own form, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
    /// What became of it.
    pub result: CallResult,
    /// The API's reason for a refusal, or why no reply came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
