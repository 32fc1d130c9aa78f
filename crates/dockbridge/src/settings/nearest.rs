//! The name that was probably meant. Pure.

/// `; did you mean …?`, or nothing.
pub(super) fn meant(given: &str, known: &[&str]) -> String {
    nearest(given, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// The most similar name, if one is similar.
pub(super) fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(given, name), *name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}
