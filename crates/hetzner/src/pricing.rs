//! Prices, as the decimal strings that the API sends, and as whole millionths for sums.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of money, as the API sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub String);

impl Amount {
    /// Millionths of the currency unit, rounded to the nearest: exact for all that Hetzner sells by
    /// the hour today (4 decimals net, 6 with 19 % VAT). `None` if it is no decimal number or too
    /// large.
    pub fn micros(&self) -> Option<u64> {
        const DECIMALS: usize = 6;
        let (whole, fraction) = self.0.split_once('.').unwrap_or((&self.0, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return None;
        }
        let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(DECIMALS).collect();
        let up = u64::from(fraction.as_bytes().get(DECIMALS).is_some_and(|digit| *digit >= b'5'));
        let micros: u64 = kept.parse().ok()?;
        whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)?.checked_add(up)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A price without and with VAT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Without VAT.
    pub net: Amount,
    /// With VAT.
    pub gross: Amount,
}

/// What a server type costs at a location. A row here does not mean that the type is sold there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LocationPrice {
    /// Name of the location.
    pub location: String,
    /// For each started hour.
    pub price_hourly: Price,
    /// The most for a calendar month.
    pub price_monthly: Price,
    /// Outgoing bytes a month that are free.
    #[serde(default)]
    pub included_traffic: u64,
    /// For traffic beyond that.
    pub price_per_tb_traffic: Option<Price>,
}

/// The price list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pricing {
    /// ISO 4217 code.
    pub currency: String,
    /// Percent.
    pub vat_rate: Amount,
    /// Addresses.
    #[serde(default)]
    pub primary_ips: Vec<IpPricing>,
    /// Snapshots and backups.
    pub image: PerGigabyte,
    /// Volumes.
    pub volume: PerGigabyte,
    /// Backups.
    pub server_backup: BackupPricing,
    /// Servers.
    #[serde(default)]
    pub server_types: Vec<ServerTypePricing>,
}

/// The price of a kind of address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IpPricing {
    /// `ipv4` or `ipv6`.
    #[serde(rename = "type")]
    pub kind: String,
    /// By location.
    #[serde(default)]
    pub prices: Vec<IpPrice>,
}

/// What an address costs at a location.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IpPrice {
    /// Name of the location.
    pub location: String,
    /// For each started hour.
    pub price_hourly: Price,
    /// The most for a calendar month.
    pub price_monthly: Price,
}

/// A price by size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PerGigabyte {
    /// For a GB and a month.
    pub price_per_gb_month: Price,
}

/// The price of backups.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BackupPricing {
    /// Percent of the server's price.
    pub percentage: Amount,
}

/// The prices of a server type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServerTypePricing {
    /// Id of the server type.
    pub id: u64,
    /// Name of the server type.
    pub name: String,
    /// By location.
    #[serde(default)]
    pub prices: Vec<LocationPrice>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn micros(text: &str) -> Option<u64> {
        Amount(text.into()).micros()
    }

    #[test]
    fn amounts_become_whole_millionths() {
        assert_eq!(micros("0.0088000000"), Some(8_800));
        assert_eq!(micros("5.4900000000000000"), Some(5_490_000));
        assert_eq!(micros("853"), Some(853_000_000));
        assert_eq!(micros("0.0000005"), Some(1));
        assert_eq!(micros("0.9999995"), Some(1_000_000));
        assert_eq!(micros("0.00000049999"), Some(0));
    }

    #[test]
    fn text_that_is_no_amount_is_none() {
        for text in ["", ".5", "-1", "1,5", "1e3", "free", "1.2.3", "99999999999999999999"] {
            assert_eq!(micros(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn six_decimals_are_exact(
            whole in 0u64..1_000_000_000, fraction in 0u64..1_000_000, zeros in 0usize..12,
        ) {
            let text = format!("{whole}.{fraction:06}{}", "0".repeat(zeros));
            prop_assert_eq!(micros(&text), Some(whole * 1_000_000 + fraction));
        }
    }
}
