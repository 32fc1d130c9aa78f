//! Mixed load on one machine for as long as requested, while the network to it is cut every
//! minute. Each failure must be reported in Docker's format and happen during a cut, and nothing
//! may be left at the end. The tests run two minutes of it, `scripts/endure MINUTES` runs it
//! longer.

mod figures;
mod load;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use self::figures::Figures;
use self::load::{Job, LOAD, Outages, Tally};
use crate::docker_cli::noise;
use crate::rig::{Daemon, Stage, pass_over, set_link};

/// The first cut comes early, the others each a minute later.
const FIRST_CUT: Duration = Duration::from_secs(15);
const EVERY: Duration = Duration::from_secs(60);
/// Lengths of the cuts, in turn: shorter and longer than the watchdog's timeout.
const CUTS: &[Duration] = &[
    Duration::from_secs(12),
    Duration::from_secs(20),
    Duration::from_secs(2),
    Duration::from_secs(7),
];
/// A command works again this long after a cut: the longest wait between two attempts, and a login
/// on a busy computer.
const BACK_WITHIN: Duration = Duration::from_secs(45);
/// Connections that ended with the load are gone this long after it: a sshd from before the last
/// cut needs its own pings to notice.
const GONE_WITHIN: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn under_mixed_load_and_a_cut_every_minute_every_failure_is_reported_and_nothing_leaks() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let minutes: u64 = std::env::var("DOCKBRIDGE_ENDURE_MINUTES")
        .map_or(2, |minutes| minutes.parse().expect("a number of minutes"));
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    std::fs::write(stage.directory.path().join("blob"), noise(4 << 20)).unwrap();
    let count = "i=0; while :; do echo $((i=i+1)); sleep 0.1; done";
    stage
        .docker(&[
            "run",
            "--detach",
            "--init",
            "--stop-timeout",
            "1",
            "--name",
            "web",
            "tiny",
            "sh",
            "-c",
            count,
        ])
        .await
        .succeeded();
    let stage = Arc::new(stage);
    let outages = Arc::new(Outages::default());
    let jobs: Vec<&'static Job> = LOAD.iter().filter(|job| job.can_run(&stage)).collect();

    // Once without a cut: warms up the pools, and shows that each job works.
    let mut tally = Tally::default();
    for job in &jobs {
        tally.note(job.once(&stage, &outages).await);
    }
    tally.nothing_failed();
    let before = settled(&stage, &daemon, |_| true).await;
    eprintln!("before: {before}");

    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut workers: JoinSet<Tally> =
        jobs.iter().map(|job| job.until(end, stage.clone(), outages.clone())).collect();
    let samples = cuts(&stage, &daemon, &outages, end).await;
    while let Some(worker) = workers.join_next().await {
        tally.add(worker.unwrap());
    }
    eprintln!("{tally}");
    let mut clean = Tally::default();
    clean.note(load::CLEAN.once(&stage, &outages).await);
    clean.nothing_failed();

    let after = settled(&stage, &daemon, |now| now.remains(&before).is_empty()).await;
    eprintln!("after: {after}");
    assert_eq!(
        after.remains(&before),
        Vec::<String>::new(),
        "remains; before {before}; after {after}"
    );
    figures::flat(&samples);
    let wrong = tally.wrongly_reported();
    if !wrong.is_empty() {
        let log = std::env::temp_dir().join("dockbridge-endurance.log");
        std::fs::write(&log, stage.daemon_log()).unwrap();
        panic!(
            "{} failures are wrong; the daemon's log is kept as {}:\n{}",
            wrong.len(),
            log.display(),
            wrong.join("\n")
        );
    }
    assert_eq!(stage.counts().await, (1, 1), "one machine served all of it");
    daemon.stop().await;
    Arc::into_inner(stage).unwrap().close().await;
}

/// Cuts the network again and again, waits until commands work again, and samples the daemon in
/// between.
async fn cuts(stage: &Stage, daemon: &Daemon, outages: &Outages, end: Instant) -> Vec<Figures> {
    let (begun, link) = (Instant::now(), stage.link());
    let mut samples = Vec::new();
    for (turn, length) in (0..).zip(CUTS.iter().cycle()) {
        let at = begun + FIRST_CUT + EVERY * turn;
        // The last cut is followed by time to recover.
        if at + *length + BACK_WITHIN.min(EVERY / 3) > end {
            break;
        }
        tokio::time::sleep_until(at).await;
        samples.push(Figures::of_daemon(stage, daemon).await);
        let outage = outages.begin();
        set_link(&link, "down").await;
        sleep(*length).await;
        set_link(&link, "up").await;
        let mended = Instant::now();
        let works = async {
            while !stage.docker(&["exec", "web", "echo", "there"]).await.status.success() {}
        };
        let back = timeout(BACK_WITHIN, works).await;
        assert!(
            back.is_ok(),
            "no command works {} s after a cut:\n{}",
            BACK_WITHIN.as_secs(),
            stage.daemon_log()
        );
        outages.end(outage);
        let (cut, back) = (length.as_secs(), mended.elapsed().as_secs_f64());
        eprintln!(
            "cut {} of {cut} s, back after {back:.1} s; before it: {}",
            turn + 1,
            samples.last().unwrap()
        );
    }
    tokio::time::sleep_until(end).await;
    samples
}

/// Figures of an idle daemon and machine once they are as expected, or the last ones.
async fn settled(stage: &Stage, daemon: &Daemon, good: impl Fn(&Figures) -> bool) -> Figures {
    let begun = Instant::now();
    let mut last = Figures::of(stage, daemon).await;
    loop {
        sleep(Duration::from_secs(2)).await;
        let now = Figures::of(stage, daemon).await;
        match (last, now) {
            (Ok(last), Ok(now))
                if (now.same_counts(&last) && good(&now)) || begun.elapsed() > GONE_WITHIN =>
            {
                return now;
            }
            (_, Err(said)) if begun.elapsed() > GONE_WITHIN => {
                panic!("no login to look at the machine: {said}")
            }
            (_, now) => last = now,
        }
    }
}
