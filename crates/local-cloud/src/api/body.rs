//! Request bodies, read field by field. Missing, mistyped, unknown and out-of-range fields are
//! collected and refused together, each by its name.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;
use crate::state::labels::{self, Labels};

/// Parses the JSON. No body counts as an empty object, because many actions take no fields.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Null) => Ok(Value::Object(Map::new())),
        Ok(Value::Object(map)) => Ok(Value::Object(map)),
        _ => Err(ApiError::new(
            http::StatusCode::BAD_REQUEST,
            "json_error",
            "cannot parse the request body as a JSON object",
        )),
    }
}

/// The fields of a body that are not read yet, and the problems of those that are.
pub(super) struct Fields {
    unread: Map<String, Value>,
    problems: BTreeMap<String, Vec<String>>,
}

/// A reference by id or by name. Ids may come as numbers or as digits.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum IdOrName {
    Id(u64),
    Name(String),
}

impl Default for IdOrName {
    fn default() -> IdOrName {
        IdOrName::Name(String::new())
    }
}

impl IdOrName {
    pub(super) fn is(&self, id: u64, name: &str) -> bool {
        match self {
            IdOrName::Id(given) => *given == id,
            IdOrName::Name(given) => given == name || given.parse() == Ok(id),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            IdOrName::Id(id) => id.to_string(),
            IdOrName::Name(name) => name.clone(),
        }
    }
}

impl Fields {
    pub(super) fn of(body: &Value) -> Fields {
        Fields { unread: body.as_object().cloned().unwrap_or_default(), problems: BTreeMap::new() }
    }

    /// A field that may be missing or null.
    pub(super) fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.unread.remove(name).filter(|v| !v.is_null())?;
        match serde_json::from_value(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(name, format!("Not a valid value: {error}"));
                None
            }
        }
    }

    /// A required field. If it is missing, the default stands in until [`Fields::finish`] refuses
    /// the request.
    pub(super) fn required<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        if self.unread.get(name).is_none_or(Value::is_null) {
            self.unread.remove(name);
            self.refuse(name, "Missing data for required field.");
            return T::default();
        }
        self.optional(name).unwrap_or_default()
    }

    /// `labels`, validated.
    pub(super) fn labels(&mut self) -> Option<Labels> {
        let labels: Option<Labels> = self.optional("labels");
        for (key, value) in labels.iter().flatten() {
            if let Err(problem) = labels::check(key, value) {
                self.refuse("labels", problem.to_string());
            }
        }
        labels
    }

    pub(super) fn refuse(&mut self, name: &str, problem: impl Into<String>) {
        self.problems.entry(name.to_owned()).or_default().push(problem.into());
    }

    pub(super) fn refuse_unless(&mut self, holds: bool, name: &str, problem: &str) {
        if !holds && !self.problems.contains_key(name) {
            self.refuse(name, problem);
        }
    }

    /// Refuses the request if it has problems or unknown fields.
    pub(super) fn finish(mut self) -> Result<(), ApiError> {
        for name in std::mem::take(&mut self.unread).keys() {
            self.refuse(name, "Unknown field.");
        }
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::invalid_fields(self.problems)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_problems_are_reported_together() {
        let mut fields =
            Fields::of(&json!({"size": "ten", "name": null, "color": 1, "labels": {"-": "v"}}));
        let _: u64 = fields.required("size");
        let _: String = fields.required("name");
        fields.labels();
        let error = fields.finish().unwrap_err();
        assert_eq!(error.message, "invalid input in field(s) 'color', 'labels', 'name', 'size'");
        assert_eq!(
            error.details["fields"][0],
            json!({"name": "color", "messages": ["Unknown field."]})
        );
    }

    #[test]
    fn only_objects_are_bodies() {
        assert_eq!(parse(b"  "), Ok(json!({})));
        assert_eq!(parse(b"null"), Ok(json!({})));
        for bad in ["[]", "1", "{", "{'a': 1}"] {
            assert_eq!(parse(bad.as_bytes()).map_err(|e| e.code), Err("json_error"), "{bad}");
        }
    }
}
