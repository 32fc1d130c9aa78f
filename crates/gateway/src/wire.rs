//! Bytes and HTTP framing on the client's side. Knows nothing of engines, rules or machines.

pub(crate) mod body;
pub(crate) mod chunked;
pub(crate) mod client_io;
pub(crate) mod framing;
pub(crate) mod response_head;
pub(crate) mod socket;
pub(crate) mod stdcopy;
pub(crate) mod write_buffer;
