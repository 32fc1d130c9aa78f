//! Progress events of a build.

use std::time::Duration;

use serde::Serialize;

/// Receives the events of a build.
pub type Report<'a> = dyn Fn(Event) + Send + Sync + 'a;

/// The stages of a build, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Looking for an equal snapshot, or a build that was cut off.
    LookUp,
    /// Hashing a local file.
    Hash,
    /// Creating the server.
    Create,
    /// Booting its rescue system and logging in.
    Rescue,
    /// Emptying the disk.
    Discard,
    /// Receiving and writing the image.
    Write,
    /// Converting a qcow2 image.
    Convert,
    /// Booting the server and logging in.
    Boot,
    /// Installing what all machines share.
    Prepare,
    /// Removing what identifies the server, such as keys and logs.
    Strip,
    /// Syncing the disk.
    Sync,
    /// Reading the disk back.
    Verify,
    /// Making the snapshot.
    Snapshot,
    /// Deleting server, firewall and key.
    CleanUp,
}

impl Phase {
    /// Human-readable.
    pub fn words(self) -> &'static str {
        match self {
            Phase::LookUp => "looking up what there is",
            Phase::Hash => "reading the file",
            Phase::Create => "creating the server",
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

/// An event of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage begins.
    Phase {
        /// The stage.
        phase: Phase,
        /// Details, human-readable.
        detail: Option<String>,
    },
    /// The progress of a stage.
    Progress {
        /// The stage.
        phase: Phase,
        /// Processed bytes: of the source while writing, of the image afterwards.
        bytes: u64,
        /// Total bytes, if known.
        total: Option<u64>,
        /// Bytes a second, since the start of the stage.
        bytes_per_second: u64,
        /// Seconds until the end of the stage, if they can be estimated.
        seconds_left: Option<u64>,
    },
    /// A remark for the user.
    Note {
        /// Human-readable.
        message: String,
    },
}

/// Computes speed and remaining time. Pure: the elapsed time comes in.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    phase: Phase,
}

impl Meter {
    /// A meter for one stage.
    pub fn new(phase: Phase) -> Self {
        Self { phase }
    }

    /// The progress after `bytes` in this time.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "speeds and times are approximate"
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
    fn speed_and_remaining_time_follow_from_the_processed_bytes() {
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
        assert_eq!(seconds_left, None, "without progress there is no estimate");
    }
}
