//! The macro behind the table of settings. It makes the types of the sections, their defaults, and
//! the list of all settings from one row per setting.

/// Declares the settings: `key: Kind, default("text"), now;` for one with a default, which is
/// written as a user writes it, and `key: Kind, unset("Markdown"), now;` for one without, with what
/// the reference says instead. `now`, `next_wake` or `restart` behind it says when a running daemon
/// uses a changed value; `since("0.2.0")` names the release that brought it.
macro_rules! settings {
    ($(
        #[doc = $about:literal]
        $section:ident: $name:ident {
            $(
                $(#[doc = $meaning:literal])+
                $key:ident: $kind:ty, $initial:ident($text:expr), $applies:ident
                    $(, since($since:literal))?;
            )+
        }
    )+) => {
        /// All settings, with their defaults filled in.
        #[derive(Debug, Clone)]
        pub struct Settings {
            $(
                #[doc = $about]
                pub $section: $name,
            )+
        }

        $(
            #[doc = $about]
            #[derive(Debug, Clone)]
            pub struct $name {
                $(
                    $(#[doc = $meaning])+
                    pub $key: <$kind as Kind>::Value,
                )+
            }
        )+

        impl Default for Settings {
            fn default() -> Self {
                Self {
                    $($section: $name { $($key: initial!($initial, $kind, $text),)+ },)+
                }
            }
        }

        /// All settings, by section.
        pub const SETTINGS: &[Setting] = &[
            $($(
                Setting {
                    key: (stringify!($section), stringify!($key)),
                    about: $about,
                    meaning: concat!($($meaning),+),
                    unset: unset!($initial, $text),
                    applies: applies!($applies),
                    since: first!($($since,)? FIRST_RELEASE),
                    values: <$kind as Kind>::values,
                },
            )+)+
        ];

        impl Settings {
            /// Sets one setting, which must exist. The error says what can be written.
            pub(super) fn set(&mut self, key: Key, given: Given) -> Result<(), Invalid> {
                match key {
                    $($(
                        (stringify!($section), stringify!($key)) => {
                            self.$section.$key = <$kind as Kind>::read(given)?;
                        }
                    )+)+
                    _ => {}
                }
                Ok(())
            }

            /// Whether both have the same value of a setting.
            pub(super) fn same(&self, other: &Self, key: Key) -> bool {
                match key {
                    $($(
                        (stringify!($section), stringify!($key)) => {
                            <$kind as Kind>::same(&self.$section.$key, &other.$section.$key)
                        }
                    )+)+
                    _ => true,
                }
            }

            /// Takes the value of one setting from others.
            pub(super) fn copy(&mut self, other: &Self, key: Key) {
                match key {
                    $($(
                        (stringify!($section), stringify!($key)) => {
                            self.$section.$key = other.$section.$key.clone();
                        }
                    )+)+
                    _ => {}
                }
            }

            /// A setting's value as YAML; `None` if it is not set, or secret.
            pub fn show(&self, key: Key) -> Option<String> {
                match key {
                    $($(
                        (stringify!($section), stringify!($key)) => {
                            <$kind as Kind>::show(&self.$section.$key)
                        }
                    )+)+
                    _ => None,
                }
            }
        }
    };
}

/// The value of a setting that nobody set.
macro_rules! initial {
    (default, $kind:ty, $text:expr) => {
        default_value::<$kind>($text)
    };
    (unset, $kind:ty, $text:expr) => {
        Default::default()
    };
}

/// What the reference says of a setting without a default.
macro_rules! unset {
    (default, $text:expr) => {
        ""
    };
    (unset, $text:expr) => {
        $text
    };
}

/// When a running daemon uses a changed value.
macro_rules! applies {
    (now) => {
        Applies::Now
    };
    (next_wake) => {
        Applies::NextWake
    };
    (restart) => {
        Applies::Restart
    };
}

/// The first of several values.
macro_rules! first {
    ($first:expr $(, $other:expr)*) => {
        $first
    };
}

pub(super) use {applies, first, initial, settings, unset};
