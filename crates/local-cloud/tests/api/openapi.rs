//! Validates answers against Hetzner's OpenAPI file. `HCLOUD_OPENAPI` names the file; by default
//! it is searched next to the workspace.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

pub struct Spec {
    document: Value,
    /// By method, path pattern and status.
    validators: Mutex<BTreeMap<String, Validator>>,
}

/// The file; `None` if it is missing.
pub fn spec() -> Option<&'static Spec> {
    static SPEC: OnceLock<Option<Spec>> = OnceLock::new();
    SPEC.get_or_init(Spec::load).as_ref()
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub fn location() -> PathBuf {
    let beside = || {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/facts/hcloud-openapi.json")
    };
    std::env::var_os("HCLOUD_OPENAPI").map_or_else(beside, PathBuf::from)
}

impl Spec {
    fn load() -> Option<Spec> {
        let text = std::fs::read(location()).ok()?;
        Some(Spec {
            document: serde_json::from_slice(&text).unwrap(),
            validators: Mutex::default(),
        })
    }

    /// Every operation of the file: method and path, such as `GET /servers/{id}`.
    pub fn operations(&self) -> Vec<(String, String)> {
        let paths = self.document["paths"].as_object().unwrap();
        let of = |(path, methods): (&String, &Value)| {
            let methods =
                methods.as_object().unwrap().keys().filter(|m| METHODS.contains(&m.as_str()));
            methods.map(|m| (m.to_uppercase(), path.clone())).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of).collect()
    }

    /// Panics if the file does not allow this answer. Returns the pattern of the route, if the
    /// file knows it.
    pub fn judge(&self, method: &str, path: &str, status: u16, body: &Value) -> Option<String> {
        let path = path.split('?').next()?;
        let pattern = self.pattern(path)?;
        let responses = &self.document["paths"][&pattern][method.to_lowercase()]["responses"];
        let key = [status.to_string(), format!("{}xx", status / 100)]
            .into_iter()
            .find(|key| responses.get(key).is_some());
        // The error of a method that the file does not list is in the common envelope.
        let (responses, key) = match key {
            Some(key) => (responses, key),
            None if status >= 400 => {
                (&self.document["paths"]["/servers"]["get"]["responses"], "4xx".to_owned())
            }
            None => panic!("{method} {pattern} never answers {status}"),
        };
        let schema = &responses[&key]["content"]["application/json"]["schema"];
        if schema.is_null() {
            assert!(body.is_null(), "{method} {path} has no body, but answered {body}");
            return Some(pattern);
        }
        let problems: Vec<String> = {
            let mut validators = self.validators.lock().unwrap();
            let validator = validators
                .entry(format!("{method} {pattern} {key}"))
                .or_insert_with(|| compile(schema));
            validator.iter_errors(body).map(|e| format!("{}: {e}", e.instance_path())).collect()
        };
        assert!(
            problems.is_empty(),
            "{method} {path} answered {status} {body:#}\nbut: {problems:#?}"
        );
        Some(pattern)
    }

    fn pattern(&self, path: &str) -> Option<String> {
        let path = path.strip_prefix("/v1")?;
        let paths = self.document["paths"].as_object().unwrap();
        let fits = |pattern: &str| {
            let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some(w), Some(g))
                        if w == g || w.starts_with('{') && g.parse::<u64>().is_ok() => {}
                    _ => return false,
                }
            }
        };
        paths.keys().find(|p| *p == path).or_else(|| paths.keys().find(|p| fits(p))).cloned()
    }
}

fn compile(schema: &Value) -> Validator {
    let mut schema = schema.clone();
    as_json_schema(&mut schema);
    jsonschema::options()
        .with_draft(Draft::Draft7)
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

/// Properties that the file requires, but that were removed after its publication.
const REMOVED: [&str; 2] = ["datacenter", "deprecated"];

/// OpenAPI 3.0 says `nullable` where JSON Schema has another type. Also adds what was announced
/// after the publication.
fn as_json_schema(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(as_json_schema);
            map.remove("example");
            if let Some(required) = map.get_mut("required").and_then(Value::as_array_mut) {
                required.retain(|name| !REMOVED.iter().any(|removed| name == removed));
            }
            if let Some(values) =
                map.get_mut("assignee_type").and_then(|kind| kind["enum"].as_array_mut())
            {
                values.push(json!("unassigned"));
            }
            if map.remove("nullable") == Some(Value::Bool(true)) {
                if let Some(kind) = map.get("type").cloned() {
                    map.insert("type".into(), json!([kind, "null"]));
                }
                if let Some(values) = map.get_mut("enum").and_then(Value::as_array_mut) {
                    values.push(Value::Null);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(as_json_schema),
        _ => {}
    }
}

#[test]
fn answers_that_the_file_does_not_allow_are_refused() {
    let Some(spec) = spec() else {
        return testkit::passed_over!(
            "no OpenAPI file at {}: HCLOUD_OPENAPI names one",
            location().display()
        );
    };
    let judged = |body: Value| {
        std::panic::catch_unwind(|| spec.judge("GET", "/v1/actions/1", 200, &body)).is_ok()
    };
    let good = json!({"action": {
        "id": 1,
        "command": "c",
        "status": "success",
        "started": "2026-10-01T00:00:00Z",
        "finished": null,
        "progress": 100,
        "resources": [],
        "error": null,
    }});
    assert!(judged(good.clone()));
    for (field, bad) in [
        ("status", json!("done")),
        ("started", json!("yesterday")),
        ("command", json!(null)),
        ("error", json!({})),
    ] {
        let mut body = good.clone();
        body["action"][field] = bad;
        assert!(!judged(body), "a bad {field} was accepted");
    }
}
