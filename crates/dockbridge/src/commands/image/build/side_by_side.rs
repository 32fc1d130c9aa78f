//! Runs builds side by side and prints their results.

use futures::future::join_all;
use image::{Built, Event, Order};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::commands::image::progress::{Progress, size};
use crate::commands::image::project::Opened;
use crate::failure::Outcome;
use crate::output::{complain, say};

/// Result of a build, as JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum End<'a> {
    Built {
        id: u64,
        name: String,
        /// An equal snapshot existed already.
        existed: bool,
        #[serde(flatten)]
        written: Option<&'a image::Written>,
    },
    Failed {
        message: &'a str,
        hints: &'a [String],
    },
}

/// Builds all orders side by side. The first failure becomes the command's; the others are
/// printed.
pub async fn run_all(opened: &Opened, orders: Vec<Order>, json: bool) -> Outcome {
    let cancel = crate::shutdown::end_of_process()?;
    let progress = Progress::new(json, orders.len() > 1);
    let outcomes =
        join_all(orders.iter().map(|order| one(opened, order, &progress, &cancel))).await;
    let mut failures = Vec::new();
    for (order, outcome) in orders.iter().zip(outcomes) {
        let architecture = order.architecture.to_string();
        match outcome {
            Ok(built) if json => {
                let end = End::Built {
                    id: built.image.id,
                    name: order.name.to_string(),
                    existed: built.existed,
                    written: built.written.as_ref(),
                };
                progress.line(&architecture, &end);
            }
            Ok(built) => say(&summary(order, &built)),
            Err(failure) => {
                if json {
                    progress.line(
                        &architecture,
                        &End::Failed { message: failure.message(), hints: failure.hints() },
                    );
                }
                failures.push(if orders.len() > 1 {
                    failure.of(&format!("for {architecture}"))
                } else {
                    failure
                });
            }
        }
    }
    let mut failures = failures.into_iter();
    let first = failures.next();
    failures.for_each(|failure| complain(&failure.to_string()));
    first.map_or(Ok(()), Err)
}

async fn one(
    opened: &Opened,
    order: &Order,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Outcome<Built> {
    let architecture = order.architecture.to_string();
    let report = |event: Event| progress.show(&architecture, &event);
    Ok(Box::pin(image::build(&opened.client, order, &report, cancel)).await?)
}

fn summary(order: &Order, built: &Built) -> String {
    let version = built.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let what = format!(
        "Image {} ({}): {}{version} for {}",
        order.name, built.image.id, order.os, order.architecture
    );
    match &built.written {
        None if built.existed => format!("{what}, existed already."),
        None => format!(
            "{what}. With `hetzner.image: auto`, dockbridge creates machines from it where it \
             boots no slower."
        ),
        Some(written) => {
            let (image, source) = (size(written.image_bytes), size(written.source_bytes));
            format!(
                "{what}, {image} from {source}, read back and verified.\nSHA-256 of the image: {}",
                written.image_sha256
            )
        }
    }
}
