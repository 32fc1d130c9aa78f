//! How full the volume is, with warnings before the disk is full. Pure.

use agent_proto::DiskUsage;
use api::Condition;

/// From here on the user is warned.
const WARNING_PERCENT: u64 = 85;
/// Pulls and builds leave room for what dockerd needs to go on and to remove unused data: a
/// fiftieth of the volume, and never more than a GiB.
const RESERVE_PARTS: u64 = 50;
const LARGEST_RESERVE: u64 = 1 << 30;
/// The largest volume that is sold, in GB.
const LARGEST: u64 = 10_240;

/// How full a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VolumeUsage {
    disk: DiskUsage,
    /// As sold, in GB.
    size: u64,
}

impl VolumeUsage {
    /// `None` while nothing is known of it.
    pub(crate) fn of(disk: Option<DiskUsage>, size: Option<u64>) -> Option<Self> {
        Some(Self { disk: disk.filter(|disk| disk.total > 0)?, size: size? })
    }

    pub(crate) fn percent(self) -> u64 {
        u64::try_from(u128::from(self.disk.used) * 100 / u128::from(self.disk.total)).unwrap_or(100)
    }

    fn left(self) -> u64 {
        self.disk.total.saturating_sub(self.disk.used)
    }

    /// Pulls, loads and builds are refused.
    pub(crate) fn is_full(self) -> bool {
        self.left() < (self.disk.total / RESERVE_PARTS).min(LARGEST_RESERVE)
    }

    /// As sold, in GB; `None` if no larger one is sold.
    fn larger(self) -> Option<u64> {
        let larger = self.size.saturating_mul(2).min(LARGEST);
        (larger > self.size).then_some(larger)
    }

    /// Why pulls and loads are refused, if they are.
    pub(crate) fn full(self) -> Option<Condition> {
        self.is_full().then(|| self.as_full())
    }

    /// As if it were full, whatever is left.
    pub(crate) fn as_full(self) -> Condition {
        Condition::VolumeFull { left: self.left(), size: self.size, larger: self.larger() }
    }

    /// A warning, if the volume is nearly full.
    pub(crate) fn nearly_full(self) -> Option<Condition> {
        (self.percent() >= WARNING_PERCENT).then(|| Condition::VolumeNearlyFull {
            percent: self.percent(),
            left: self.left(),
            larger: self.larger(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn usage(used_percent: u64, size: u64) -> VolumeUsage {
        VolumeUsage::of(
            Some(DiskUsage { used: size * used_percent * GIB / 100, total: size * GIB }),
            Some(size),
        )
        .unwrap()
    }

    #[test]
    fn user_is_warned_before_the_disk_is_full_with_what_to_do() {
        let of = |used| VolumeUsage::of(Some(DiskUsage { used, total: 1000 }), Some(10)).unwrap();
        assert_eq!(of(849).nearly_full(), None);
        let warned = of(850);
        assert_eq!(
            (warned.percent(), warned.nearly_full().is_some(), warned.full()),
            (85, true, None)
        );
        assert_eq!(
            usage(90, 20).nearly_full(),
            Some(Condition::VolumeNearlyFull { percent: 90, left: 2 * GIB, larger: Some(40) })
        );
        let Condition::VolumeFull { larger, .. } = usage(90, 10_240).as_full() else { panic!() };
        assert_eq!(larger, None, "no larger one is sold");
    }

    #[test]
    fn reserve_is_a_fiftieth_and_a_gibibyte_at_most() {
        assert_eq!((usage(97, 10).is_full(), usage(99, 10).is_full()), (false, true));
        assert_eq!((usage(99, 10_000).is_full(), usage(100, 10_000).is_full()), (false, true));
        assert!(usage(99, 10).full().is_some_and(|full| {
            let said = full.to_string();
            said.starts_with("the volume is full, with 10") && said.contains("MB left of 10 GB")
        }));
    }

    #[test]
    fn without_a_volume_there_is_no_warning() {
        assert_eq!(VolumeUsage::of(None, Some(10)), None);
        assert_eq!(VolumeUsage::of(Some(DiskUsage { used: 0, total: 0 }), Some(10)), None);
    }
}
