//! The form of the registry of errors: what it says about a code. `code.rs` and
//! `code_texts.rs` are the registry.

words! {
    /// What an error concerns.
    pub enum Category {
        /// The cloud: its API, the token, what it has in stock.
        Cloud = "cloud",
        /// A setting or an argument.
        Settings = "settings",
        /// The machine and what runs on it.
        Machine = "machine",
        /// The volume with docker's data.
        Volume = "volume",
        /// The path to the machine: network, SSH, keys.
        Connection = "connection",
        /// The daemon and its sockets on this computer.
        Daemon = "daemon",
        /// Published ports and manual forwards.
        Ports = "ports",
        /// Building an image.
        Image = "image",
        /// Anything else.
        Other = "other",
    }
}

/// What the registry says about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it concerns.
    pub category: Category,
    /// Whether the same request may succeed later although the user changes nothing.
    pub is_retryable: bool,
    /// What happened, without the names of the case.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What the user can do.
    pub cure: &'static str,
}

/// Declares the codes: `Variant = "code", Category, retryable, title;`.
macro_rules! codes {
    ($($variant:ident = $word:literal, $category:ident, $retryable:literal, $title:literal;)+) => {
        words! {
            /// A stable code of an error.
            pub enum Code {
                $(#[doc = $title] $variant = $word,)+
            }
        }

        impl Code {
            /// What the registry says about it.
            pub const fn entry(self) -> $crate::Entry {
                let [cause, cure] = $crate::code_texts::texts(self);
                let (category, is_retryable, title) = match self {
                    $(Self::$variant => ($crate::Category::$category, $retryable, $title),)+
                };
                $crate::Entry { category, is_retryable, title, cause, cure }
            }

            /// What it concerns.
            pub const fn category(self) -> $crate::Category {
                self.entry().category
            }

            /// Whether the same request may succeed later although the user changes nothing.
            pub const fn is_retryable(self) -> bool {
                self.entry().is_retryable
            }
        }
    };
}

/// Declares what the registry says: `Variant: cause, cure;`.
macro_rules! texts {
    ($($variant:ident: $cause:literal, $cure:literal;)+) => {
        /// Cause and cure of a code.
        pub(crate) const fn texts(code: $crate::Code) -> [&'static str; 2] {
            match code {
                $($crate::Code::$variant => [$cause, $cure],)+
            }
        }
    };
}
