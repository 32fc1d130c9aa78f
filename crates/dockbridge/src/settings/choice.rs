//! A value that is one of a few words. The words are those that serde has for the enum, so that
//! each is spelled once, at the enum.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned};

use super::kind::{Given, Invalid, Kind};

/// One of the words of an enum without data.
pub struct Choice<T>(PhantomData<T>);

impl<T: Serialize + DeserializeOwned> Kind for Choice<T> {
    type Value = T;

    fn values() -> String {
        words::<T>().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    }

    fn read(given: Given) -> Result<T, Invalid> {
        let text = given.single()?;
        parse(&text).map_err(|_| {
            let words: Vec<String> = words::<T>().map(|word| format!("`{word}`")).collect();
            Invalid::new(match &words[..] {
                [one, other] => format!("{text:?} is neither {one} nor {other}"),
                [several @ .., last] => {
                    format!("{text:?} is none of {} and {last}", several.join(", "))
                }
                [] => format!("{text:?} is not a value"),
            })
        })
    }

    fn show(value: &T) -> Option<String> {
        word(value)
    }
}

/// The word of a value.
pub fn word<T: Serialize>(value: &T) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

/// All words, without the names of older versions, which are read but never written.
fn words<T: Serialize + DeserializeOwned>() -> impl Iterator<Item = &'static str> {
    let all = parse::<T>("").err().map_or(&[][..], |Unknown(words)| words);
    all.iter().copied().filter(|name| {
        parse::<T>(name).ok().and_then(|value| word(&value)).is_some_and(|word| word == *name)
    })
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Unknown> {
    T::deserialize(StrDeserializer::new(text))
}

/// Not one of these words.
#[derive(Debug)]
struct Unknown(&'static [&'static str]);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "none of {:?}", self.0)
    }
}

impl std::error::Error for Unknown {}

impl de::Error for Unknown {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(expected)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::settings::kind::Written;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Color {
        #[serde(alias = "scarlet")]
        Red,
        DeepBlue,
    }

    fn read(text: &str) -> Result<Color, String> {
        let given = Given { written: Written::Single(text.to_owned()), from: None };
        Choice::<Color>::read(given).map_err(|error| error.to_string())
    }

    #[test]
    fn words_of_an_enum_come_from_serde_and_old_names_are_only_read() {
        assert_eq!(Choice::<Color>::values(), "`red`, `deep-blue`");
        assert_eq!(read("deep-blue"), Ok(Color::DeepBlue));
        assert_eq!(read("scarlet"), Ok(Color::Red));
        assert_eq!(Choice::<Color>::show(&Color::Red).as_deref(), Some("red"));
        assert_eq!(read("green"), Err("\"green\" is neither `red` nor `deep-blue`".to_owned()));
    }
}
