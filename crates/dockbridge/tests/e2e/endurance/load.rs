//! The jobs of the load, and how each of their turns ended.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::docker_cli::plug_in;
use crate::rig::{Ran, Stage, run};

/// Jobs that repeat, side by side.
pub const LOAD: &[Job] = &[
    Job {
        name: "compose up and down",
        plugin: Some("docker-compose"),
        script: r#"printf 'services:
  a: {image: tiny, init: true, command: [httpd, -f, -p, "80", -h, /bin],
    volumes: ["data:/data"], ports: ["18099:80"]}
  b: {image: tiny, init: true, command: [sleep, "100"], depends_on: [a]}
  c: {image: tiny, command: [echo, c], depends_on: [b]}
volumes: {data: {}}\n' >compose.yaml
            docker compose --progress quiet -p mixed up -d || { bad=$?
            docker compose --progress quiet -p mixed down -t 1 -v; exit $bad; }
            docker compose -p mixed ps -q >ps || exit; [ $(wc -l <ps) -ge 2 ] || wrong "$(cat ps)"
            docker compose -p mixed logs >log || exit
            docker compose --progress quiet -p mixed down -t 1 -v"#,
    },
    Job {
        name: "build by BuildKit",
        plugin: Some("docker-buildx"),
        script: r#"cp $BLOB blob
            printf 'FROM tiny\nCOPY blob /blob\nRUN ["md5sum", "/blob"]\n' >Dockerfile
            docker build -q --no-cache -t by-buildkit . >id || exit; [ $(wc -c <id) -gt 60 ] ||
                wrong "$(cat id)"; docker rmi by-buildkit >log"#,
    },
    Job {
        name: "build by the engine's own builder",
        plugin: None,
        script: r#"cp $BLOB blob
            printf 'FROM tiny\nCOPY blob /blob\nRUN ["md5sum", "/blob"]\n' >Dockerfile
            DOCKER_BUILDKIT=0 docker build -q --no-cache --rm --force-rm -t by-engine . >id || exit
            [ $(wc -c <id) -gt 60 ] || wrong "$(cat id)"; docker rmi by-engine >log"#,
    },
    // Counts lines: none may be missing or duplicated.
    Job {
        name: "logs that follow",
        plugin: None,
        script: r#"timeout -s INT 20 docker logs -f -n 5 web >log; ended=$?
            awk 'NR > 1 && $1 != last + 1 { print "after " last " comes " $1; bad = 1 }
                { last = $1 } END { exit bad }' log >order ||
            wrong "$(cat order)"
            [ $ended = 124 ] || [ $ended = 130 ] || exit $ended"#,
    },
    Job {
        name: "exec",
        plugin: None,
        script: r#"docker exec web echo there >out || exit; [ "$(cat out)" = there ] ||
            wrong "$(cat out)"; sleep 0.2"#,
    },
    Job {
        name: "exec with input",
        plugin: None,
        script: r#"docker exec -i web cat <$BLOB >out || exit; cmp $BLOB out >log 2>&1 ||
            wrong "$(cat log)"; sleep 0.5"#,
    },
    Job {
        name: "copies",
        plugin: None,
        script: r#"docker cp -q $BLOB web:/copied || exit; docker cp -q web:/copied out || exit
            cmp $BLOB out >log 2>&1 || wrong "$(cat log)"; sleep 0.5"#,
    },
    Job {
        name: "save and load",
        plugin: None,
        script: r#"docker save -o t.tar tiny || exit; tar -tf t.tar >log 2>&1 || wrong "$(cat log)"
            docker load -q -i t.tar >log || exit; sleep 0.5"#,
    },
    Job {
        name: "run",
        plugin: None,
        script: r#"docker run --rm --init tiny sh -c 'seq 1 20000; exit 3' >out; ended=$?
            [ $ended = 3 ] || exit $ended; [ $(wc -l <out) = 20000 ] || wrong "$(tail -n 1 out)""#,
    },
    Job {
        name: "events",
        plugin: None,
        script: r#"timeout -s INT 20 docker events >log; ended=$?; [ $ended = 124 ] ||
            [ $ended = 130 ] || [ $ended = 0 ] || exit $ended"#,
    },
];

/// Removes what interrupted jobs have created.
pub const CLEAN: Job = Job {
    name: "cleaning",
    plugin: None,
    script: "docker ps -aq -f name=mixed | xargs -r docker rm -f -v; docker ps -a --format \
     '{{.ID}} {{.Names}}' | grep -v ' web$' | cut -d ' ' -f 1 | xargs -r docker rm -f -v; docker \
     network prune -f && docker volume prune -a -f && docker image prune -f && docker builder \
     prune -a -f",
};

