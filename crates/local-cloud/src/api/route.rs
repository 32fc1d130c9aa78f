//! One route, and the macro that writes tables of them.

use http::Method;

use super::error::ApiError;
use super::reply::Reply;
use super::scope::Scope;

pub(super) type Handler = fn(&mut Scope<'_>) -> Result<Reply, ApiError>;

pub(super) struct Route {
    pub(super) pattern: &'static str,
    pub(super) methods: &'static [(Method, Handler)],
}

macro_rules! routes {
    ($($pattern:literal { $($method:ident $handler:expr),* $(,)? })*) => {
        &[$(Route { pattern: $pattern, methods: &[$((Method::$method, $handler)),*] }),*]
    };
}

pub(super) use routes;
