//! The JSON Schemas in `docs/schema`, strictly: what `--json` prints follows them, and has no field
//! that they do not name.

use std::path::Path;

use serde_json::Value;

use crate::command::Ran;

/// Commands whose `--json` has a schema of the same name.
const COMMANDS: [&str; 7] = ["status", "why", "cost", "audit", "ports", "explain", "doctor"];
/// Commands with commands of their own.
const GROUPS: [&str; 6] = ["server", "volume", "image", "service", "config", "context"];

/// Panics with all differences unless a document follows `docs/schema/NAME.json`.
#[track_caller]
pub fn assert_follows(name: &str, document: &Value) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    let file = directory.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
    let differences = differences(serde_json::from_str(&text).unwrap(), document);
    assert!(
        differences.is_empty(),
        "this does not follow {name}.json:\n{}\n{document:#}",
        differences.join("\n")
    );
}

/// Checks what a command with `--json` printed: its documents, or its error. Other commands and
/// other output are not looked at.
#[track_caller]
pub fn assert_output_follows(arguments: &[&str], ran: &Ran) {
    // `status` may be one of a command's own, as in `service status`.
    let first =
        arguments.iter().find(|argument| COMMANDS.contains(argument) || GROUPS.contains(argument));
    let command = first.filter(|argument| COMMANDS.contains(argument));
    let (Some(command), true) = (command, arguments.contains(&"--json")) else { return };
    if !ran.status.success() {
        let error = ran.stderr.lines().rfind(|line| line.starts_with('{'));
        let error = error.and_then(|line| serde_json::from_str::<Value>(line).ok());
        error.iter().for_each(|error| assert_follows("error", error));
        // It prints its findings, whatever they are.
        if *command == "doctor" && !ran.stdout.is_empty() {
            assert_follows("doctor", &ran.json());
        }
    } else if *command == "audit" {
        let lines = ran.stdout.lines();
        lines.for_each(|line| assert_follows("audit", &serde_json::from_str(line).unwrap()));
    } else {
        assert_follows(command, &ran.json());
    }
}

fn differences(mut schema: Value, document: &Value) -> Vec<String> {
    refuse_other_fields(&mut schema);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    validator
        .iter_errors(document)
        .map(|error| format!("at {}: {error}", error.instance_path()))
        .collect()
}

/// Objects have the fields that the schema names, and no others. Published schemas allow others,
/// since fields are added.
fn refuse_other_fields(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            fields.values_mut().for_each(refuse_other_fields);
        }
        Value::Array(several) => several.iter_mut().for_each(refuse_other_fields),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn field_that_is_missing_or_not_documented_is_a_difference() {
        let inner = json!({"type": "object", "properties": {"b": {"type": "integer"}}});
        let schema = json!({
            "$defs": {"Inner": inner},
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/Inner"}},
            "required": ["a"],
        });
        let count = |document: Value| differences(schema.clone(), &document).len();
        assert_eq!(count(json!({"a": {"b": 1}})), 0);
        assert_eq!(count(json!({})), 1);
        assert_eq!(count(json!({"a": {"b": "1"}})), 1);
        assert_eq!(count(json!({"a": {"b": 1, "c": 2}})), 1);
        assert_eq!(count(json!({"a": {}, "c": 2})), 1);
    }
}
