//! Reports every call that may have changed the cloud, for an audit log. It must not know who asks
//! for the change, or where the log is.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::error::{Error, RequestLine};

/// Keys of a request whose values are secret, or may contain a secret: the user data contains the
/// first host key.
const SECRET: [&str; 5] = ["user_data", "password", "root_password", "token", "private_key"];

/// A call that may have changed the cloud.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// The path below the endpoint, such as `/servers/7`.
    pub path: String,
    /// The id of the changed resource, from the path or the reply.
    pub id: Option<u64>,
    /// The request's body, without secrets.
    pub request: Option<Value>,
    /// The result.
    pub result: ChangeResult,
}

/// The result of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeResult {
    /// The API accepted it; an action may still run.
    Accepted,
    /// The API refused it, with this answer.
    Refused(String),
    /// No reply came: it may have been carried out.
    Unknown(String),
}

/// Receives changes; called once for each attempt, in order.
pub type Listener = Arc<dyn Fn(&Change) + Send + Sync>;

impl Change {
    pub(crate) fn of(
        line: &RequestLine,
        body: Option<&Value>,
        outcome: &Result<Value, Error>,
    ) -> Option<Self> {
        if line.method == Method::GET {
            return None;
        }
        let reply = outcome.as_ref().ok();
        let result = match outcome {
            Ok(_) => ChangeResult::Accepted,
            Err(error @ Error::Api(_)) => ChangeResult::Refused(error.to_string()),
            Err(error) => ChangeResult::Unknown(error.to_string()),
        };
        Some(Self {
            method: line.method.to_string(),
            path: line.path.clone(),
            id: id_in(&line.path).or_else(|| reply.and_then(id_of)),
            request: body.map(without_secrets),
            result,
        })
    }
}

/// The id in a path such as `/servers/7/actions/poweron`.
fn id_in(path: &str) -> Option<u64> {
    path.split('/').find_map(|part| part.parse().ok())
}

/// The id of the resource in a reply that also has actions.
fn id_of(reply: &Value) -> Option<u64> {
    let resources = reply.as_object()?.iter().filter(|(key, _)| *key != "action");
    resources.filter_map(|(_, value)| value["id"].as_u64()).next()
}

fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().map(|(key, value)| {
                let value = match (SECRET.contains(&key.as_str()), value) {
                    (true, Value::String(text)) => json!(format!("({} bytes)", text.len())),
                    (true, Value::Null) => Value::Null,
                    (true, _) => json!("(not kept)"),
                    (false, value) => without_secrets(value),
                };
                (key.clone(), value)
            });
            Value::Object(kept.collect())
        }
        Value::Array(values) => values.iter().map(without_secrets).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(method: Method, path: &str) -> RequestLine {
        RequestLine { method, path: path.to_owned() }
    }

    #[test]
    fn creation_is_recorded_with_its_id_and_without_its_user_data() {
        let volumes = json!([{"token": "x"}]);
        let body = json!({
            "name": "m", "user_data": "a host key", "labels": {"a": "b"}, "volumes": volumes,
        });
        let reply = Ok(json!({"action": {"id": 1}, "server": {"id": 7}, "root_password": null}));
        let change = Change::of(&line(Method::POST, "/servers"), Some(&body), &reply).unwrap();
        assert_eq!((change.id, change.result), (Some(7), ChangeResult::Accepted));
        let request = change.request.unwrap();
        assert_eq!(request["user_data"], "(10 bytes)");
        assert_eq!(
            (&request["volumes"][0]["token"], &request["labels"]["a"]),
            (&json!("(1 bytes)"), &json!("b"))
        );
    }

    #[test]
    fn reading_is_no_change_and_the_id_of_a_deletion_is_in_its_path() {
        assert_eq!(Change::of(&line(Method::GET, "/servers/7"), None, &Ok(Value::Null)), None);
        let change =
            Change::of(&line(Method::DELETE, "/servers/7"), None, &Ok(Value::Null)).unwrap();
        assert_eq!((change.method.as_str(), change.id), ("DELETE", Some(7)));
    }
}
