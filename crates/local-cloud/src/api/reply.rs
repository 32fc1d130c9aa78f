//! The answer of a route.

use http::StatusCode;
use serde_json::Value;

use super::page::Page;

/// An answer before it is serialized.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
    pub(super) page: Option<Page>,
}

impl Reply {
    pub(super) fn ok(body: Value) -> Reply {
        Reply { status: StatusCode::OK, body: Some(body), page: None }
    }

    pub(super) fn created(body: Value) -> Reply {
        Reply { status: StatusCode::CREATED, body: Some(body), page: None }
    }

    pub(super) fn nothing() -> Reply {
        Reply { status: StatusCode::NO_CONTENT, body: None, page: None }
    }
}
