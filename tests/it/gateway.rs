//! Keyward in front of a KMS: what is sent to it, what becomes of its answers, and what happens when it misbehaves. Rows of
//! the catalogue of threats are named by their ids.

#![expect(clippy::disallowed_methods, reason = "tests write files and read the clock")]

mod credentials;
mod exchange;
mod explained;
pub mod front;
mod hearsay;
mod hostile;
mod judging;
mod modes;
pub mod scripted;
mod troubles;
