//! What a build tells while it goes on.

use std::time::Duration;

use serde::Serialize;

/// Takes what a build tells.
pub type Report<'a> = dyn Fn(Event) + Send + Sync + 'a;

/// The stages of a build, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Is there such a snapshot already, or a build that was cut off?
    LookUp,
    /// A local file is hashed.
    Hash,
    /// The server is made.
    Create,
    /// Its rescue system boots and lets us in.
    Rescue,
    /// The disk is emptied.
    Discard,
    /// The image comes in and is written.
    Write,
    /// A qcow2 image is taken apart.
    Convert,
    /// The server boots and lets us in.
    Boot,
    /// It gets what all our machines have.
    Prepare,
    /// What is its own goes, keys and logs above all.
    Strip,
    /// What is in memory goes to the disk.
    Sync,
    /// The disk is read back.
    Verify,
    /// The snapshot is made.
    Snapshot,
    /// Server, firewall and key go.
    CleanUp,
}

impl Phase {
    /// In words for a person.
    pub fn words(self) -> &'static str {
        match self {
            Phase::LookUp => "looking up what there is",
            Phase::Hash => "reading the file",
            Phase::Create => "making the server",
            Phase::Rescue => "booting the rescue system",
            Phase::Discard => "emptying the disk",
            Phase::Write => "writing the image",
            Phase::Convert => "unpacking the qcow2 image",
            Phase::Boot => "booting the server",
            Phase::Prepare => "preparing the system",
            Phase::Strip => "removing what is this server's own",
            Phase::Sync => "syncing the disk",
            Phase::Verify => "reading the disk back",
            Phase::Snapshot => "making the snapshot",
            Phase::CleanUp => "removing server, firewall and key",
        }
    }
}

/// Something that a build tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage begins.
    Phase {
        /// Which.
        phase: Phase,
        /// More of it, in words for a person.
        detail: Option<String>,
    },
    /// How far the stage is.
    Progress {
        /// Which.
        phase: Phase,
        /// Bytes that are done: of the source as it comes while writing, of the image afterwards.
        bytes: u64,
        /// Of so many, where that is known.
        total: Option<u64>,
        /// Bytes a second, since the stage began.
        bytes_per_second: u64,
        /// Until the end of the stage, where that can be told.
        seconds_left: Option<u64>,
    },
    /// Something that a person may want to know.
    Note {
        /// In words.
        message: String,
    },
}

/// Turns bytes and time into speed and what is left. Pure: the time comes in.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    phase: Phase,
}

impl Meter {
    /// For one stage.
    pub fn new(phase: Phase) -> Self {
        Self { phase }
    }

    /// What to tell of `bytes` that took so long.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "speeds and times for people"
    )]
    pub fn progress(&self, bytes: u64, total: Option<u64>, took: Duration) -> Event {
        let speed = bytes as f64 / took.as_secs_f64().max(0.001);
        let left = total
            .filter(|_| speed >= 1.0)
            .map(|total| (total.saturating_sub(bytes) as f64 / speed).ceil() as u64);
        Event::Progress {
            phase: self.phase,
            bytes,
            total,
            bytes_per_second: speed as u64,
            seconds_left: left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_and_time_left_follow_from_what_is_done() {
        let meter = Meter::new(Phase::Write);
        let Event::Progress { bytes_per_second, seconds_left, .. } =
            meter.progress(30, Some(100), Duration::from_secs(3))
        else {
            panic!()
        };
        assert_eq!((bytes_per_second, seconds_left), (10, Some(7)));
        let Event::Progress { seconds_left, .. } =
            meter.progress(0, Some(100), Duration::from_secs(3))
        else {
            panic!()
        };
        assert_eq!(seconds_left, None, "from nothing no time can be told");
    }
}
