use std::io::Read as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::commands::report::bundle::{Piece, archive};

/// All bytes of a bundle with this text and this document, names included.
fn unpacked(redactor: &Redactor, text: &str, document: Value) -> String {
    let piece = |name, text| Piece { name, about: "", text };
    let pieces =
        [piece("daemon.log", redactor.text(text)), piece("status.json", redactor.json(document))];
    let packed = archive("report", &pieces, 0).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Carriers of a secret that this computer does not know: its name or form betrays it.
fn carriers(secret: &str) -> Vec<String> {
    vec![
        format!("Authorization: Bearer {secret}"),
        format!("authorization: Basic {secret}"),
        format!("proxy-authorization={secret} and more"),
        format!("headers {{\"Authorization\": \"Bearer {secret}\", \"Host\": \"h\"}}"),
        format!("X-Registry-Auth: {secret}"),
        format!("sent bearer {secret}, refused"),
        format!("GET https://{secret}@host/path"),
        format!("GET https://user:{secret}@host:8080/path?q=1"),
        format!("ssh://{secret}@host failed"),
        format!("token={secret}"),
        format!("HCLOUD_TOKEN={secret} dockbridge status"),
        format!("  api_token: {secret}"),
        format!("{{\"api_token\":\"{secret}\",\"other\":1}}"),
        format!("{{\\\"password\\\":\\\"{secret}\\\"}}"),
        format!("password: '{secret}'"),
        format!("hetzner.token_command: \"printf '{secret}' | cat\""),
        format!("  token_command: pass show {secret}"),
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\n-----END OPENSSH PRIVATE KEY-----"),
        format!("-----BEGIN PRIVATE KEY-----\\n{secret}\\n"),
    ]
}

proptest! {
    #[test]
    fn secret_that_this_computer_has_is_nowhere_in_a_bundle(
        secret in r#"[!-~]([ -~]{10,60})[!-~]"#, before in "[ -~]{0,40}", after in "[ -~\n]{0,40}",
    ) {
        let redactor = Redactor::new(vec![format!("{secret}\n")]);
        let text = format!("{before}{secret}{after}\n{before} {secret:?} {after}");
        let log = format!("{secret:?}");
        let document = json!({"a": [{"b": text}], "c": {"d": secret}, "log": log});
        let bundle = unpacked(&redactor, &text, document);
        prop_assert!(!bundle.contains(&secret), "{bundle}");
        // As JSON writes it.
        let escaped = serde_json::to_string(&secret).unwrap();
        prop_assert!(!bundle.contains(escaped.trim_matches('"')), "{bundle}");
    }

    #[test]
    fn secret_with_a_name_or_a_form_is_nowhere_in_a_bundle(
        secret in "[A-Za-z0-9_~.+-]{12,40}", before in "[ a-z]{0,20}", after in "[ a-z]{0,20}",
    ) {
        let redactor = Redactor::new(Vec::new());
        for carrier in carriers(&secret) {
            let text = format!("{before}\n{before} {carrier}\n{after}");
            let document = json!({"message": text, "deep": [{"message": carrier}]});
            let bundle = unpacked(&redactor, &text, document);
            prop_assert!(!bundle.contains(&secret), "{carrier}\n{bundle}");
        }
        for name in ["token", "api_token", "X-Password", "clientSecret", "token_command"] {
            let document = json!({"a": {name: secret}});
            let bundle = unpacked(&redactor, "", document);
            prop_assert!(!bundle.contains(&secret), "{name}: {bundle}");
        }
    }

    #[test]
    fn token_of_another_project_is_recognized_by_its_form(secret in "[A-Z][a-z][A-Za-z0-9]{62}") {
        let bundle = unpacked(&Redactor::new(Vec::new()), &secret, json!([secret]));
        prop_assert!(!bundle.contains(&secret), "{bundle}");
    }
}

#[test]
fn what_a_reader_needs_stays() {
    let redactor = Redactor::new(vec!["s3cret-value".to_owned()]);
    let id = "4f5e".repeat(16);
    for text in [
        "  # api_token: set, not shown",
        "  # api_token: saved by init, not shown",
        "  endpoint: https://api.hetzner.cloud/v1",
        "2026-11-30T09:00:00Z INFO the machine db-default (4711) is up at 203.0.113.7:22",
        &format!("container {id} ended"),
        "{\"code\":\"token_writes\",\"state\":\"ok\"}",
    ] {
        assert_eq!(redactor.text(text), text);
    }
    let line = "{\"token\":\"s3cret-value\",\"port\":8080}";
    let redacted: Value = serde_json::from_str(&redactor.text(line)).unwrap();
    assert_eq!(redacted, json!({"token": REMOVED, "port": 8080}));
}

#[test]
fn archive_has_its_files_in_one_directory() {
    let piece = Piece { name: "why.json", about: "", text: "{}".to_owned() };
    let packed = archive("report-1", &[piece], 1_000).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["report-1/why.json"]);
}
