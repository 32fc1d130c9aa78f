//! Examples that stand at the end of a command's help: a command, then what it does. A test parses
//! each command, so that none is out of date.

use clap::builder::styling::Styles;

/// The section of a help text.
pub fn of(lines: &[&str]) -> String {
    let header = *Styles::styled().get_header();
    let mut text = format!("{header}Examples:{header:#}");
    for line in lines {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

pub const ALL: &[&str] = &[
    "dockbridge init                   once: token, login key, docker context",
    "dockbridge start -d               serve the Docker socket in the background",
    "docker --context dockbridge ps    the first docker command makes a machine",
    "dockbridge status                 is it on, what does it cost, when does it go",
];
pub const INIT: &[&str] = &[
    "dockbridge init                   ask for the token, and check it",
    "dockbridge init --token-stdin     read the token from another program",
    "dockbridge --profile lab init     another profile: its own machine and volume",
];
pub const START: &[&str] = &[
    "dockbridge start -d               in the background",
    "dockbridge start --host me@lab    docker on a host of your own",
];
pub const STATUS: &[&str] = &[
    "dockbridge status                 is it on, what does it cost, when does it go",
    "dockbridge status --watch         live: stages, throughput, activity",
    "dockbridge status --json          for programs; docs/schema/status.json",
];
pub const WHY: &[&str] = &["dockbridge why                    why is it still on"];
pub const PIN: &[&str] = &[
    "dockbridge pin --for 8h           keep it over a working day",
    "dockbridge unpin                  and no longer",
];
pub const COST: &[&str] = &["dockbridge cost                   the bill of this month so far"];
pub const DOCTOR: &[&str] = &[
    "dockbridge doctor                 what is broken, why, and what to do",
    "dockbridge doctor --fix           repair what is safe to repair",
];
pub const REPORT: &[&str] = &[
    "dockbridge report                 a file for a bug report, without secrets",
    "dockbridge report -o bug.tar.gz",
];
pub const LOGS: &[&str] = &[
    "dockbridge logs -f                the daemon's log, with new lines",
    "dockbridge logs server            agent, dockerd and cloud-init of the machine",
    "dockbridge logs --since 10m --level warn",
];
pub const AUDIT: &[&str] = &["dockbridge audit                  who created and deleted what"];
pub const STOP: &[&str] = &[
    "dockbridge stop                   the machine stays until its lease ends",
    "dockbridge stop --destroy         delete the machine, too",
];
pub const SERVICE: &[&str] =
    &["dockbridge service install        docker commands work after a reboot"];
pub const WAKE: &[&str] = &["dockbridge wake                   before the first docker command"];
pub const PORTS: &[&str] = &[
    "dockbridge ports                  published ports and their traffic",
    "dockbridge ports add 8080:web:80  localhost:8080 forwards to port 80 of web",
    "dockbridge ports rm 8080",
];
pub const SERVER: &[&str] = &[
    "dockbridge server ssh             a shell on the machine",
    "dockbridge server ssh df -h       one command on it",
    "dockbridge server destroy         delete it; the volume stays",
];
pub const SSH: &[&str] =
    &["dockbridge server ssh             a shell", "dockbridge server ssh df -h       one command"];
pub const VOLUME: &[&str] = &[
    "dockbridge volume ls              size, price, where it is attached",
    "dockbridge volume resize 40       to 40 GB; it cannot shrink again",
];
pub const DELETE_VOLUME: &[&str] = &[
    "dockbridge volume ls              shows the names",
    "dockbridge volume delete NAME     asks for the name again",
];
pub const IMAGE: &[&str] = &[
    "dockbridge image build docker     boots faster than the cloud's own image",
    "dockbridge image ls               snapshots and what they cost",
    "dockbridge image prune --keep 1 --older-than 30d",
];
pub const BUILD: &[&str] = &[
    "dockbridge image build talos --version v1.12.0",
    "dockbridge image build raw --name lab --file disk.qcow2",
];
pub const SWEEP: &[&str] = &[
    "dockbridge sweep                  list what nothing claims",
    "dockbridge sweep -y               and remove it",
];
#[cfg(all(feature = "local-cloud", target_os = "linux"))]
pub const TRY: &[&str] = &["dockbridge try                    as root; costs nothing"];
#[cfg(all(feature = "local-cloud", target_os = "linux"))]
pub const LOCAL_CLOUD: &[&str] = &[
    "dockbridge local-cloud            as root: a cloud with real machines",
    "dockbridge local-cloud --machines none",
];
pub const CONFIG: &[&str] = &[
    "dockbridge config show --origin   all settings in effect, and where from",
    "dockbridge config set activity.idle_timeout 10m",
    "dockbridge config edit            in your editor; checked before it is saved",
    "dockbridge config validate        after a change",
];
pub const KEY: &[&str] = &["dockbridge key rotate             after others may have read it"];
pub const PLUGIN: &[&str] = &[
    "dockbridge plugin install         then: docker dockbridge status",
    "dockbridge plugin remove",
];
pub const COMPLETIONS: &[&str] = &[
    "dockbridge completions bash       prints the script",
    "source <(dockbridge completions bash)",
];
pub const VERSION: &[&str] = &["dockbridge version --json         for a bug report or a script"];
pub const EXPLAIN: &[&str] = &[
    "dockbridge explain                all codes",
    "dockbridge explain token_invalid  cause, cure, and whether to try again",
];
pub const UNINSTALL: &[&str] = &[
    "dockbridge uninstall              settings and keys stay",
    "dockbridge uninstall --purge      they go, too",
];

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _, Parser as _};

    use crate::Arguments;

    /// The examples in the help of a command and of its subcommands.
    fn examples(command: &Command) -> Vec<String> {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let own = text.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned);
        let below = command.get_subcommands().flat_map(examples);
        own.chain(below).collect()
    }

    #[test]
    fn examples_are_commands_that_parse() {
        let all = examples(&Arguments::command());
        assert!(all.len() > 40, "{all:#?}");
        for example in all {
            let (line, _) = example.split_once("  ").unwrap_or((&example, ""));
            let words: Vec<&str> = line.split(' ').collect();
            if words[0] == "dockbridge" {
                let parsed = Arguments::try_parse_from(words);
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
            assert!(example.chars().count() <= 78, "over 80 columns: {example}");
        }
    }

    #[test]
    fn words_of_other_tools_are_the_same_commands() {
        for (typed, meant) in [
            ("up", "wake"),
            ("destroy", "server destroy"),
            ("ssh df -h", "server ssh df -h"),
            ("server rm", "server destroy"),
            ("server ls", "server list"),
            ("volume ls", "volume list"),
            ("volume rm v -f", "volume delete v --yes"),
            ("image ls", "image list"),
            ("image rm i", "image delete i"),
            ("ports rm 8080", "ports remove 8080"),
            ("ports ls --json", "ports list --json"),
            ("start -d", "start --detach"),
            ("sweep -y", "sweep --yes"),
            ("uninstall -y", "uninstall --yes"),
            ("init -y", "init --yes"),
        ] {
            let parse = |line: &str| {
                let words = ["dockbridge"].into_iter().chain(line.split(' '));
                Arguments::try_parse_from(words).map(|parsed| format!("{:?}", parsed.command))
            };
            let (typed, meant) = (parse(typed).unwrap(), parse(meant).unwrap());
            let own = |text: &str| {
                let server = text.strip_prefix("Server(").and_then(|it| it.strip_suffix(')'));
                server.unwrap_or(text).to_owned()
            };
            assert_eq!(own(&typed), own(&meant));
        }
    }
}
