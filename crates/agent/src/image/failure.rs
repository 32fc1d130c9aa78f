//! Why an image was not written.

use agent_proto::image::WriteFailure;

/// Kind and message of the final event.
#[derive(Debug)]
pub struct Failure {
    pub kind: WriteFailure,
    pub message: String,
}

impl Failure {
    pub fn new(kind: WriteFailure, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub fn source(message: impl Into<String>) -> Self {
        Self::new(WriteFailure::Source, message)
    }

    pub fn archive(message: impl Into<String>) -> Self {
        Self::new(WriteFailure::Archive, message)
    }

    pub fn disk(message: impl Into<String>) -> Self {
        Self::new(WriteFailure::Disk, message)
    }
}
