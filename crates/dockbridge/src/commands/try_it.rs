//! `dockbridge try`: the whole story on a local cloud, each step checked. All its files are in one
//! temporary directory, which is removed in any case.

mod stage;
mod story;

use std::time::Duration;

use api::Code;
use local_cloud::{Cloud, ContainerEngine, Machines, Options};
use tokio::time::Instant;

use self::stage::Stage;
use crate::failure::{Failure, Outcome};
use crate::output::{complain, say};
use crate::shutdown::end_of_process;

/// Arguments of `try`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long the machine may idle in this story
    #[arg(long, default_value = "6s", value_parser = crate::settings::duration::parse)]
    idle_timeout: Duration,
}

pub async fn run(arguments: Args) -> Outcome {
    let begun = Instant::now();
    stage::check_host()?;
    super::local_cloud::prepare_base(ContainerEngine::default()).await?;
    let prepared = begun.elapsed();
    let begun = Instant::now();

    let directory = stage::temporary_directory()?;
    let ending = end_of_process()?;
    let cloud = Cloud::start(Options {
        machines: Machines::Nspawn,
        ..Options::new(directory.path().join("cloud"))
    })
    .await
    .map_err(super::local_cloud::started)?;
    let stage = Stage::new(directory.path(), &cloud, arguments.idle_timeout);

    let outcome = match stage {
        Ok(stage) => {
            let outcome = tokio::select! {
                outcome = story::run(&stage) => outcome,
                () = ending.cancelled() => Err(Failure::of_code(Code::Interrupted, "interrupted")),
            };
            stage.end_daemon().await;
            if outcome.is_err() {
                complain("Last lines of the daemon's log:");
                stage.daemon_log(20).iter().for_each(|line| complain(&format!("  {line}")));
            }
            outcome
        }
        Err(failure) => Err(failure),
    };
    cloud.close().await;
    let left = local_cloud::clean()
        .await
        .map_err(|failure| Failure::of_code(Code::LocalCloudFailed, failure.to_string()));
    directory.close()?;
    outcome?;
    let left = left?;
    if !left.is_empty() {
        return Err(Failure::of_code(
            Code::LocalCloudFailed,
            format!("the local cloud did not release everything on this host: {left}"),
        ));
    }
    say("Nothing is left on this host.");
    say(&format!("The whole story took {:.0} s.", begun.elapsed().as_secs_f64()));
    if prepared > Duration::from_secs(5) {
        say(&format!(
            "(Building the base system took {:.0} s before that; it is cached.)",
            prepared.as_secs_f64()
        ));
    }
    Ok(())
}
