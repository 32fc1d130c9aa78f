//! The user's settings: defaults, overridden by the file, then the file's section of the profile,
//! then the environment, then flags. This module reads and checks them; [`crate::resolved`] turns
//! them into the types of the crates below.

mod addresses;
mod change;
mod check;
mod choice;
mod declare;
mod difference;
pub mod duration;
mod edit;
mod file;
mod kind;
mod nearest;
mod place;
#[cfg(test)]
mod reference;
mod span;
mod spans;
mod table;
pub mod token;
mod tree;
mod types;
mod values;

pub use addresses::api_address;
pub use change::{NotChanged, key_named, with_value, without_value};
pub use difference::{Difference, applies};
pub use edit::NotEdited;
pub use file::{Loaded, load, load_text, refused};
pub use place::{Place, Places, Problem, Severity};
pub use table::{SETTINGS, Setting, Settings};
pub use types::{Applies, Key, Origin, Provider};
