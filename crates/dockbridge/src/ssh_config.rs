//! The user's own host as OpenSSH sees it: `ssh -G` evaluates the user's `ssh_config` for it,
//! including aliases, ports, users, jump hosts, identities, agents and known hosts. Without an
//! OpenSSH client only the typed text counts.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use api::Code;
use tunnel::{Endpoint, HostKeys, Identity, Transport};

use crate::failure::{Failure, Outcome};

/// A host as the user types it: `[ssh://][user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

/// How to reach a host, which keys to trust and how to log in.
#[derive(Debug)]
pub struct Target {
    /// Address and port.
    pub endpoint: Endpoint,
    /// Transport to it.
    pub transport: Transport,
    /// Host keys to trust.
    pub host_keys: HostKeys,
    /// Login.
    pub identity: Identity,
}

impl Destination {
    /// Parses it. An IPv6 address with a port stands in brackets.
    pub fn parse(text: &str) -> Outcome<Self> {
        Self::read(text).ok_or_else(|| {
            Failure::of_code(Code::SettingsInvalid, format!("{text:?} is not a host")).hint(
                "write it as user@address, user@address:port or ssh://user@address:port, IPv6 in \
                 brackets, or as an alias from your ssh_config",
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        let text =
            text.strip_prefix("ssh://").map_or(text, |rest| rest.strip_suffix('/').unwrap_or(rest));
        let (user, rest) =
            text.rsplit_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
            None => rest
                .rsplit_once(':')
                .filter(|(host, _)| !host.contains(':'))
                .map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        // `ssh` would read a leading dash as an option.
        let is_word = |word: &str| {
            !word.is_empty()
                && !word.starts_with('-')
                && !word.contains(|c: char| c.is_whitespace() || c == '/')
        };
        let (user, port) = (user.map(str::to_owned), port.map(str::parse::<u16>).transpose().ok()?);
        (is_word(host) && port != Some(0) && user.as_deref().is_none_or(is_word)).then(|| Self {
            user,
            host: host.to_owned(),
            port,
        })
    }

    /// Resolves it. `config` is another `ssh_config` than the user's own, as with `ssh -F`.
    pub fn resolve(&self, config: Option<&Path>, home: &Path) -> Outcome<Target> {
        let mut ssh = Command::new("ssh");
        ssh.arg("-G").args(config.iter().flat_map(|file| [Path::new("-F"), file]));
        if let Some(user) = &self.user {
            ssh.args(["-l", user]);
        }
        if let Some(port) = self.port {
            ssh.args(["-p", &port.to_string()]);
        }
        match ssh.args(["--", &self.host]).output() {
            Ok(output) if output.status.success() => {
                let agent = std::env::var_os("SSH_AUTH_SOCK")
                    .filter(|path| !path.is_empty())
                    .map(PathBuf::from);
                let answer = Answer {
                    text: &String::from_utf8_lossy(&output.stdout),
                    typed: &self.host,
                    home,
                    agent,
                    config,
                };
                answer.target()
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
                Err(Failure::of_code(
                    Code::SshConfigUnusable,
                    format!("cannot read your ssh_config: {said}"),
                )
                .hint(format!("run `ssh -G {}` to see the error", self.host)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => self.as_typed(home),
            Err(error) => {
                Err(Failure::of_code(Code::ProgramMissing, format!("cannot run ssh: {error}")))
            }
        }
    }

    /// Without an OpenSSH client nothing reads `ssh_config`.
    fn as_typed(&self, home: &Path) -> Outcome<Target> {
        let user = self.user.clone().ok_or_else(|| {
            Failure::of_code(
                Code::SshConfigUnusable,
                format!("the user name for {} is unknown", self.host),
            )
            .hint(
                "write user@host, or install an OpenSSH client, which reads aliases and users from \
                 your ssh_config",
            )
        })?;
        let ssh = home.join(".ssh");
        Ok(Target {
            endpoint: Endpoint { host: self.host.clone(), port: self.port.unwrap_or(22), user },
            transport: Transport::Tcp,
            host_keys: HostKeys::KnownHosts(ssh.join("known_hosts")),
            identity: Identity::Offered {
                files: vec![ssh.join("id_ed25519"), ssh.join("id_ecdsa")],
                agent: None,
                only_files: false,
            },
        })
    }
}

/// Output of `ssh -G`: one line per option, its name in lower case.
struct Answer<'a> {
    text: &'a str,
    typed: &'a str,
    home: &'a Path,
    /// The agent of this session.
    agent: Option<PathBuf>,
    config: Option<&'a Path>,
}

impl Answer<'_> {
    fn target(&self) -> Outcome<Target> {
        let missing = |what: &str| {
            Failure::of_code(
                Code::SshConfigUnusable,
                format!("`ssh -G {}` reports no {what}", self.typed),
            )
        };
        let endpoint = Endpoint {
            host: self.first("hostname").ok_or_else(|| missing("host name"))?.to_owned(),
            port: self
                .first("port")
                .and_then(|port| port.parse().ok())
                .ok_or_else(|| missing("port"))?,
            user: self.first("user").ok_or_else(|| missing("user"))?.to_owned(),
        };
        let files = self
            .all("identityfile")
            .filter(|file| *file != "none")
            .map(|file| self.path(file, &endpoint))
            .collect();
        let identity = Identity::Offered {
            files,
            agent: self.agent(&endpoint),
            only_files: self.first("identitiesonly") == Some("yes"),
        };
        let named = self
            .all("userknownhostsfile")
            .chain(self.all("globalknownhostsfile"))
            .flat_map(str::split_whitespace);
        let mut files: Vec<PathBuf> =
            named.filter(|file| *file != "none").map(|file| self.path(file, &endpoint)).collect();
        // OpenSSH asks the system for the home directory and ignores HOME.
        let own = self.home.join(".ssh/known_hosts");
        if self.config.is_none() && !files.contains(&own) {
            files.push(own);
        }
        let host_keys =
            HostKeys::KnownHostsOf { alias: self.first("hostkeyalias").map(str::to_owned), files };
        Ok(Target { transport: self.transport(&endpoint), endpoint, host_keys, identity })
    }

    fn transport(&self, endpoint: &Endpoint) -> Transport {
        if let Some(jumps) = self.first("proxyjump").filter(|jumps| *jumps != "none") {
            // The last one is the host's neighbor; `ssh` reaches it through the others.
            let (before, last) =
                jumps.rsplit_once(',').map_or((None, jumps), |(before, last)| (Some(before), last));
            let mut words = vec!["ssh".to_owned(), "-o".to_owned(), "BatchMode=yes".to_owned()];
            if let Some(config) = self.config {
                words.extend(["-F".to_owned(), config.display().to_string()]);
            }
            words
                .extend(before.into_iter().flat_map(|before| ["-J".to_owned(), before.to_owned()]));
            words.extend([
                "-W".to_owned(),
                format!("[{}]:{}", endpoint.host, endpoint.port),
                "--".to_owned(),
            ]);
            words.push(if last.contains("://") {
                last.to_owned()
            } else {
                format!("ssh://{last}")
            });
            return Transport::Command(words);
        }
        match self.first("proxycommand").filter(|command| *command != "none") {
            Some(command) => Transport::Command(vec![
                "sh".to_owned(),
                "-c".to_owned(),
                format!("exec {}", self.expanded(command, endpoint)),
            ]),
            None => Transport::Tcp,
        }
    }

    fn agent(&self, endpoint: &Endpoint) -> Option<PathBuf> {
        match self.first("identityagent") {
            None | Some("SSH_AUTH_SOCK") => self.agent.clone(),
            Some("none") => None,
            Some(variable) if variable.starts_with('$') => {
                let name = variable.trim_start_matches('$').trim_matches(['{', '}']);
                std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
            }
            Some(path) => Some(self.path(path, endpoint)),
        }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.text
            .lines()
            .filter_map(move |line| line.split_once(' ').filter(|(found, _)| *found == name))
            .map(|(_, value)| value.trim())
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    fn path(&self, text: &str, endpoint: &Endpoint) -> PathBuf {
        let text = self.expanded(text.trim_matches('"'), endpoint);
        match text.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => PathBuf::from(text),
        }
    }

    /// The tokens of ssh_config(5) that paths and commands share.
    fn expanded(&self, text: &str, endpoint: &Endpoint) -> String {
        let mut expanded = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match (character, if character == '%' { characters.next() } else { None }) {
                ('%', Some('h')) => expanded.push_str(&endpoint.host),
                ('%', Some('p')) => expanded.push_str(&endpoint.port.to_string()),
                ('%', Some('r')) => expanded.push_str(&endpoint.user),
                ('%', Some('n')) => expanded.push_str(self.typed),
                ('%', Some('d')) => expanded.push_str(&self.home.display().to_string()),
                ('%', Some('u')) => expanded.push_str(&std::env::var("USER").unwrap_or_default()),
                ('%', Some('%')) => expanded.push('%'),
                ('%', Some(other)) => expanded.extend(['%', other]),
                (other, _) => expanded.push(other),
            }
        }
        expanded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_for_ssh() {
        let read = |text| Destination::read(text).map(|read| (read.user, read.host, read.port));
        let is = |user: Option<&str>, host: &str, port| {
            Some((user.map(str::to_owned), host.to_owned(), port))
        };
        assert_eq!(read("me@example.org"), is(Some("me"), "example.org", None));
        assert_eq!(read("me@10.0.0.1:2222"), is(Some("me"), "10.0.0.1", Some(2222)));
        assert_eq!(read("me@[::1]:2222"), is(Some("me"), "::1", Some(2222)));
        assert_eq!(read("me@::1"), is(Some("me"), "::1", None));
        assert_eq!(read("ssh://root@x:2222"), is(Some("root"), "x", Some(2222)));
        assert_eq!(read("ssh://root@[fe80::1]:2222/"), is(Some("root"), "fe80::1", Some(2222)));
        assert_eq!(read("alias"), is(None, "alias", None));
        for bad in [
            "",
            "@example.org",
            "me@",
            "me@host:port",
            "me@host:99999",
            "me@host:0",
            "-oProxyCommand=x",
            "me@-x",
            "a b",
            "http://x",
            "ssh://",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    fn target(text: &str) -> Target {
        let answer = Answer {
            text,
            typed: "alias",
            home: Path::new("/home/me"),
            agent: Some(PathBuf::from("/run/agent")),
            config: None,
        };
        answer.target().unwrap()
    }

    const PLAIN: &str = "host alias\nuser me\nhostname box.example.org\nport 2222\nidentityfile \
     ~/.ssh/id_rsa\nidentityfile \"/keys/%r@%h\"\n\
     globalknownhostsfile /etc/ssh/known\nuserknownhostsfile /home/me/.ssh/known_hosts \
     /home/me/.ssh/known_hosts2\n";

    #[test]
    fn an_answer_of_ssh_becomes_a_target() {
        let target = target(PLAIN);
        assert_eq!(
            (target.endpoint.to_string().as_str(), target.transport),
            ("me@box.example.org:2222", Transport::Tcp)
        );
        let Identity::Offered { files, agent, only_files } = target.identity else { panic!() };
        assert_eq!(files, ["/home/me/.ssh/id_rsa", "/keys/me@box.example.org"].map(PathBuf::from));
        assert_eq!((agent, only_files), (Some(PathBuf::from("/run/agent")), false));
        let HostKeys::KnownHostsOf { alias, files } = target.host_keys else { panic!() };
        assert_eq!(
            files,
            ["/home/me/.ssh/known_hosts", "/home/me/.ssh/known_hosts2", "/etc/ssh/known"]
                .map(PathBuf::from)
        );
        assert_eq!(alias, None);
    }

    #[test]
    fn jump_hosts_and_proxy_commands_become_commands() {
        let transport = |line: &str| match target(&format!("{PLAIN}{line}\n")).transport {
            Transport::Command(words) => words.join(" "),
            Transport::Tcp => "direct".to_owned(),
        };
        assert_eq!(
            transport("proxyjump jump"),
            "ssh -o BatchMode=yes -W [box.example.org]:2222 -- ssh://jump"
        );
        assert_eq!(
            transport("proxyjump a,me@b:23"),
            "ssh -o BatchMode=yes -J a -W [box.example.org]:2222 -- ssh://me@b:23"
        );
        assert_eq!(
            transport("proxycommand nc -x proxy %h %p # 100%%"),
            "sh -c exec nc -x proxy box.example.org 2222 # 100%"
        );
        assert_eq!(transport("proxyjump none"), "direct");
    }

    #[test]
    fn agents_and_aliases_of_host_keys_are_taken_over() {
        let with = |line: &str| target(&format!("{PLAIN}{line}\n"));
        let agent = |line| match with(line).identity {
            Identity::Offered { agent, .. } => agent,
            _ => panic!(),
        };
        assert_eq!(agent("identityagent none"), None);
        assert_eq!(agent("identityagent ~/agent.sock"), Some(PathBuf::from("/home/me/agent.sock")));
        assert_eq!(agent("identityagent SSH_AUTH_SOCK"), Some(PathBuf::from("/run/agent")));
        let HostKeys::KnownHostsOf { alias, .. } = with("hostkeyalias name").host_keys else {
            panic!()
        };
        assert_eq!(alias.as_deref(), Some("name"));
    }
}
