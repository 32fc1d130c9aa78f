//! A status for tests: the fields that each one has, and those that a test is about.

use api::Status;
use serde_json::{Value, json};

pub fn status(fields: &Value) -> Status {
    let mut status = json!({
        "profile": "default",
        "socket": "/run/user/1000/dockbridge/default/docker.sock",
        "process": 1,
        "state": "absent",
        "reason": null,
        "since_seconds": 90.0,
        "machine": null,
        "phases": [],
        "report": null,
        "tunnel": null,
        "ports": [],
        "cost": null,
        "next": "the next docker command creates a machine",
        "reasons": [],
    });
    extend(&mut status, fields);
    serde_json::from_value(status).unwrap()
}

/// Adds the fields of another object, or replaces by them.
pub fn extend(object: &mut Value, fields: &Value) {
    object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
}
