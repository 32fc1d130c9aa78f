//! The kinds of values in the settings that are neither durations, addresses nor words of an enum,
//! with a message for each invalid one.

use std::net::IpAddr;
use std::num::NonZeroU16;

use daemon::ports::{Rule, RuleError};
use machine::ImageSetting;

use super::kind::{Given, Invalid, Kind};

/// A list as YAML.
fn list(items: &[String]) -> String {
    format!("[{}]", items.join(", "))
}

/// One name or several.
pub struct Names;

impl Kind for Names {
    type Value = Vec<String>;

    fn values() -> String {
        "name or list of names".to_owned()
    }

    fn read(given: Given) -> Result<Vec<String>, Invalid> {
        match given.items() {
            names if names.is_empty() => Err(Invalid::new("at least one name is needed")),
            names => Ok(names),
        }
    }

    fn show(names: &Vec<String>) -> Option<String> {
        (!names.is_empty()).then(|| list(names))
    }
}

/// Host names, or `none`.
pub struct Hosts;

impl Kind for Hosts {
    type Value = Vec<String>;

    fn values() -> String {
        "name or list of names, or `none`".to_owned()
    }

    fn read(given: Given) -> Result<Vec<String>, Invalid> {
        let hosts = Names::read(given)?;
        Ok(hosts.into_iter().filter(|host| host != "none").collect())
    }

    fn show(hosts: &Vec<String>) -> Option<String> {
        Some(if hosts.is_empty() { "none".to_owned() } else { list(hosts) })
    }
}

/// The image of machines.
pub struct MachineImage;

impl Kind for MachineImage {
    type Value = ImageSetting;

    fn values() -> String {
        "name or id of an image, or `auto`".to_owned()
    }

    fn read(given: Given) -> Result<ImageSetting, Invalid> {
        match given.single()?.trim() {
            "" => Err(Invalid::new("a name is needed")),
            text => Ok(text.into()),
        }
    }

    fn show(image: &ImageSetting) -> Option<String> {
        Some(image.to_string())
    }
}

/// `true` or `false`.
pub struct Switch;

impl Kind for Switch {
    type Value = bool;

    fn values() -> String {
        "`true`, `false`".to_owned()
    }

    fn read(given: Given) -> Result<bool, Invalid> {
        let text = given.single()?;
        text.to_ascii_lowercase()
            .parse()
            .map_err(|_| Invalid::new(format!("{text:?} is neither `true` nor `false`")))
    }

    fn show(on: &bool) -> Option<String> {
        Some(on.to_string())
    }
}

/// Text that is not empty.
pub struct Text;

impl Kind for Text {
    type Value = String;

    fn values() -> String {
        "text".to_owned()
    }

    fn read(given: Given) -> Result<String, Invalid> {
        match given.single()? {
            text if text.trim().is_empty() => {
                Err(Invalid::new("it is empty: remove the setting, or write a value"))
            }
            text => Ok(text),
        }
    }

    fn show(text: &String) -> Option<String> {
        Some(format!("{text:?}"))
    }
}

/// The size of a volume in GB, within the cloud's limits.
pub struct Gigabytes;

impl Kind for Gigabytes {
    type Value = u64;

    fn values() -> String {
        "`10` to `10240`".to_owned()
    }

    fn read(given: Given) -> Result<u64, Invalid> {
        let text = given.single()?;
        let wrong = |_| Invalid::new(format!("{text:?} is not a size: write it in GB, such as 20"));
        match text.parse::<u64>().map_err(wrong)? {
            size @ 10..=10_240 => Ok(size),
            size => Err(Invalid::new(format!("no volume has {size} GB: choose 10 to 10240"))),
        }
    }

    fn show(size: &u64) -> Option<String> {
        Some(size.to_string())
    }
}

/// A port to listen on.
pub struct Port;

impl Kind for Port {
    type Value = NonZeroU16;

    fn values() -> String {
        "`1` to `65535`".to_owned()
    }

    fn read(given: Given) -> Result<NonZeroU16, Invalid> {
        let number = given.single()?;
        number
            .parse()
            .map_err(|_| Invalid::new(format!("{number:?} is not a port: choose 1 to 65535")))
    }

    fn show(port: &NonZeroU16) -> Option<String> {
        Some(port.to_string())
    }
}

/// An address to listen on.
pub struct ListenAddress;

impl Kind for ListenAddress {
    type Value = IpAddr;

    fn values() -> String {
        "IP address".to_owned()
    }

    fn read(given: Given) -> Result<IpAddr, Invalid> {
        let text = given.single()?;
        text.parse().map_err(|_| {
            Invalid::new(format!("{text:?} is not an IP address: write it as 127.0.0.1 or ::1"))
        })
    }

    fn show(address: &IpAddr) -> Option<String> {
        Some(address.to_string())
    }
}

/// Rules that select ports; none is a valid list.
pub struct PortRules;

impl Kind for PortRules {
    type Value = Vec<Rule>;

    fn values() -> String {
        "rule or list of rules".to_owned()
    }

    fn read(given: Given) -> Result<Vec<Rule>, Invalid> {
        let items = given.items();
        let rules = items.iter().flat_map(|item| item.split(',')).map(str::trim);
        rules
            .filter(|rule| !rule.is_empty())
            .map(|rule| rule.parse().map_err(|error: RuleError| Invalid::new(error.to_string())))
            .collect()
    }

    fn show(rules: &Vec<Rule>) -> Option<String> {
        Some(list(&rules.iter().map(|rule| format!("{:?}", rule.to_string())).collect::<Vec<_>>()))
    }
}

/// A valid name of a snapshot.
pub struct ImageName;

impl Kind for ImageName {
    type Value = image::Name;

    fn values() -> String {
        "name".to_owned()
    }

    fn read(given: Given) -> Result<image::Name, Invalid> {
        image::Name::parse(&given.single()?).map_err(|error| Invalid::new(error.to_string()))
    }

    fn show(name: &image::Name) -> Option<String> {
        Some(name.to_string())
    }
}

/// A version of Talos.
pub struct TalosVersion;

impl Kind for TalosVersion {
    type Value = image::Version;

    fn values() -> String {
        "version".to_owned()
    }

    fn read(given: Given) -> Result<image::Version, Invalid> {
        image::Version::parse(&given.single()?).map_err(|error| Invalid::new(error.to_string()))
    }

    fn show(version: &image::Version) -> Option<String> {
        Some(version.as_str().to_owned())
    }
}

/// A month's budget in millionths of the project's currency, or `none`.
pub struct Money;

impl Kind for Money {
    type Value = Option<u64>;

    fn values() -> String {
        "amount, or `none`".to_owned()
    }

    fn read(given: Given) -> Result<Option<u64>, Invalid> {
        let text = given.single()?;
        if text.trim() == "none" {
            return Ok(None);
        }
        let amount: f64 = text.trim().parse().map_err(|_| {
            Invalid::new(format!("{text:?} is not an amount: write it as 20 or 12.50"))
        })?;
        if !(0.01..=1e6).contains(&amount) {
            return Err(Invalid::new(format!(
                "{amount} is not a budget: choose 0.01 to 1000000, or none"
            )));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds above"
        )]
        Ok(Some((amount * 1e6).round() as u64))
    }

    fn show(limit: &Option<u64>) -> Option<String> {
        Some(limit.map_or_else(
            || "none".to_owned(),
            |micros| format!("{}.{:02}", micros / 1_000_000, micros % 1_000_000 / 10_000),
        ))
    }
}
