//! Random faults: a machine is woken, used and destroyed while the cloud misbehaves and processes
//! are killed. Each run ends without help except a service manager's restarts,
//! with no orphans and no lost data.
//!
//! `DOCKBRIDGE_FAULTS` sets the number of faults, `DOCKBRIDGE_FAULT_SEED` repeats one run.

mod data;
mod draw;
mod strikes;

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::rig::{Stage, pass_over};
use data::Written;
use draw::{Fault, Run};
use strikes::{Service, carry_out};

const FAULTS: u32 = 12;
/// An idle machine goes soon; with one command after the other it never is idle for this long.
const SETTINGS: [(&str, &str); 5] = [
    ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "5s"),
    ("DOCKBRIDGE_ACTIVITY_CONNECTION_TIMEOUT", "5s"),
    ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s"),
    ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "2s"),
    ("DOCKBRIDGE_KEEPALIVE_TIMEOUT", "60s"),
];
/// Writes while faults strike.
const WRITES: u32 = 3;
/// All faults drawn for the end of a run have struck by then.
const BAD_END: Duration = Duration::from_secs(15);
/// After the last fault everything is in order again within this time: the longest pauses of all
/// waiting parts, one after the other.
const IN_ORDER_WITHIN: Duration = Duration::from_secs(240);

#[tokio::test]
async fn under_random_faults_no_orphan_is_left_and_no_data_is_lost() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let wanted =
        number("DOCKBRIDGE_FAULTS").map_or(FAULTS, |faults| u32::try_from(faults).unwrap());
    let replayed = number("DOCKBRIDGE_FAULT_SEED");
    let mut house = House { stage, written: Written::default(), has_image: false };
    let (mut met, mut runs, begun) = (0, 0, Instant::now());
    while met < wanted {
        let run = Run::drawn(replayed.unwrap_or_else(rand::random));
        runs += 1;
        eprintln!("run {runs}, DOCKBRIDGE_FAULT_SEED={}: {run}", run.seed);
        let _report = ReportOnFailure(run.seed);
        met += house.play(&run).await;
        eprintln!(
            "  {met} faults in {runs} runs, {} writes kept, after {:.0} s",
            house.written.count(),
            begun.elapsed().as_secs_f64()
        );
        if replayed.is_some() {
            break;
        }
    }
    // Its last machine may have ended badly; the next one has all data.
    let service = Service::start(&house.stage, &SETTINGS).await;
    house
        .stage
        .eventually("all is read on another machine", IN_ORDER_WITHIN, async || {
            house.written.is_read(&house.stage).await
        })
        .await;
    service.stop().await;
    house.stage.close().await;
}

struct ReportOnFailure(u64);

impl Drop for ReportOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it failed: DOCKBRIDGE_FAULT_SEED={} plays this run again", self.0);
        }
    }
}

struct House {
    stage: Stage,
    written: Written,
    has_image: bool,
}

impl House {
    /// How many faults have struck.
    async fn play(&mut self, run: &Run) -> u32 {
        if run.is_cold {
            self.clear().await;
        } else if !self.has_image {
            self.furnish().await;
        }
        let address = self.stage.cloud.endpoint();
        let watched = never_two(&address);
        tokio::select! {
            met = self.day(run) => met,
            never = watched => never,
        }
    }

    async fn day(&mut self, run: &Run) -> u32 {
        let (stage, written) = (&self.stage, &mut self.written);
        let service = Service::start(stage, &SETTINGS).await;
        let mut met = 0;

        let first = if self.has_image { vec!["run", "--rm", "tiny", "true"] } else { vec!["info"] };
        let (ran, hit) = tokio::join!(stage.docker(&first), carry_out(&run.wake, &service));
        eprintln!("  woken: {} in {:.1} s", ran.status.success(), ran.took.as_secs_f64());
        met += hit + ordered_and_met(stage, &run.wake).await;
        stage.control().delete("faults").await;
        if !self.has_image {
            stage
                .eventually("an image is built", IN_ORDER_WITHIN, async || build(stage).await)
                .await;
            self.has_image = true;
        }

        let working = async {
            let mut done = 0;
            for _ in 0..WRITES {
                done += u32::from(written.write(stage, run.seed).await);
            }
            done
        };
        let (done, hit) = tokio::join!(working, carry_out(&run.work, &service));
        met += hit + ordered_and_met(stage, &run.work).await;
        stage.control().delete("faults").await;
        eprintln!("  written: {done} of {WRITES}");
        let begun = Instant::now();
        stage
            .eventually("a container reads what was written", IN_ORDER_WITHIN, async || {
                written.is_read(stage).await
            })
            .await;
        eprintln!("  read {:.1} s later", begun.elapsed().as_secs_f64());

        let ending = async {
            if run.by_command {
                // It may fail: then the daemon keeps retrying the destroy, or the machine becomes
                // idle.
                let ran = stage.dockbridge(&["server", "destroy"]).await;
                eprintln!(
                    "  destroyed: {} in {:.1} s",
                    ran.status.success(),
                    ran.took.as_secs_f64()
                );
            }
            let begun = Instant::now();
            while begun.elapsed() < BAD_END && stage.look().await["servers"] != 0 {
                sleep(Duration::from_millis(100)).await;
            }
        };
        let ((), hit) = tokio::join!(ending, carry_out(&run.end, &service));
        met += hit + ordered_and_met(stage, &run.end).await;
        stage.control().delete("faults").await;
        let begun = Instant::now();
        stage
            .eventually("all is in order", IN_ORDER_WITHIN, async || {
                is_in_order(&stage.look().await)
            })
            .await;
        eprintln!("  in order {:.1} s later", begun.elapsed().as_secs_f64());
        service.stop().await;
        written.is_on(&stage.volume_image(volume(stage).await)).await;
        met
    }

