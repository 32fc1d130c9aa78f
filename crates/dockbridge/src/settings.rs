//! The user's settings: defaults, overridden by the file, then the file's section of the profile,
//! then the environment, then flags. This module reads and checks them; [`crate::resolved`] turns
//! them into the types of the crates below.

mod addresses;
mod check;
mod choice;
mod declare;
pub mod duration;
mod file;
mod kind;
mod place;
#[cfg(test)]
mod reference;
mod spans;
mod table;
pub mod token;
mod tree;
mod types;
mod values;

pub use addresses::api_address;
pub use file::{Loaded, load};
pub use place::{Problem, Severity};
pub use table::{SETTINGS, Setting, Settings};
pub use types::{Key, Origin, Provider};
