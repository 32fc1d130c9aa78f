//! The JSON Schemas of all documents that `--json` prints, in `docs/schema`. A field that is added
//! or changed shows up there, and in the review of the change.

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use crate::{
    AuditDocument, CostDocument, DoctorDocument, ExplainDocument, Failed, PortsDocument,
    StatusDocument, WhyDocument,
};

/// What `docs/schema/NAME.json` has to contain.
fn schema_of<T: JsonSchema>(title: &str) -> String {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    let text = serde_json::to_string_pretty(&schema).unwrap();
    format!("{text}\n")
}

#[test]
fn schemas_follow_the_types() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    for (name, schema) in [
        ("status", schema_of::<StatusDocument<'_>>("dockbridge status --json")),
        ("why", schema_of::<WhyDocument<'_>>("dockbridge why --json")),
        ("cost", schema_of::<CostDocument<'_>>("dockbridge cost --json")),
        ("audit", schema_of::<AuditDocument<'_>>("A line of dockbridge audit --json")),
        ("ports", schema_of::<PortsDocument<'_>>("dockbridge ports --json")),
        ("explain", schema_of::<ExplainDocument>("dockbridge explain --json")),
        ("doctor", schema_of::<DoctorDocument<'_>>("dockbridge doctor --json")),
        ("error", schema_of::<Failed>("A command that fails under --json")),
    ] {
        let file = directory.join(format!("{name}.json"));
        testkit::compare_generated_file(&file, &schema, "-p dockbridge-api schema");
    }
}
