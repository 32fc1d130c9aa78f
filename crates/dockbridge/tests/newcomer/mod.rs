//! A newcomer: an empty home, the lines that they type into a shell, and what these print, as text
//! for docs/first-use.md. What differs between two runs is replaced, so that a second run gives the
//! same text.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use regex::Regex;
use testkit::{Ran, run};
use tokio::process::Command;

/// Docker clients before this one print other words.
const OLDEST_CLIENT: u32 = 28;

/// Docker's notice that its classic builder is old, without BuildKit's client.
static NOTICE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^DEPRECATED: .*\n( +.*\n)*\n?").unwrap());

/// Names of what dockbridge creates in the cloud.
static NAMES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        (r"\bdockbridge-default-[a-z0-9]{12}\b", "dockbridge-default-OWNER"),
        (r"\bdockbridge-[a-z0-9]{12}-[a-z0-9]{10}\b", "dockbridge-OWNER-KEY"),
    ];
    patterns.map(|(pattern, instead)| (Regex::new(pattern).unwrap(), instead)).into()
});

/// What differs between two runs, wherever it is printed, and what the page has instead.
static VARIABLE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        // Docker clients since 28.4.
        (
            r"failed to connect to the docker API at (\S+?);.*",
            "Cannot connect to the Docker daemon at $1. Is the docker daemon running?",
        ),
        (r"--join [^`]+`", "--join TEXT`"),
        (r"\bsha256:[0-9a-f]{64}\b", "sha256:DIGEST"),
        (r"\b[0-9a-f]{64}\b", "CONTAINER_ID"),
        (r"^Owner id: [a-z0-9]{12} ", "Owner id: OWNER "),
        (r"\bDocker-Client/[\d.]+\S* ", "Docker-Client/VERSION "),
        (r"\b[0-9a-f]{12}\b", "SHORT_ID"),
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?", "DATE TIME"),
        (r"\b\d{4}-\d\d \(UTC\)", "MONTH (UTC)"),
        (r"\b\d\d:\d\d(:\d\d)?\b", "TIME"),
        (r"\b\d{6,}\b", "ID"),
        (r"\bprocess \d+\b", "process N"),
        (r"\b10(\.\d+){3}\b", "ADDRESS"),
        (r"\b\d+(\.\d+)? (ms|s|min)\b", "N s"),
        (r"\b(\d+m )?\d+s\b", "N s"),
        (r"\b(\d+|Less than a|About a) (seconds?|minutes?)\b", "N seconds"),
        (r"\b\d+(\.\d+)? (B|kB)\b", "N B"),
        (r"\b\d+\.\d % full", "N % full"),
    ];
    patterns.map(|(pattern, instead)| (Regex::new(pattern).unwrap(), instead)).into()
});

/// What separates two cells of a table.
static COLUMNS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(\S) {2,}").unwrap());

/// A user with an empty home.
pub struct Newcomer {
    home: PathBuf,
    environment: Vec<(String, String)>,
    /// What this run chose, and what the page has instead.
    chosen: Vec<(String, String)>,
    page: String,
}

