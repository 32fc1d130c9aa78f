//! What cloud-init finds in a server: the NoCloud seed. Root's keys are in the metadata, as with
//! Hetzner's data source, so that the user data stays what the client sent.

use base64::Engine;
use serde_json::json;

use super::disk::{Disk, Record};
use super::tool::During;
use crate::hypervisor::Failure;

/// Writes the seed of a server. JSON is valid YAML.
pub(super) fn write(disk: &Disk, record: &Record) -> Result<(), Failure> {
    let meta_data = json!({
        "instance-id": record.id.to_string(),
        "local-hostname": record.name,
        "public-keys": record.ssh_keys,
    });
    let interface =
        json!({ "type": "physical", "name": "host0", "subnets": [{ "type": "dhcp4" }] });
    let network = json!({ "version": 1, "config": [interface] });
    let user_data = record.user_data.as_deref().map(decoded).unwrap_or_default();
    let files = [
        ("meta-data", meta_data.to_string().into_bytes()),
        ("network-config", network.to_string().into_bytes()),
        ("user-data", user_data),
    ];
    for (name, bytes) in files {
        std::fs::write(disk.seed().join(name), bytes)
            .during(format!("write the {name} of the server"))?;
    }
    Ok(())
}

/// cloud-init's data source for Hetzner decodes base64 itself; clients send compressed user data
/// in it.
fn decoded(user_data: &str) -> Vec<u8> {
    let compact: String = user_data.split_whitespace().collect();
    match base64::engine::general_purpose::STANDARD.decode(&compact) {
        Ok(bytes) if !bytes.is_empty() => bytes,
        _ => user_data.as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_taken_off_and_text_is_left_alone() {
        assert_eq!(decoded("I2Nsb3VkLWNvbmZpZwo=\n"), b"#cloud-config\n");
        assert_eq!(decoded("#cloud-config\n"), b"#cloud-config\n");
        assert_eq!(decoded(""), b"");
    }
}
