//! What only a terminal shows: `status --watch`, which prints lines elsewhere, and a line that
//! counts while a command waits.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::process::Child;

use crate::rig::Desk;

#[path = "../../src/commands/status/watch/taken.rs"]
mod taken;

const LONGEST: Duration = Duration::from_secs(60);

/// Set for the copy of this program that panics in a terminal.
const PANICS: &str = "DOCKBRIDGE_TEST_PANICS";

/// A desk whose wake goes on for minutes, with one past wake: nothing is behind the servers here,
/// so a new server never admits a login.
async fn desk() -> Desk {
    let desk = Desk::new().await;
    desk.past_wake();
    desk
}

fn wake(desk: &Desk) -> Child {
    let mut wake = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    wake.arg("wake").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A terminal of 80 columns and 24 lines that runs a script of the shell.
struct Terminal<'a> {
    desk: &'a Desk,
    /// Of a server of its own: one that ends still holds its socket for a while.
    socket: PathBuf,
}

impl<'a> Terminal<'a> {
    fn open(desk: &'a Desk, script: &str) -> Self {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let terminal = Self { desk, socket: desk.path(&format!("tmux-{number}")) };
        let size = ["-x", "80", "-y", "24"];
        let begin = ["-f", "/dev/null", "new-session", "-d"];
        terminal.tmux(&[&begin[..], &size, &[script]].concat());
        terminal
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let mut tmux = self.desk.command("tmux").into_std();
        tmux.arg("-u").arg("-S").arg(&self.socket).args(arguments).output().unwrap()
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "tmux {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn shows(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let screen = RefCell::new(String::new());
        testkit::eventually(
            what,
            LONGEST,
            async || {
                *screen.borrow_mut() = self.tmux(&["capture-pane", "-p"]);
                holds(&screen.borrow())
            },
            async || screen.borrow().clone(),
        )
        .await;
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.output(&["kill-server"]);
    }
}

fn has_tmux() -> bool {
    let found = std::process::Command::new("tmux").arg("-V").output().is_ok();
    if !found {
        testkit::passed_over!("no tmux");
    }
    found
}

#[tokio::test]
async fn watch_shows_stages_survives_a_resize_and_gives_the_terminal_back() {
    if !has_tmux() {
        return;
    }
    let desk = desk().await;
    let daemon = desk.start().await;
    let mut wake = wake(&desk);
    for (key, name) in [("C-c", "interrupted"), ("q", "quit")] {
        let script = format!(
            "cd {}; stty -a >before; {} status --watch; echo $? >code; stty -a >after; tmux \
             display-message -p '#{{alternate_on}} #{{cursor_flag}}' >{name}; read -r end",
            desk.directory.path().display(),
            env!("CARGO_BIN_EXE_dockbridge"),
        );
        let terminal = Terminal::open(&desk, &script);
        let has_stage = |screen: &str| {
            let stage = |line: &str| line.contains("connecting") && line.contains(", usually 18 s");
            screen.lines().any(stage) && screen.starts_with("State     waking since ")
        };
        terminal.shows("the stage has its usual time", has_stage).await;
        let alternate = terminal.tmux(&["display-message", "-p", "#{alternate_on}"]);
        assert_eq!(alternate, "1\n");
        for (width, height) in [("60", "12"), ("7", "3"), ("100", "30")] {
            terminal.tmux(&["resize-window", "-x", width, "-y", height]);
            let (columns, lines): (usize, usize) =
                (width.parse().unwrap(), height.parse().unwrap());
            // A small terminal has no room for the last line, which only a new drawing moves.
            let is_drawn = |screen: &str| {
                let begin = "State     waking"[..columns.min(16)].trim_end();
                let last = screen.lines().nth(lines - 1).unwrap_or_default();
                screen.starts_with(begin) && (lines < 12 || last.starts_with("q or Ctrl-C ends"))
            };
            terminal.shows("it is drawn at the new size", is_drawn).await;
        }
        terminal.shows("all of it is there again", has_stage).await;
        terminal.tmux(&["send-keys", key]);
        terminal.shows("the watch has ended", |_| has_line(&desk, name)).await;
        let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
        assert_eq!(read(name), "0 1\n", "the alternate screen is left, the cursor is shown");
        assert_eq!(read("code"), "0\n");
        // The first line has the size.
        let modes = |name: &str| read(name).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(modes("before"), modes("after"));
    }
    wake.kill().await.unwrap();
    daemon.stop().await;
}

