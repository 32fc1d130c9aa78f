//! `dockbridge init`: what it shows at 80 columns, what it asks on a terminal, and what a second
//! run changes.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::rig::{Desk, READ_ONLY, TOKEN};

/// A question that is not asked within this time is not asked.
const LONGEST_QUESTION: Duration = Duration::from_secs(60);

/// A command on a terminal of its own.
struct Terminal {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// All that was printed.
    printed: String,
    /// How much of it was awaited already.
    seen: usize,
}

impl Terminal {
    fn run(desk: &Desk, arguments: &str) -> Self {
        let command = format!("tty; exec {} {arguments}", env!("CARGO_BIN_EXE_dockbridge"));
        let mut script = desk.command("script");
        script.args(["-qec", &command, "/dev/null"]);
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = script.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output, printed: String::new(), seen: 0 }
    }

    async fn read(&mut self) -> usize {
        let mut bytes = [0; 4096];
        let read = timeout(LONGEST_QUESTION, self.output.read(&mut bytes)).await;
        let read = read.unwrap_or_else(|_| panic!("nothing more is printed: {}", self.printed));
        let length = read.unwrap();
        self.printed.push_str(&String::from_utf8_lossy(&bytes[..length]));
        length
    }

    /// Waits for a question whose answer the terminal does not show, and answers it.
    async fn answer_hidden(&mut self, question: &str, answer: &str) {
        self.wait_for(question).await;
        // What is typed before that would be shown.
        let terminal = self.printed.lines().next().unwrap().trim().to_owned();
        let state = async || {
            let stty = Command::new("stty").args(["-F", &terminal, "-a"]).output().await.unwrap();
            String::from_utf8_lossy(&stty.stdout).into_owned()
        };
        let hides = async || state().await.contains(" -echo ");
        testkit::eventually("the terminal hides its input", LONGEST_QUESTION, hides, state).await;
        self.write(answer).await;
    }

    /// Waits for a question, and answers it.
    async fn answer(&mut self, question: &str, answer: &str) {
        self.wait_for(question).await;
        self.write(answer).await;
    }

    async fn write(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn wait_for(&mut self, question: &str) {
        loop {
            if let Some(at) = self.printed[self.seen..].find(question) {
                self.seen += at + question.len();
                break;
            }
            assert!(self.read().await > 0, "{question:?} is missing: {}", self.printed);
        }
    }

    /// Everything that was printed, once the command has succeeded.
    async fn end(mut self) -> String {
        while self.read().await > 0 {}
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "{}", self.printed);
        self.printed.replace("\r\n", "\n")
    }
}

/// The text without what differs between two runs.
fn plain(desk: &Desk, text: &str) -> String {
    let text = text.replace(desk.directory.path().to_str().unwrap(), "/desk");
    let owner = std::fs::read_to_string(desk.path("home/config/owner")).unwrap();
    let before = text.split_once("--join ").map(|(_, rest)| rest.split('`').next().unwrap());
    let text = before.map_or(text.clone(), |invitation| text.replace(invitation, "TEXT"));
    let text = text.replace(owner.trim(), "OWNER");
    for line in text.lines().filter(|line| !line.contains("/desk") && !line.contains("OWNER")) {
        let columns = line.chars().count();
        assert!(columns <= 80, "{columns} columns: {line}");
    }
    text
}

