//! What must never happen: data formatted, a secret told, a door left open, something left on this
//! host.

mod exposure;
mod left_overs;
mod secrets;
mod volumes;