/// How a failure may be reported: an answer of the engine or of dockbridge, an error in the frames
/// of a stream, a client's message about its connection, or a broken stream.
const REPORTED: &[&str] = &[
    "rror response from daemon",
    "rror from daemon in stream",
    "error during connect",
    "connection to the machine was lost",
    "unexpected EOF",
    "EOF",
    "received 502",
];

/// With the time, to find it in the daemon's log.
const PRELUDE: &str = "wrong() { echo \"wrong at $(date -u +%H:%M:%S.%N): $1\" >&2; exit 99; }\n";

pub struct Job {
    name: &'static str,
    plugin: Option<&'static str>,
    script: &'static str,
}

/// How one turn of a job ended.
pub struct Turn {
    job: &'static str,
    ran: Ran,
    /// It ran while the network was cut or not restored yet.
    in_outage: bool,
}

impl Job {
    pub fn can_run(&self, stage: &Stage) -> bool {
        self.plugin.is_none_or(|plugin| plug_in(stage, plugin))
    }

    pub async fn once(&self, stage: &Stage, outages: &Outages) -> Turn {
        let work = tempfile::tempdir_in(stage.directory.path()).unwrap();
        let mut command = stage.command("sh");
        command.args(["-c", &format!("{PRELUDE}{}", self.script)]).current_dir(work.path());
        command
            .env("DOCKER_HOST", format!("unix://{}", stage.socket().display()))
            .env("DOCKER_CLI_HINTS", "false");
        command.env("BLOB", stage.directory.path().join("blob"));
        let begun = Instant::now();
        let ran = run(command, "").await;
        Turn { job: self.name, ran, in_outage: outages.touch(begun, Instant::now()) }
    }

    pub async fn until(
        &'static self,
        end: Instant,
        stage: Arc<Stage>,
        outages: Arc<Outages>,
    ) -> Tally {
        let mut tally = Tally::default();
        while Instant::now() < end {
            let turn = self.once(&stage, &outages).await;
            let failed = !turn.ran.status.success();
            tally.note(turn);
            if failed {
                sleep(Duration::from_millis(500)).await;
            }
        }
        tally
    }
}

/// When the network was cut, until commands worked again.
#[derive(Default)]
pub struct Outages(Mutex<Vec<(Instant, Option<Instant>)>>);

impl Outages {
    pub fn begin(&self) -> usize {
        let mut outages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outages.push((Instant::now(), None));
        outages.len() - 1
    }

    pub fn end(&self, outage: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[outage].1 = Some(Instant::now());
    }

    fn touch(&self, from: Instant, to: Instant) -> bool {
        let outages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outages.iter().any(|(begun, ended)| *begun <= to && ended.is_none_or(|ended| from <= ended))
    }
}

/// How all turns ended.
#[derive(Default)]
pub struct Tally {
    turns: BTreeMap<&'static str, (u32, u32)>,
    /// Messages of failures, and how often each came.
    output: BTreeMap<String, u32>,
    /// Failures that were not reported correctly.
    bad: Vec<String>,
}

impl Tally {
    pub fn note(&mut self, turn: Turn) {
        let (all, failed) = self.turns.entry(turn.job).or_default();
        *all += 1;
        if turn.ran.status.success() {
            return;
        }
        *failed += 1;
        let last = turn
            .ran
            .stderr
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("nothing")
            .to_owned();
        let in_docker_words = turn.ran.status.code() != Some(99)
            && REPORTED.iter().any(|words| turn.ran.stderr.contains(words));
        *self
            .output
            .entry(format!("{}: {}", turn.job, last.chars().take(200).collect::<String>()))
            .or_default() += 1;
        if !in_docker_words {
            self.bad.push(format!("{}, not reported in Docker's format: {}", turn.job, turn.ran));
        } else if !turn.in_outage {
            self.bad.push(format!("{}, without a cut: {}", turn.job, turn.ran));
        }
    }

    pub fn add(&mut self, other: Self) {
        for (job, (all, failed)) in other.turns {
            let sum = self.turns.entry(job).or_default();
            *sum = (sum.0 + all, sum.1 + failed);
        }
        for (output, count) in other.output {
            *self.output.entry(output).or_default() += count;
        }
        self.bad.extend(other.bad);
    }

    pub fn nothing_failed(&self) {
        assert!(self.output.is_empty(), "{self}\n{}", self.bad.join("\n"));
    }

    /// Failures that were not reported in Docker's format, or happened outside of a cut.
    pub fn wrongly_reported(&self) -> &[String] {
        &self.bad
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (job, (all, failed)) in &self.turns {
            writeln!(f, "{all:6} turns, {failed:4} failed: {job}")?;
        }
        for (output, count) in &self.output {
            writeln!(f, "{count:6} times {output}")?;
        }
        Ok(())
    }
}
