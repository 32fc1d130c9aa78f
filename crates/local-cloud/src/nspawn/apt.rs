//! The host's own apt settings, for the packages of base systems.

use std::path::PathBuf;

use super::tool::{failure, run};
use crate::hypervisor::Failure;

/// The mirror that the host itself uses.
pub(super) fn mirror() -> Result<String, Failure> {
    if let Ok(mirror) = std::env::var("DOCKBRIDGE_BASE_MIRROR") {
        return Ok(mirror);
    }
    let codename = std::fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            line.strip_prefix("VERSION_CODENAME=").map(|name| name.trim_matches('"').to_owned())
        })
        .unwrap_or_else(|| "stable".to_owned());
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let mut more: Vec<PathBuf> = std::fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    more.sort();
    files.extend(more);
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .find_map(|text| mirror_in(&text, &codename))
        .ok_or_else(|| {
            failure(
                "find a Debian mirror",
                "the apt sources of this host contain none; set DOCKBRIDGE_BASE_MIRROR to a \
                 mirror's address",
            )
        })
}

/// The address in an apt source file, in either of its two formats, for a suite's main packages
/// (no updates, no other projects).
fn mirror_in(text: &str, codename: &str) -> Option<String> {
    let suits = |suite: &str| suite == codename || suite == "stable";
    let web = |uri: &&str| uri.starts_with("http://") || uri.starts_with("https://");
    for line in text.lines().filter_map(|line| line.strip_prefix("deb ")) {
        let plain = match (line.find('['), line.find(']')) {
            (Some(open), Some(close)) if open < close => &line[close + 1..],
            _ => line,
        };
        let words: Vec<&str> = plain.split_whitespace().collect();
        if let [uri, suite, components @ ..] = words.as_slice()
            && web(uri)
            && suits(suite)
            && components.contains(&"main")
        {
            return Some((*uri).to_owned());
        }
    }
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let line =
                paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_whitespace().collect::<Vec<_>>()
        };
        if field("Suites").iter().any(|suite| suits(suite))
            && field("Components").contains(&"main")
            && let Some(uri) = field("URIs").into_iter().find(|uri| web(uri))
        {
            return Some(uri.to_owned());
        }
    }
    None
}

/// The host's apt settings for proxies, certificates and clocks, for the apt that fills the new
/// root.
pub(super) async fn host_apt_options() -> Result<String, Failure> {
    let all = run("read the host's apt settings", "apt-config", &["dump", "Acquire"]).await?;
    let wanted = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["proxy", "cainfo", "verify-peer", "check-valid-until", "check-date", "retries"]
            .iter()
            .any(|key| line.contains(key))
    };
    Ok(all.lines().filter(wanted).map(|line| format!("{line}\n")).collect())
}

/// The host's keyring may be older than the suite. mmdebstrap then reports NO_PUBKEY, which does
/// not say what to do.
pub(super) fn explain_keys(failure: Failure) -> Failure {
    if failure.cause.contains("NO_PUBKEY") {
        let cause = format!(
            "{}; update the keys with: apt-get install --only-upgrade debian-archive-keyring",
            failure.cause
        );
        return Failure { cause, ..failure };
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_read_from_both_forms_of_apt_sources() {
        let one_line = "# comment\ndeb [signed-by=/k.gpg arch=amd64] https://mirror.example/debian \
         bookworm main contrib\n";
        assert_eq!(
            mirror_in(one_line, "bookworm").as_deref(),
            Some("https://mirror.example/debian")
        );
        let fields = "Types: deb\nURIs: http://security.example\nSuites: \
         bookworm-security\nComponents: main\n\nTypes: deb\nURIs: \
         http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n";
        assert_eq!(mirror_in(fields, "bookworm").as_deref(), Some("http://mirror.example/debian"));
    }

    #[test]
    fn sources_of_other_projects_are_no_mirror() {
        assert_eq!(
            mirror_in("deb https://packages.example/apt tool-bookworm main\n", "bookworm"),
            None
        );
        assert_eq!(
            mirror_in("deb http://mirror.example/debian bookworm contrib\n", "bookworm"),
            None
        );
        assert_eq!(mirror_in("deb cdrom:[x]/ bookworm main\n", "bookworm"), None);
    }
}
