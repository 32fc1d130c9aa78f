//! The snapshots of this owner: lists them with their prices, deletes them, selects surplus ones.
//! Never touches snapshots of others.

use std::time::Duration;

use hetzner::{Client, Image, ImageType, Query};
use jiff::Timestamp;
use machine::Owner;
use serde::Serialize;

use crate::error::ImageError;
use crate::labels::{self, ARCH, NAME, OS, SCHEMATIC, VERSION};
use crate::operation::Operation;

/// A snapshot, for a user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The operating system.
    pub os: String,
    /// Its version.
    pub version: Option<String>,
    /// The schematic of a Talos image, shortened to 63 digits.
    pub schematic: Option<String>,
    /// Its architecture, as the API names it.
    pub architecture: String,
    /// Its status, as the API names it.
    pub status: String,
    /// Its creation.
    pub created: Option<Timestamp>,
    /// GB that are stored and billed, once known.
    pub size: Option<f64>,
    /// GB that a server's disk needs at least.
    pub disk: f64,
    /// Net price of a month, in the project's currency.
    pub price_monthly: Option<f64>,
    /// The cloud refuses to delete it.
    pub protected: bool,
}

/// All snapshots of this owner, newest first.
pub async fn list(client: &Client, owner: &Owner) -> Result<Vec<Snapshot>, ImageError> {
    let query = Query {
        image_type: vec![ImageType::Snapshot],
        ..Query::labels(labels::snapshot_selector(owner))
    };
    let failed = ImageError::cloud;
    let (images, pricing) = tokio::try_join!(
        async { client.images().list(&query).await.map_err(failed(Operation::ListImages)) },
        async { client.pricing().await.map_err(failed(Operation::ReadPrices)) },
    )?;
    let per_gb = micros(&pricing.image.price_per_gb_month.net);
    let own = images.into_iter().filter(|image| labels::is_own_snapshot(owner, &image.labels));
    let mut snapshots: Vec<Snapshot> = own.map(|image| snapshot(image, per_gb)).collect();
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.created, snapshot.id)));
    Ok(snapshots)
}

#[expect(clippy::cast_precision_loss, reason = "prices are far below 2^52 millionths")]
fn micros(amount: &hetzner::Amount) -> Option<f64> {
    amount.micros().map(|micros| micros as f64 / 1e6)
}

fn snapshot(image: Image, per_gb: Option<f64>) -> Snapshot {
    let label = |key: &str| image.labels.get(key).cloned();
    Snapshot {
        name: label(NAME).unwrap_or_else(|| image.description.clone()),
        os: label(OS).unwrap_or_default(),
        version: label(VERSION),
        schematic: label(SCHEMATIC),
        architecture: label(ARCH).unwrap_or_else(|| image.architecture.to_string()),
        id: image.id,
        status: image.status.to_string(),
        created: image.created,
        size: image.image_size,
        disk: image.disk_size,
        price_monthly: image.image_size.zip(per_gb).map(|(size, price)| size * price),
        protected: image.protection.delete,
    }
}

/// Deletes a snapshot of this owner. Reads its labels once more: an id is a number, and a deletion
/// cannot be undone.
pub async fn delete(client: &Client, owner: &Owner, id: u64) -> Result<(), ImageError> {
    let image = client.images().get(id).await;
    let image = image.map_err(ImageError::cloud(Operation::ReadImage))?;
    match image {
        Some(image) if labels::is_own_snapshot(owner, &image.labels) => {
            client.images().delete(id).await.map_err(ImageError::cloud(Operation::DeleteImage))
        }
        _ => Err(ImageError::Unknown { id }),
    }
}

/// Selects the snapshots to delete: of each name and architecture all but the newest `keep`, if
/// they are older than `older_than`. Protected and unfinished snapshots stay, and count. Pure.
pub fn surplus(
    snapshots: &[Snapshot],
    keep: usize,
    older_than: Duration,
    now: Timestamp,
) -> Vec<Snapshot> {
    let mut newest_first: Vec<&Snapshot> = snapshots.iter().collect();
    newest_first.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.created, snapshot.id)));
    let mut kept: Vec<(&str, &str, usize)> = Vec::new();
    let mut surplus = Vec::new();
    for snapshot in newest_first {
        let of_its_kind = kept
            .iter()
            .position(|(name, arch, _)| (*name, *arch) == (&snapshot.name, &snapshot.architecture));
        let at = of_its_kind.unwrap_or_else(|| {
            kept.push((&snapshot.name, &snapshot.architecture, 0));
            kept.len() - 1
        });
        let age = snapshot
            .created
            .and_then(|created| Duration::try_from(now.duration_since(created)).ok());
        let is_old = age.is_some_and(|age| age > older_than);
        if kept[at].2 >= keep && is_old && !snapshot.protected && snapshot.status == "available" {
            surplus.push(snapshot.clone());
        } else {
            kept[at].2 += 1;
        }
    }
    surplus
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn aged(id: u64, name: &str, days: i64) -> Snapshot {
        Snapshot {
            id,
            name: name.to_owned(),
            os: "talos".to_owned(),
            version: None,
            schematic: None,
            architecture: "x86".to_owned(),
            status: "available".to_owned(),
            created: Timestamp::from_second(1_000 * DAY - days * DAY).ok(),
            size: Some(1.0),
            disk: 40.0,
            price_monthly: None,
            protected: false,
        }
    }

    fn going(snapshots: &[Snapshot], keep: usize, days: u64) -> Vec<u64> {
        let now = Timestamp::from_second(1_000 * DAY).unwrap();
        surplus(snapshots, keep, Duration::from_secs(days * 24 * 60 * 60), now)
            .iter()
            .map(|snapshot| snapshot.id)
            .collect()
    }

    #[test]
    fn newest_of_each_name_and_young_ones_stay() {
        let all = [
            aged(1, "a", 50),
            aged(2, "a", 40),
            aged(3, "a", 10),
            aged(4, "a", 1),
            aged(5, "b", 90),
        ];
        assert_eq!(going(&all, 1, 30), [2, 1]);
        assert_eq!(going(&all, 3, 30), [1]);
        assert_eq!(going(&all, 0, 30), [2, 1, 5]);
    }

    #[test]
    fn architectures_count_separately_and_protected_snapshots_stay() {
        let arm = Snapshot { architecture: "arm".to_owned(), ..aged(2, "a", 60) };
        let protected = Snapshot { protected: true, ..aged(3, "a", 70) };
        assert_eq!(going(&[aged(1, "a", 50), arm, protected], 1, 30), Vec::<u64>::new());
    }

    proptest! {
        #[test]
        fn enough_snapshots_stay_and_no_young_one_is_selected(
            ages in proptest::collection::vec(0i64..100, 0..20),
            keep in 0usize..5,
            days in 0u64..100,
        ) {
            let snapshot = |(id, age): (usize, &i64)| aged(id as u64, "a", *age);
            let all: Vec<Snapshot> = ages.iter().enumerate().map(snapshot).collect();
            let gone = going(&all, keep, days);
            prop_assert!(all.len() - gone.len() >= keep.min(all.len()));
            for id in gone {
                prop_assert!(ages[usize::try_from(id).unwrap()] > i64::try_from(days).unwrap());
            }
        }
    }
}
