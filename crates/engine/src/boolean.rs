//! Booleans in queries of the Engine API.

/// As dockerd reads a boolean in a query: empty, `0`, `no`, `false` and `none` are false,
/// everything else is true.
pub fn is_true(value: &str) -> bool {
    let value = value.trim();
    !["", "0", "no", "false", "none"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dockerds_own_words_are_false() {
        for value in ["", " ", "0", "no", "False", "NONE", " false "] {
            assert!(!is_true(value), "{value:?}");
        }
        for value in ["1", "true", "yes", "off", "00"] {
            assert!(is_true(value), "{value:?}");
        }
    }
}
