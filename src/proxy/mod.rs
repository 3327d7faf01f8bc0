//! THE WAY THROUGH: pingora's HTTP server, around one judgement for each request.
//!
//! Receives a request whole and bounded, has it judged, has what is permitted executed, and answers. It holds no opinion
//! about KMS or policies: what a request means and whether it may be executed is for `kms` and `authz` to say. Nothing
//! is executed without a [`Permit`](crate::authz::Permit), and every request leaves one record.

mod client;
mod drain;
mod forward;
mod framing;
mod receive;
mod release;
mod reply;
mod service;
mod throttle;
mod turns;

pub use drain::Drain;
pub use framing::check as check_framing;
pub use service::{Api, Behind};
