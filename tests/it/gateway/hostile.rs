//! Rows of the catalogue of threats, by their ids, against a Keyward in front of a KMS that records every byte.
//!
//! What KMS received is nothing, or the canonical form of what was allowed, once. The client gets an error of KMS's own
//! shape, or a closed connection, and never waits beyond the deadline.

mod flood;
mod framing;
mod hosts;
mod logs;
mod passed;
mod policies;
mod reading;
mod request;
mod resources;
mod row;
mod slow;
mod voices;
