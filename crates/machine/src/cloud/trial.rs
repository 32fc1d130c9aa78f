//! What one way to a machine teaches about the image that its server was made from: how long each
//! stage took, or that it did not come up.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use super::Cloud;
use crate::choice::{Choice, Kind};
use crate::provider::{Phase, Ready};
use crate::wakes::{Chosen, Stage, Wake};

/// A server that this very way made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) server: u64,
    pub(super) choice: Choice,
    /// Another image could have been taken.
    pub(super) had_another: bool,
    pub(super) server_type: String,
    pub(super) location: String,
    /// Its volume has to be formatted first: this wake cannot be compared with others.
    pub(super) fresh_volume: bool,
}

/// The stages since a server was asked for.
#[derive(Debug, Default)]
pub(super) struct Stopwatch(Mutex<Vec<(Phase, Instant)>>);

impl Stopwatch {
    /// A server is asked for.
    pub(super) fn start(&self) {
        *self.laps() = vec![(Phase::Create, Instant::now())];
    }

    /// A stage begins, or goes on.
    pub(super) fn lap(&self, phase: &Phase) {
        let mut laps = self.laps();
        if laps.last().is_some_and(|(last, _)| last != phase) {
            laps.push((phase.clone(), Instant::now()));
        }
    }

    /// From the request to docker's answer; nothing where it did not come to that.
    fn stages(&self) -> Vec<Stage> {
        let laps = self.laps();
        let end = laps.iter().position(|(phase, _)| *phase == Phase::Resume).unwrap_or(0);
        let millis =
            |from: Instant, to: Instant| u64::try_from((to - from).as_millis()).unwrap_or(u64::MAX);
        (0..end)
            .map(|at| Stage {
                phase: laps[at].0.clone(),
                took_ms: millis(laps[at].1, laps[at + 1].1),
            })
            .collect()
    }

    fn laps(&self) -> MutexGuard<'_, Vec<(Phase, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cloud {
    /// A server is being made.
    pub(super) fn chose(&self, made: &Made) {
        let Made { server, choice: Choice { image, because }, .. } = made;
        tracing::info!(image = image.name, because, "the machine is made from this image");
        self.options.wakes.chose(Chosen { server: *server, because: because.clone() });
    }

    /// A machine answers: one that this way made is a measurement.
    pub(super) fn came_up(&self, made: Option<&Made>, ready: &Ready, stopwatch: &Stopwatch) {
        let stages = stopwatch.stages();
        let Some(made) =
            made.filter(|made| ready.summary.id == Some(made.server) && !stages.is_empty())
        else {
            return;
        };
        let took_ms = stages.iter().map(|stage| stage.took_ms).sum();
        let each: Vec<String> = stages
            .iter()
            .map(|stage| format!("{} {} ms", stage.phase.words(), stage.took_ms))
            .collect();
        tracing::info!(
            image = made.choice.image.name,
            "docker answered {took_ms} ms after the request for a server: {}",
            each.join(", ")
        );
        if made.fresh_volume {
            return;
        }
        self.options.wakes.woke(Wake {
            image: made.choice.image.id,
            server_type: made.server_type.clone(),
            location: made.location.clone(),
            at: Timestamp::now().as_second(),
            took_ms,
            stages,
        });
    }

    /// A server that this way made is no machine. Says whether another image is worth an attempt.
    pub(super) fn did_not_come_up(&self, made: &Made) -> bool {
        let image = &made.choice.image;
        if image.kind == Kind::Plain {
            return false;
        }
        tracing::warn!(image = image.name, "a machine from this image did not come up");
        self.options.wakes.failed(image.id);
        made.had_another
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stages_are_counted_from_the_last_request_to_dockers_answer() {
        let watch = Stopwatch::default();
        watch.lap(&Phase::LookUp);
        watch.start();
        watch.lap(&Phase::Boot);
        watch.start();
        advance(Duration::from_secs(1)).await;
        watch.lap(&Phase::Boot);
        advance(Duration::from_secs(2)).await;
        watch.lap(&Phase::Boot);
        advance(Duration::from_secs(2)).await;
        watch.lap(&Phase::Docker);
        assert_eq!(watch.stages(), [], "it does not answer yet");
        advance(Duration::from_millis(300)).await;
        watch.lap(&Phase::Resume);
        advance(Duration::from_secs(9)).await;
        let stage = |phase, took_ms| Stage { phase, took_ms };
        assert_eq!(
            watch.stages(),
            [stage(Phase::Create, 1_000), stage(Phase::Boot, 4_000), stage(Phase::Docker, 300)]
        );
    }
}
