//! HTTP on the wire: framing, bodies, sockets. Knows neither engines nor what requests mean.

pub(crate) mod chunked;
pub(crate) mod client_io;
pub(crate) mod framing;
pub(crate) mod gate;
pub(crate) mod in_flight;
pub(crate) mod limits;
pub(crate) mod refusal;
pub(crate) mod request_body;
pub(crate) mod request_progress;
mod request_reader;
pub(crate) mod response_body;
pub(crate) mod response_head;
pub(crate) mod socket;
pub(crate) mod stdcopy;
pub(crate) mod write_buffer;
pub(crate) mod write_state;