    /// Creates an image and a first file, without faults.
    async fn furnish(&mut self) {
        let service = Service::start(&self.stage, &SETTINGS).await;
        assert!(build(&self.stage).await, "{}", self.stage.daemon_log());
        assert!(self.written.write(&self.stage, 0).await, "{}", self.stage.daemon_log());
        self.has_image = true;
        self.stage.dockbridge(&["server", "destroy"]).await.succeeded();
        service.stop().await;
    }

    /// Deletes the volume, and sweeps, like a user.
    async fn clear(&mut self) {
        let stage = &self.stage;
        for volume in stage.api.volumes().list(&hetzner::Query::default()).await.unwrap() {
            stage.dockbridge(&["volume", "delete", &volume.name, "--yes"]).await.succeeded();
        }
        stage.dockbridge(&["sweep", "--yes"]).await.succeeded();
        let left = stage.look().await;
        for kind in ["servers", "volumes", "ssh_keys", "firewalls", "primary_ips", "locks"] {
            assert_eq!(left[kind], 0, "{kind} are left after a sweep: {left}");
        }
        (self.written, self.has_image) = (Written::default(), false);
    }
}

/// An image that survives a power cut.
async fn build(stage: &Stage) -> bool {
    let context = stage.directory.path().join("context");
    std::fs::create_dir_all(&context).unwrap();
    std::fs::copy("/bin/busybox", context.join("busybox")).unwrap();
    let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \
     \"--install\", \"/bin\"]\nCMD [\"sh\"]\n";
    std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    let built = stage.docker(&["build", "--quiet", "-t", "tiny", context.to_str().unwrap()]).await;
    built.status.success()
        && stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "sync"]).await.status.success()
}

/// Servers and their resources are gone; resources for the next machine exist at most once, and
/// are free.
fn is_in_order(held: &Value) -> bool {
    let count = |kind: &str| held[kind].as_u64().unwrap();
    ["servers", "primary_ips", "attached", "locks"].into_iter().all(|kind| count(kind) == 0)
        && count("volumes") == 1
        && ["ssh_keys", "firewalls"].into_iter().all(|kind| count(kind) <= 1)
}

async fn volume(stage: &Stage) -> u64 {
    let found = stage.api.volumes().list(&hetzner::Query::default()).await.unwrap();
    found.first().expect("a volume").id
}

/// Orders of which at least one request got its fault.
async fn ordered_and_met(stage: &Stage, faults: &[Fault]) -> u32 {
    let left = stage.look().await["faults"].as_array().cloned().unwrap_or_default();
    let is_unmet = |order: &&Value| {
        left.iter().any(|left| {
            left["kind"] == order["kind"]
                && left["times"].as_u64() >= Some(order["times"].as_u64().unwrap_or(1))
        })
    };
    let orders = faults
        .iter()
        .filter_map(|fault| if let Fault::Order(order) = fault { Some(order) } else { None });
    u32::try_from(orders.filter(|order| !is_unmet(order)).count()).unwrap()
}

/// Polls the cloud: there are never two servers of one identity.
async fn never_two(endpoint: &str) -> ! {
    loop {
        let held = crate::rig::Control::of(endpoint).get("state").await;
        assert!(held["servers"].as_u64() <= Some(1), "two servers at once: {held}");
        sleep(Duration::from_millis(100)).await;
    }
}
