//! Words of the API as enums that accept new words: an unknown word is kept as it is.

/// Declares an enum of API words with a last variant `Other(String)`, readable and writable as
/// those words.
macro_rules! open_enum {
    ($(#[$attribute:meta])* $name:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] $variant,)+
            /// A word that this version does not know.
            Other(String),
        }

        impl $name {
            /// The word as the API writes it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)+
                    _ => Self::Other(word),
                }
            }
        }

        impl From<&str> for $name {
            fn from(word: &str) -> Self {
                Self::from(word.to_owned())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer).map(Self::from)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    open_enum! {
        /// For the tests.
        Fruit { Apple = "apple", BloodOrange = "blood_orange", }
    }

    #[test]
    fn known_words_become_variants_and_unknown_words_are_kept() {
        let read: Vec<Fruit> = serde_json::from_str(r#"["blood_orange", "durian"]"#).unwrap();
        assert_eq!(read, [Fruit::BloodOrange, Fruit::Other("durian".into())]);
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"["blood_orange","durian"]"#);
        assert_eq!(Fruit::from("apple"), Fruit::Apple);
        assert_eq!(Fruit::Apple.to_string(), "apple");
    }
}