#[tokio::test]
async fn a_script_gets_prices_stock_and_what_comes_next() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let ran = desk.dockbridge_with_input(&["init", "--token-stdin", "--no-context"], TOKEN).await;
    insta::assert_snapshot!(plain(&desk, &ran.succeeded().stdout), @r"
    The token is valid. The cloud has 6 locations.
    The project has 0 servers and 0 volumes; none of them this owner's.
    A machine bills by the started hour while it exists, net in EUR:
                     fsn1      nbg1      hel1
      cx23         0.0096*   0.0096*   0.0096* 2 cores, 4 GB
      cpx22        0.0320    0.0320    0.0320  2 cores, 4 GB
      cax11        0.0104*   0.0104*   0.0104* 2 cores, 4 GB
      * sold out there now: the next type or location is tried
    The volume will have 20 GB for 1.14 EUR net a month.
    It stays when a machine goes, until `dockbridge volume delete`.
    Saved the token in /desk/home/config/token, readable by you alone.
    Owner id: OWNER (a label on everything that dockbridge creates in the cloud project).
    To join from another computer: `dockbridge init --join TEXT`
    Next: `dockbridge start`, or `dockbridge service install` for each login.
    Then: `docker --host unix:///desk/home/run/default/docker.sock run --rm hello-world`
    ");
    assert!(!desk.path("home/config/config.yaml").exists(), "defaults are not written");
    desk.nothing_was_created().await;

    // A second run, with a volume, changes only what it is asked to.
    let identity = desk.identity("default");
    desk.make_volume(&identity.name(), identity.labels("data")).await;
    desk.settings("# Mine.\nhetzner:\n  server_types: [cx23, cx99, ccx13]  # fast\n");
    let again = ["init", "--yes", "--no-context", "--location", "hel1", "--volume-size", "40"];
    let ran = desk.dockbridge(&again).await;
    insta::assert_snapshot!(plain(&desk, &ran.succeeded().stdout), @r"
    The token is valid. The cloud has 6 locations.
    The project has 0 servers and 1 volume; 1 of them this owner's.
    A machine bills by the started hour while it exists, net in EUR:
                     fsn1
      cx23         0.0096* 2 cores, 4 GB
      cx99        unknown
      ccx13        0.0697  2 cores, 8 GB
      * sold out there now: the next type or location is tried
    The volume has 10 GB in fsn1 for 0.57 EUR net a month.
    It stays when a machine goes, until `dockbridge volume delete`.
    Wrote your choice into /desk/home/config/config.yaml.
    Owner id: OWNER (a label on everything that dockbridge creates in the cloud project).
    To join from another computer: `dockbridge init --join TEXT`
    Next: `dockbridge start`, or `dockbridge service install` for each login.
    Then: `docker --host unix:///desk/home/run/default/docker.sock run --rm hello-world`
    ");
    let file = std::fs::read_to_string(desk.path("home/config/config.yaml")).unwrap();
    insta::assert_snapshot!(file, @r"
    # Mine.
    hetzner:
      server_types: [cx23, cx99, ccx13]  # fast
      locations: [hel1, fsn1, nbg1]
      volume_size: 40
    ");
    let before = std::fs::read_to_string(desk.path("home/config/token")).unwrap();
    assert_eq!(before, TOKEN);
    // For another profile the same is written into its own section, and only there.
    let other = ["--profile", "m", "init", "--yes", "--no-context", "--location", "nbg1"];
    desk.dockbridge(&other).await.succeeded();
    let file = std::fs::read_to_string(desk.path("home/config/config.yaml")).unwrap();
    insta::assert_snapshot!(file, @r"
    # Mine.
    hetzner:
      server_types: [cx23, cx99, ccx13]  # fast
      locations: [hel1, fsn1, nbg1]
      volume_size: 40
    profiles:
      m:
        hetzner:
          locations: [nbg1, hel1, fsn1]
    ");
    assert!(!desk.path("home/config/profiles").exists(), "it has no token of its own");
}

#[tokio::test]
async fn a_terminal_is_asked_for_token_location_and_size() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let mut terminal = Terminal::run(&desk, "init --no-context");
    terminal.answer_hidden("API token: ", TOKEN).await;
    terminal.answer("(fsn1, nbg1, hel1, ash, hil, sin) [fsn1]:", "mars1").await;
    terminal.answer("The cloud has no location \"mars1\".", "").await;
    terminal.answer("it can grow later [20]:", "5").await;
    terminal.answer("No volume has 5 GB: choose 10 to 10240.", "40").await;
    let printed = terminal.end().await;
    assert!(!printed.contains(TOKEN), "the token is shown: {printed}");
    assert!(printed.contains("Wrote your choice into "), "{printed}");
    let file = || std::fs::read_to_string(desk.path("home/config/config.yaml")).unwrap();
    assert_eq!(file(), "hetzner:\n  volume_size: 40\n");
    assert_eq!(std::fs::read_to_string(desk.path("home/config/token")).unwrap(), TOKEN);

    // The second run shows what holds; Enter keeps it.
    let mut terminal = Terminal::run(&desk, "init --no-context");
    let kept = desk.path("home/config/token").display().to_string();
    terminal.answer_hidden("API token: ", "").await;
    terminal.answer("[fsn1]:", "").await;
    terminal.answer("it can grow later [40]:", "").await;
    let printed = terminal.end().await;
    assert!(printed.contains(&format!("Enter alone keeps the one from {kept}.")), "{printed}");
    assert!(!printed.contains("Wrote") && !printed.contains("Saved"), "{printed}");
    assert_eq!(file(), "hetzner:\n  volume_size: 40\n");
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_run_that_fails() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let pipe = ["init", "--token-stdin", "--no-context", "--location"];
    desk.dockbridge_with_input(&[&pipe[..], &["mars1"]].concat(), TOKEN).await.failed(
        1,
        &[
            "Error: the cloud has no location \"mars1\"",
            "Hint: it has fsn1, nbg1, hel1, ash, hil, sin",
        ],
    );
    desk.dockbridge_with_input(&[&pipe[..], &["hel1"]].concat(), READ_ONLY)
        .await
        .failed(1, &["Error: this token can only read"]);
    assert!(!desk.path("home").exists(), "something was written");
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn prices_are_no_condition_and_what_is_not_sold_has_none() {
    let desk = Desk::new().await;
    desk.settings("hetzner: {server_types: [cx23], locations: [fsn1, ash]}\n");
    let fault = r#"{"kind": "server_error", "match": {"method": "GET", "path": "/v1/pricing"},
        "times": 1000}"#;
    let ran = desk.dockbridge(&["init", "--yes", "--no-context"]).await;
    // It is not sold in the United States.
    ran.succeeded()
        .said(&["                 fsn1       ash", "  cx23         0.0096*        -  2 cores"]);
    desk.control().post("faults", fault).await;
    let ran = desk.dockbridge(&["init", "--yes", "--no-context"]).await;
    ran.succeeded().said(&["Note: cannot read prices and stock now: ", "Next: `dockbridge start`"]);
}