#[tokio::test]
async fn watch_without_a_terminal_prints_a_line_per_change() {
    let desk = desk().await;
    let daemon = desk.start().await;
    let output = desk.path("watch.out");
    let mut watch = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    let file = std::fs::File::create(&output).unwrap();
    let mut watch = watch.args(["status", "-w"]).stdout(file).spawn().unwrap();
    let said = || std::fs::read_to_string(&output).unwrap();
    let says = async |part: &'static str| {
        let holds = async || said().contains(part);
        testkit::eventually(part, LONGEST, holds, async || said()).await;
    };
    says("  absent\n").await;
    let mut wake = wake(&desk);
    says("  waking: connecting").await;
    let lines = said();
    let texts: Vec<&str> =
        lines.lines().filter_map(|line| line.split_once("  ")).map(|x| x.1).collect();
    let mut distinct = texts.clone();
    distinct.dedup();
    assert_eq!(texts, distinct, "only changes are printed");
    wake.kill().await.unwrap();
    daemon.stop().await;
    says("  no dockbridge serves ").await;
    watch.kill().await.unwrap();
}

#[tokio::test]
async fn watch_ends_with_its_reader_and_needs_a_daemon() {
    let desk = desk().await;
    desk.dockbridge(&["status", "--watch"]).await.failed(3, &["no dockbridge serves"]);
    desk.dockbridge(&["status", "--watch", "--json"]).await.failed(2, &["cannot be used with"]);
    let daemon = desk.start().await;
    let mut shell = desk.command("sh");
    let script = format!("{} status --watch | head -n 1", env!("CARGO_BIN_EXE_dockbridge"));
    let mut watch = shell.args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    // The second line finds no reader.
    let mut wake = wake(&desk);
    let ended = tokio::time::timeout(LONGEST, watch.wait()).await.expect("it ends");
    assert!(ended.unwrap().success());
    wake.kill().await.unwrap();
    daemon.stop().await;
}

#[tokio::test]
async fn colors_are_for_terminals_and_obey_no_color() {
    if !has_tmux() {
        return;
    }
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let printed = desk.dockbridge(&["status"]).await;
    printed.failed(3, &["run `dockbridge init` first"]).said(&["State     not set up: "]);
    assert!(!printed.stdout.contains('\x1b'), "{printed}");
    for (variable, has_colors) in [("", true), ("NO_COLOR=1", false)] {
        let program = env!("CARGO_BIN_EXE_dockbridge");
        for (command, word) in [("status", "not set up"), ("doctor", "broken")] {
            let script = format!("{variable} {program} {command}; echo over; read -r end");
            let terminal = Terminal::open(&desk, &script);
            terminal.shows("it has ended", |screen| screen.contains("over\n")).await;
            let screen = terminal.tmux(&["capture-pane", "-e", "-p", "-S", "-"]);
            assert!(screen.contains(word), "{screen}");
            assert_eq!(screen.contains(&format!("\x1b[31m{word}")), has_colors, "{screen:?}");
        }
    }
}

#[tokio::test]
async fn wait_for_a_silent_cloud_is_shown() {
    if !has_tmux() {
        return;
    }
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut desk = Desk::new().await;
    desk.identity("default");
    desk.set("HCLOUD_ENDPOINT", &format!("http://{}/v1", silent.local_addr().unwrap()));
    let script = format!("{} server list; read -r end", env!("CARGO_BIN_EXE_dockbridge"));
    let terminal = Terminal::open(&desk, &script);
    let counts = |screen: &str| screen.contains("  waiting for the cloud's answer, ");
    terminal.shows("the wait is counted", counts).await;
    let says = |screen: &str| screen.lines().any(|line| line.starts_with("Waiting for http"));
    terminal.shows("a message has a line of its own", says).await;
    terminal.shows("the wait is counted below it", counts).await;
}

#[tokio::test]
async fn panic_gives_the_terminal_back() {
    if std::env::var_os(PANICS).is_some() {
        let mut terminal = taken::Taken::take().unwrap();
        terminal.draw(|frame| frame.render_widget("drawn", frame.area())).unwrap();
        panic!("as the test wants");
    }
    if !has_tmux() {
        return;
    }
    let desk = Desk::new().await;
    let script = format!(
        "cd {}; stty -a >before; {PANICS}=1 {} --exact terminal::panic_gives_the_terminal_back \
         --nocapture; stty -a >after; tmux display-message -p '#{{alternate_on}} \
         #{{cursor_flag}}' >flags; read -r end",
        desk.directory.path().display(),
        std::env::current_exe().unwrap().display(),
    );
    let terminal = Terminal::open(&desk, &script);
    let says = |screen: &str| screen.contains("as the test wants") && desk.path("flags").exists();
    terminal.shows("the message is on the normal screen", says).await;
    terminal.shows("all is written", |_| has_line(&desk, "flags")).await;
    let read = |name: &str| std::fs::read_to_string(desk.path(name)).unwrap();
    assert_eq!(read("flags"), "0 1\n", "the alternate screen is left, the cursor is shown");
    assert!(read("before").contains(" icanon"), "{}", read("before"));
    assert_eq!(read("before"), read("after"));
}

fn has_line(desk: &Desk, name: &str) -> bool {
    std::fs::read_to_string(desk.path(name)).is_ok_and(|text| text.ends_with('\n'))
}
