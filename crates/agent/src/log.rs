//! Messages on standard error: the journal of the resident's unit, or the client's log of a
//! session.

use std::io::Write as _;

pub(crate) fn error(message: &str) {
    // Without standard error the message is lost.
    let _ = writeln!(std::io::stderr(), "dockbridge-agent: {message}");
}
