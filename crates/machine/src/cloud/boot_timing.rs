//! Measures how long each stage of a wake takes, and records the result for the image of the
//! server.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::time::Instant;

use super::project::Cloud;
use crate::boot_history::{Chosen, Stage, Wake};
use crate::image_choice::{ImageChoice, ImageKind};
use crate::provider::Ready;
use api::Phase;

/// A server that this wake has created.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) server: u64,
    pub(super) choice: ImageChoice,
    /// Another image could have been used.
    pub(super) had_another: bool,
    pub(super) server_type: String,
    pub(super) location: String,
    /// Its volume has to be formatted first, so this wake cannot be compared with others.
    pub(super) formats_volume: bool,
}

/// The stages since a server was requested.
#[derive(Debug, Default)]
pub(super) struct Stopwatch(Mutex<Vec<(Phase, Instant)>>);

impl Stopwatch {
    /// A server is requested.
    pub(super) fn start(&self) {
        *self.laps() = vec![(Phase::Create, Instant::now())];
    }

    /// A stage begins, or continues.
    pub(super) fn lap(&self, phase: &Phase) {
        let mut laps = self.laps();
        if laps.last().is_some_and(|(last, _)| last != phase) {
            laps.push((phase.clone(), Instant::now()));
        }
    }

    /// The stages from the request to docker's answer; none if docker did not answer.
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
    /// Records why a server is made from its image.
    pub(super) fn chose(&self, made: &Made) {
        let Made { server, choice: ImageChoice { image, because }, .. } = made;
        tracing::info!(image = image.name, because, "the machine is made from this image");
        self.options.boot_history.chose(Chosen { server: *server, because: because.clone() });
    }

    /// Records the measurement of a machine that answers, if this wake has created it.
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
        if made.formats_volume {
            return;
        }
        self.options.boot_history.woke(Wake {
            image: made.choice.image.id,
            server_type: made.server_type.clone(),
            location: made.location.clone(),
            at: Timestamp::now().as_second(),
            took_ms,
            stages,
        });
    }

    /// Records that a server of this wake did not come up. Returns whether another image is worth
    /// an attempt.
    pub(super) fn did_not_come_up(&self, made: &Made) -> bool {
        let image = &made.choice.image;
        if image.kind == ImageKind::Plain {
            return false;
        }
        tracing::warn!(image = image.name, "a machine from this image did not come up");
        self.options.boot_history.failed(image.id);
        made.had_another
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stages_count_from_the_last_request_to_dockers_answer() {
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
        assert_eq!(watch.stages(), [], "docker does not answer yet");
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