impl Newcomer {
    /// Files below this directory, and a cloud at this address. `None`, with the test passed over,
    /// without a docker client of today's words.
    pub fn new(directory: &Path, endpoint: &str, agents: &Path) -> Option<Self> {
        if client_version() < Some(OLDEST_CLIENT) {
            testkit::passed_over!("needs a docker client of version {OLDEST_CLIENT} or later");
            return None;
        }
        let home = directory.join("newcomer");
        let programs = home.join(".local/bin");
        std::fs::create_dir_all(&programs).unwrap();
        let (built, installed) = (env!("CARGO_BIN_EXE_dockbridge"), programs.join("dockbridge"));
        std::fs::hard_link(built, &installed)
            .or_else(|_| std::fs::copy(built, &installed).map(drop))
            .unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let environment = [
            ("PATH", format!("{}:{path}", programs.display())),
            ("HOME", home.display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            ("TZ", "UTC".to_owned()),
            ("DOCKER_BUILDKIT", "0".to_owned()),
            ("HCLOUD_ENDPOINT", endpoint.to_owned()),
            ("DOCKBRIDGE_AGENT_DIR", agents.display().to_string()),
        ];
        let newcomer = Self {
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
            chosen: Vec::new(),
            page: String::new(),
            home,
        };
        let home = newcomer.home.display().to_string();
        Some(newcomer.with(&home, "~").with(endpoint, "https://api.hetzner.cloud/v1"))
    }

    /// The page has `instead` where this run has `chosen`.
    pub fn with(mut self, chosen: &str, instead: &str) -> Self {
        self.chosen.push((chosen.to_owned(), instead.to_owned()));
        self
    }

    /// Writes a file of the newcomer's, below the home.
    pub fn file(&self, name: &str, content: &str) {
        let path = self.home.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The newcomer's home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A heading, and a paragraph that says what the newcomer does.
    pub fn heading(&mut self, title: &str, text: &str) {
        self.page.push_str(&format!("\n### {title}\n\n{}\n", testkit::wrapped(text, "")));
    }

    /// Types lines into a shell, one after the other, and puts them and what they print into the
    /// page. Each ends as `succeeds` says.
    pub async fn types(&mut self, lines: &[&str], succeeds: bool) {
        self.page.push_str("\n```\n");
        for line in lines {
            let ran = self.run(line).await;
            assert_eq!(ran.status.success(), succeeds, "{ran}");
            let printed = self.normal(&ran.stdout);
            self.page.push_str(&format!("$ {}\n{printed}", self.as_typed(line)));
        }
        self.page.push_str("```\n");
    }

    /// Like `types`, with the output up to the first empty line.
    pub async fn types_and_reads_the_beginning(&mut self, line: &str) {
        let ran = self.run(line).await;
        ran.succeeded();
        let beginning = ran.stdout.split("\n\n").next().unwrap_or_default();
        let printed = self.normal(&format!("{beginning}\n"));
        let typed = self.as_typed(line);
        self.page.push_str(&format!("\n```\n$ {typed}\n{printed}…\n```\n"));
    }

    /// Runs a line without putting it into the page. Standard output has both outputs, in order.
    pub async fn run(&self, line: &str) -> Ran {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1\n{line}")]);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.home).kill_on_drop(true);
        run(command, "").await
    }

    /// All that was typed and printed.
    pub fn page(&self) -> &str {
        &self.page
    }

    fn as_typed(&self, line: &str) -> String {
        let replace = |text: String, (chosen, instead): &(String, String)| {
            text.replace(chosen.as_str(), instead)
        };
        replaced(&NAMES, self.chosen.iter().fold(line.to_owned(), replace))
    }

    fn normal(&self, printed: &str) -> String {
        let text = NOTICE.replace_all(&self.as_typed(printed), "").into_owned();
        // The columns of a table are as wide as their widest cell.
        let mut is_table = false;
        let lines = text.lines().map(|line| {
            is_table |= line.starts_with("CONTAINER ID ") || line.starts_with("LOCAL ");
            // A setting is as it was typed.
            let is_typed = line.starts_with("Set `");
            let line =
                if is_typed { line.to_owned() } else { replaced(&VARIABLE, line.to_owned()) };
            if is_table { COLUMNS.replace_all(&line, "$1  ").into_owned() } else { line }
        });
        lines.map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

fn replaced(patterns: &[(Regex, &str)], text: String) -> String {
    patterns
        .iter()
        .fold(text, |text, (pattern, instead)| pattern.replace_all(&text, *instead).into_owned())
}

impl Drop for Newcomer {
    /// A test that fails leaves no daemon.
    fn drop(&mut self) {
        let mut stop = std::process::Command::new(self.home.join(".local/bin/dockbridge"));
        stop.arg("stop").env_clear();
        stop.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let _ = stop.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// The part of docs/first-use.md with this name has to be what was typed and printed.
#[track_caller]
pub fn compare_with_document(part: &str, newcomer: &Newcomer) {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/first-use.md");
    let test = "-p dockbridge --test cli --test e2e first_use";
    let page = format!("{}\n", newcomer.page());
    testkit::compare_generated(Path::new(document), part, &page, test);
}

/// The major version of the docker client.
fn client_version() -> Option<u32> {
    let output =
        std::process::Command::new("docker").arg("--version").stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.strip_prefix("Docker version ")?.split('.').next()?.parse().ok()
}
