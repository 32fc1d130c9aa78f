//! What a kind of value is: how it is read, how it is shown, and what the reference says of it.
//! This module knows no kind and no setting.

use super::place::Place;
use super::types::Origin;

/// A kind of value.
pub trait Kind {
    /// The type that the program uses.
    type Value;

    /// What can be written, as Markdown.
    fn values() -> String;

    /// Reads a value. The error says what can be written instead.
    fn read(given: Given) -> Result<Self::Value, Invalid>;

    /// The value as YAML; `None` if it is not set.
    fn show(value: &Self::Value) -> Option<String>;

    /// Whether two values mean the same. A kind that does not show all of a value overrides it.
    fn same(one: &Self::Value, other: &Self::Value) -> bool {
        Self::show(one) == Self::show(other)
    }
}

/// A setting without a default value.
impl<K: Kind> Kind for Option<K> {
    type Value = Option<K::Value>;

    fn values() -> String {
        K::values()
    }

    fn read(given: Given) -> Result<Self::Value, Invalid> {
        K::read(given).map(Some)
    }

    fn show(value: &Self::Value) -> Option<String> {
        value.as_ref().and_then(K::show)
    }

    fn same(one: &Self::Value, other: &Self::Value) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => K::same(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

/// A value that cannot be used: what is wrong, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(String);

impl Invalid {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A value as it is written in the file or the environment, before its kind is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// One value.
    Single(String),
    /// A list of values.
    List(Vec<String>),
}

/// A value as written, and where.
#[derive(Debug, Clone)]
pub struct Given {
    pub(super) written: Written,
    /// `None` for a default.
    pub(super) from: Option<(Place, Origin)>,
}

impl Given {
    /// The text, which must not be a list.
    pub(super) fn single(self) -> Result<String, Invalid> {
        match self.written {
            Written::Single(text) => Ok(text),
            Written::List(_) => Err(Invalid::new("it is a single value and cannot be a list")),
        }
    }

    /// The items of a list. In a single text, commas separate them.
    pub(super) fn items(self) -> Vec<String> {
        match self.written {
            Written::List(items) => items,
            Written::Single(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items.map(str::to_owned).collect()
            }
        }
    }
}

/// The default of a setting. A default is written as a user would write it.
#[expect(clippy::expect_used, reason = "constants, and a test reads all of them")]
pub(super) fn default_value<K: Kind>(text: &str) -> K::Value {
    let given = Given { written: Written::Single(text.to_owned()), from: None };
    K::read(given).expect("a valid default")
}
