//! Names of containers.

/// A name without the slash that the Engine API writes before it, and that users may write, too.
pub fn bare_name(name: &str) -> &str {
    name.trim_start_matches('/')
}
