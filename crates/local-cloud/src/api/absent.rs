//! What the local cloud does not have: the lists are there and empty, so that clients which look for it go on, and making one is refused.

use super::error::ApiError;
use super::list::Listing;
use super::scope::{Reply, Scope};

pub(super) fn create(_: &mut Scope<'_>) -> Result<Reply, ApiError> {
    Err(ApiError::unsupported("the local cloud does not have this kind of resource"))
}

macro_rules! absent {
    ($($plural:ident $singular:ident),* $(,)?) => {$(
        pub(super) fn $plural(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
            scope.list(&Listing { plural: stringify!($plural), sort: &["id", "name", "created"], equal: &[] }, Vec::new())
        }

        pub(super) fn $singular(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
            Err(ApiError::not_found(stringify!($singular), scope.id()))
        }
    )*};
}

absent! {
    networks network,
    floating_ips floating_ip,
    load_balancers load_balancer,
    load_balancer_types load_balancer_type,
    placement_groups placement_group,
    certificates certificate,
    isos iso,
}

pub(super) fn zones(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(&Listing { plural: "zones", sort: &["id", "name", "created"], equal: &[] }, Vec::new())
}
