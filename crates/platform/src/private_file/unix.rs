//! Unix: permission bits.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;

pub(super) fn restrict(builder: &mut DirBuilder) {
    builder.mode(0o700);
}
