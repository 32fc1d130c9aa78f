//! A system whose notices are not known.

use super::{DesktopError, Note, Shown};

/// The desktop of the user's session.
#[derive(Debug, Clone, Default)]
pub struct Desktop;

impl Desktop {
    /// Shows a notice, in place of an earlier one if that is still there.
    pub async fn show(&self, _: &Note, _: Option<Shown>) -> Result<Shown, DesktopError> {
        Err(DesktopError::Unknown)
    }
}
