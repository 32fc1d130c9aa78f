//! The whole comparison: a machine, the links, everything measured behind each of them, the table.
//! Everything that it makes is removed at its end.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Result, bail, ensure};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::against;
use crate::data;
use crate::link::{Emulated, Link};
use crate::machine::Machine;
use crate::measure::Choice;
use crate::output::{complain, say};
use crate::record::read;
use crate::table::{render, score};
use crate::tcp::AsShipped;

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Links, instead of all: a list with commas
    #[arg(long, value_delimiter = ',', value_name = "LINK")]
    links: Vec<Link>,
    #[command(flatten)]
    choice: Choice,
    /// The script of the link emulator; without it, only the plain link is measured
    #[arg(long, value_name = "FILE", env = "DOCKBRIDGE_BENCH_LINK")]
    emulator: Option<PathBuf>,
}

/// Compares, and prints the table.
pub fn run(arguments: Args) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the comparison runs a real machine and needs root"
    );
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        // It holds disks: /tmp may be a small file system in memory.
        let directory =
            tempfile::Builder::new().prefix("dockbridge-bench-").tempdir_in("/var/tmp")?;
        say("Making the files to send and a machine");
        let data = directory.path().join("data");
        std::fs::create_dir_all(&data)?;
        tokio::task::block_in_place(|| data::make(&data))?;
        let _as_shipped = AsShipped::set()?;
        let machine = Machine::boot(directory.path(), &data).await?;
        let compared = tokio::select! {
            compared = compare(&arguments, &machine, directory.path(), &data) => compared,
            _ = interrupted.recv() => Err(anyhow::anyhow!("interrupted")),
            _ = terminated.recv() => Err(anyhow::anyhow!("terminated")),
        };
        machine.end().await;
        compared
    })
}

async fn compare(arguments: &Args, machine: &Machine, directory: &Path, data: &Path) -> Result<()> {
    let mut choice = arguments.choice.clone();
    let file = choice.json.get_or_insert_with(|| directory.join("results.jsonl")).clone();
    conditions(machine)?;
    let links =
        if arguments.links.is_empty() { Link::ALL.to_vec() } else { arguments.links.clone() };
    for link in links {
        let laid = match (&arguments.emulator, link) {
            (_, Link::Plain) => None,
            (Some(emulator), _) => {
                Some(tokio::task::block_in_place(|| Emulated::lay(emulator, link))?)
            }
            (None, _) => {
                complain(&format!("{} is skipped: there is no link emulator", link.title()));
                continue;
            }
        };
        measure(link, laid.as_ref(), machine, data, &choice).await?;
    }
    let records = if file.exists() { read(&file)? } else { Vec::new() };
    let (met, all) = score(&records);
    say(&format!("\n{}\n{met} of {all} goals are met.", render(&records)));
    if choice.against.is_some() {
        say(&format!("\n{}", against::render(&records)));
    }
    Ok(())
}

/// In a process of its own, which is behind the link from its start. It ends with this one.
async fn measure(
    link: Link,
    laid: Option<&Emulated>,
    machine: &Machine,
    data: &Path,
    choice: &Choice,
) -> Result<()> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]);
    if let Some(laid) = laid {
        command.args(["ip", "netns", "exec", &laid.name]);
    }
    command
        .arg(std::env::current_exe()?)
        .args(["measure", "--link", &link.to_string(), "--host", &machine.address, "--key"])
        .arg(&machine.key);
    command
        .arg("--data")
        .arg(data)
        .args(choice.arguments())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = command.status().await?;
    if !ended.success() {
        bail!("measuring on {} ended with {ended}", link.title());
    }
    Ok(())
}

fn conditions(machine: &Machine) -> Result<()> {
    let machine_says = machine.run(
        "ssh -V 2>&1; sysctl -n net.ipv4.tcp_congestion_control; docker version \
            --format 'dockerd {{.Server.Version}}'; . /etc/os-release; echo $PRETTY_NAME",
        None,
    )?;
    let here = |command: &str| {
        let output = std::process::Command::new("sh").args(["-c", command]).output();
        output
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().replace('\n', "; "))
            .unwrap_or_default()
    };
    say(&format!("Machine: {}", machine_says.replace('\n', "; ")));
    say(&format!(
        "Client:  {}",
        here(
            "ssh -V 2>&1; docker --version; sysctl -n net.ipv4.tcp_congestion_control \
            net.ipv4.tcp_rmem net.ipv4.tcp_wmem"
        )
    ));
    say(&format!(
        "Host:    {}",
        here(
            "uname -r; nproc; sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1; uptime | \
            sed 's/.*load/load/'"
        )
    ));
    Ok(())
}
