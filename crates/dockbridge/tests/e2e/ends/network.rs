//! A network of the client's own: a namespace with a link to the local cloud's bridge, in which
//! TCP 22 can be blocked while the API answers.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::process::Command;

use crate::rig::{Daemon, Stage, run};

/// Networks of this process; each has an address of its own.
static MADE: AtomicU8 = AtomicU8::new(0);

/// How a network treats TCP 22.
#[derive(Debug, Clone, Copy)]
pub enum Block {
    Drop,
    Reset,
    Prohibited,
}

impl Block {
    fn verdict(self) -> &'static str {
        match self {
            Block::Drop => "drop",
            Block::Reset => "reject with tcp reset",
            Block::Prohibited => "reject with icmp type admin-prohibited",
        }
    }
}

/// The slot number of the stage's local cloud on this host.
pub fn place(stage: &Stage) -> String {
    let endpoint = stage.cloud.machine_endpoint().unwrap();
    endpoint.trim_start_matches("http://").split('.').nth(2).unwrap().to_owned()
}

/// Removed when dropped.
pub struct Network {
    name: String,
}

impl Network {
    /// A computer next to the machines: the bridge isolates machines from each other, but this
    /// computer reaches each of them without the host.
    pub async fn new(stage: &Stage) -> Self {
        let place = place(stage);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let network = Self { name: format!("dbe{}-{number}", std::process::id()) };
        let (outer, inner) = (format!("{}o", network.name), format!("{}i", network.name));
        network.ip(&format!("netns add {}", network.name)).await;
        network
            .ip(&format!("link add {outer} type veth peer name {inner} netns {}", network.name))
            .await;
        network.ip(&format!("link set {outer} master dbcloud{place} up")).await;
        let inside = format!("-n {}", network.name);
        network.ip(&format!("{inside} link set lo up")).await;
        // Machines have 10 and above.
        network
            .ip(&format!("{inside} address add 10.213.{place}.{}/24 dev {inner}", 5 + number))
            .await;
        network.ip(&format!("{inside} link set {inner} up")).await;
        network
    }

    async fn ip(&self, arguments: &str) {
        let mut command = Command::new("ip");
        command.args(arguments.split(' '));
        run(command, "").await.succeeded();
    }

    async fn nft(&self, script: &str) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "nft", "-f", "-"]);
        run(command, script).await.succeeded();
    }

    /// From here on no packet to TCP 22 leaves the network, existing connections included.
    pub async fn block(&self, how: Block) {
        let verdict = how.verdict();
        let chain = format!(
            "chain output {{ type filter hook output priority 0; meta nfproto ipv4 tcp dport 22 \
             {verdict}; }}"
        );
        self.nft(&format!("table inet blocked {{\n{chain}\n}}\n")).await;
    }

    /// From here on no packet reaches TCP 22 of the stage's machines; other hosts are reached.
    pub async fn block_machines(&self, stage: &Stage) {
        let place = place(stage);
        let machines = format!("10.213.{place}.10-10.213.{place}.254");
        let chain = format!(
            "chain output {{ type filter hook output priority 0; ip daddr {machines} tcp dport 22 \
             drop; }}"
        );
        self.nft(&format!("table inet blocked {{\n{chain}\n}}\n")).await;
    }

    pub async fn open(&self) {
        self.nft("delete table inet blocked").await;
    }

    /// A daemon in this network on the stage's default socket, ready.
    pub async fn start(&self, stage: &Stage, settings: &[(&str, &str)]) -> Daemon {
        let mut command = stage.command("ip");
        command.args([
            "netns",
            "exec",
            &self.name,
            env!("CARGO_BIN_EXE_dockbridge"),
            "start",
            "--socket",
        ]);
        command.arg(stage.socket()).envs(settings.iter().copied());
        stage.serve(command, &stage.socket()).await
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The links go with the namespace.
        let _ = std::process::Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}
