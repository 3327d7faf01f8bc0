//! The integration tests, in one binary so that they link once.
//!
//! They see the library as its users do. What concerns one room alone is tested in that room.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where and stop"
)]

mod allocations;
mod architecture;
mod cases;
mod commands;
mod crashes;
mod data;
mod doors;
mod gateway;
mod lifecycle;
mod main_job;
mod policies;
mod readme;
mod recordings;
mod reference;
mod sandbox;
mod schemas;
mod watching;
mod wire;
