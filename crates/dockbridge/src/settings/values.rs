//! How each value in the settings is written, with a message for each invalid one.

use std::fmt;
use std::num::NonZeroU16;

use daemon::ports::{OnConflict, Rule};
use machine::ImageSetting;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::types::{BindMounts, Containers, LockAction, Provider, SelfDestruct};

/// Several names, or one; commas separate them in a variable.
pub(super) struct List(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<List, E> {
                Ok(List(
                    text.split(',')
                        .map(|name| name.trim().to_owned())
                        .filter(|name| !name.is_empty())
                        .collect(),
                ))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<List, A::Error> {
                let mut list = Vec::new();
                while let Some(name) = names.next_element()? {
                    list.push(name);
                }
                Ok(List(list))
            }
        }
        let List(names) = deserializer.deserialize_any(Names)?;
        if names.is_empty() {
            Err(D::Error::custom("at least one name is needed"))
        } else {
            Ok(List(names))
        }
    }
}

/// The image of machines. An id is a number in YAML and text in a variable.
pub(super) struct MachineImage(pub(super) ImageSetting);

impl<'de> Deserialize<'de> for MachineImage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Image;
        impl Visitor<'_> for Image {
            type Value = MachineImage;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an image, the id of one, or `auto`")
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<MachineImage, E> {
                Ok(MachineImage(ImageSetting::Id(id)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<MachineImage, E> {
                if text.trim().is_empty() {
                    Err(E::custom("a name is needed"))
                } else {
                    Ok(MachineImage(text.trim().into()))
                }
            }
        }
        deserializer.deserialize_any(Image)
    }
}

/// `true` or `false`.
pub(super) struct Switch(pub(super) bool);

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err(D::Error::custom(format!("{text:?} is neither `true` nor `false`"))),
        }
    }
}

/// Text that is not empty.
pub(super) struct Words(pub(super) String);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)? {
            text if text.trim().is_empty() => {
                Err(D::Error::custom("it is empty: remove the setting, or write a value"))
            }
            text => Ok(Self(text)),
        }
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "hetzner" => Ok(Provider::Hetzner),
            "ssh" => Ok(Provider::Ssh),
            other => Err(D::Error::custom(format!("{other:?} is neither `hetzner` nor `ssh`"))),
        }
    }
}

/// The size of a volume, within the cloud's limits.
pub(super) struct Gigabytes(pub(super) u64);

impl<'de> Deserialize<'de> for Gigabytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong =
            || D::Error::custom(format!("{text:?} is not a size: write it in GB, such as 20"));
        match text.parse::<u64>().map_err(|_| wrong())? {
            size @ 10..=10_240 => Ok(Self(size)),
            size => Err(D::Error::custom(format!("no volume has {size} GB: choose 10 to 10240"))),
        }
    }
}

/// A port to listen on.
pub(super) struct Port(pub(super) NonZeroU16);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = String::deserialize(deserializer)?;
        let port = number.parse::<u16>().ok().and_then(NonZeroU16::new);
        port.map(Port)
            .ok_or_else(|| D::Error::custom(format!("{number:?} is not a port: choose 1 to 65535")))
    }
}

impl<'de> Deserialize<'de> for BindMounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "refuse" => Ok(BindMounts::Refuse),
            "remote" => Ok(BindMounts::Remote),
            other => Err(D::Error::custom(format!("{other:?} is neither `refuse` nor `remote`"))),
        }
    }
}

/// What to do when a port is in use.
pub(super) struct Conflict(pub(super) OnConflict);

impl<'de> Deserialize<'de> for Conflict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            // `fail` is the name in older versions.
            "error" | "fail" => Ok(Self(OnConflict::Error)),
            "increment" => Ok(Self(OnConflict::Increment)),
            other => Err(D::Error::custom(format!("{other:?} is neither `error` nor `increment`"))),
        }
    }
}

/// Rules that select ports.
pub(super) struct PortRules(pub(super) Vec<Rule>);

impl<'de> Deserialize<'de> for PortRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// A single port is a number in YAML.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum One {
            Port(u32),
            Text(String),
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Several(Vec<One>),
            Single(One),
        }
        let given = match Given::deserialize(deserializer)? {
            Given::Several(several) => several,
            Given::Single(one) => vec![one],
        };
        let texts = given.into_iter().flat_map(|one| match one {
            One::Port(port) => vec![port.to_string()],
            One::Text(text) => text
                .split(',')
                .map(|rule| rule.trim().to_owned())
                .filter(|rule| !rule.is_empty())
                .collect(),
        });
        texts.map(|text| text.parse().map_err(D::Error::custom)).collect::<Result<_, _>>().map(Self)
    }
}

/// A valid name of a snapshot.
pub(super) struct ImageName(pub(super) image::Name);

impl<'de> Deserialize<'de> for ImageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        image::Name::parse(&String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// A version of Talos.
pub(super) struct TalosVersion(pub(super) image::Version);

impl<'de> Deserialize<'de> for TalosVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        image::Version::parse(&String::deserialize(deserializer)?)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// An amount in the project's currency, in millionths, or `none`.
pub(super) struct Money(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl Visitor<'_> for Amount {
            type Value = Money;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount such as 20 or 12.50, or none")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Money, E> {
                match text.trim() {
                    "none" => Ok(Money(None)),
                    amount => amount
                        .parse()
                        .map_err(|_| {
                            E::custom(format!("{text:?} is not an amount: write it as 20 or 12.50"))
                        })
                        .and_then(|n| self.visit_f64(n)),
                }
            }

            fn visit_u64<E: serde::de::Error>(self, amount: u64) -> Result<Money, E> {
                #[expect(clippy::cast_precision_loss, reason = "imprecise values are refused")]
                self.visit_f64(amount as f64)
            }

            fn visit_i64<E: serde::de::Error>(self, amount: i64) -> Result<Money, E> {
                #[expect(clippy::cast_precision_loss, reason = "imprecise values are refused")]
                self.visit_f64(amount as f64)
            }

            fn visit_f64<E: serde::de::Error>(self, amount: f64) -> Result<Money, E> {
                if !(0.01..=1e6).contains(&amount) {
                    return Err(E::custom(format!(
                        "{amount} is not a budget: choose 0.01 to 1000000, or none"
                    )));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "within the bounds above"
                )]
                Ok(Money(Some((amount * 1e6).round() as u64)))
            }
        }
        deserializer.deserialize_any(Amount)
    }
}

impl<'de> Deserialize<'de> for LockAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "shutdown" => Ok(LockAction::Shutdown),
            "shorten" => Ok(LockAction::Shorten),
            "ignore" => Ok(LockAction::Ignore),
            other => Err(D::Error::custom(format!(
                "{other:?} is none of `shutdown`, `shorten` and `ignore`"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Containers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "timeout" => Ok(Containers::Timeout),
            "keep" => Ok(Containers::Keep),
            "ignore" => Ok(Containers::Ignore),
            other => Err(D::Error::custom(format!(
                "{other:?} is none of `timeout`, `keep` and `ignore`"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for SelfDestruct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "token" => Ok(SelfDestruct::Token),
            "power-off" => Ok(SelfDestruct::PowerOff),
            other => Err(D::Error::custom(format!("{other:?} is neither `token` nor `power-off`"))),
        }
    }
}
