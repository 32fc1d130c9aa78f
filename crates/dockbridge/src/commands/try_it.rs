//! `dockbridge try`: the whole story on a local cloud, each step checked. What it makes is in one
//! temporary folder and goes in any case.

mod stage;
mod story;

use std::time::Duration;

use local_cloud::{Cloud, ContainerEngine, Machines, Options};
use tokio::time::Instant;

use self::stage::Stage;
use crate::failure::{Failure, Outcome};
use crate::output::{complain, say};
use crate::signals::end_of_process;

/// Arguments of `try`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long the machine may idle in this story
    #[arg(long, default_value = "6s", value_parser = crate::settings::duration::parse)]
    idle_timeout: Duration,
}

/// Runs it.
pub async fn run(arguments: Args) -> Outcome {
    let begun = Instant::now();
    stage::check_host()?;
    super::local_cloud::prepare_base(ContainerEngine::default()).await?;
    let prepared = begun.elapsed();
    let begun = Instant::now();

    let folder = stage::temporary_folder()?;
    let ending = end_of_process()?;
    let cloud = Cloud::start(Options {
        machines: Machines::Nspawn,
        ..Options::new(folder.path().join("cloud"))
    })
    .await
    .map_err(super::local_cloud::started)?;
    let stage = Stage::new(folder.path(), &cloud, arguments.idle_timeout);

    let told = match stage {
        Ok(stage) => {
            let told = tokio::select! {
                told = story::tell(&stage) => told,
                () = ending.cancelled() => Err(Failure::new("interrupted")),
            };
            stage.end_daemon().await;
            if told.is_err() {
                complain("The daemon's last words:");
                stage.daemon_log(20).iter().for_each(|line| complain(&format!("  {line}")));
            }
            told
        }
        Err(failure) => Err(failure),
    };
    cloud.close().await;
    let left = local_cloud::clean().await.map_err(|failure| Failure::new(failure.to_string()));
    folder.close()?;
    told?;
    let left = left?;
    if !left.is_empty() {
        return Err(Failure::new(format!("the local cloud left something on this host: {left}")));
    }
    say("Nothing is left on this host.");
    say(&format!("The whole story took {:.0} s.", begun.elapsed().as_secs_f64()));
    if prepared > Duration::from_secs(5) {
        say(&format!(
            "(Making the base system took {:.0} s before that; it is \
            kept.)",
            prepared.as_secs_f64()
        ));
    }
    Ok(())
}
