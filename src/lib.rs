//! Keyward: a policy-enforcing sidecar for Alibaba Cloud Key Management Service.
//!
//! A request is read once, judged by one pure function, and everything else obeys the verdict. The rooms in reading
//! order; arrows point down only, and nothing above the line does I/O, reads a clock, or is async.

// ───────────── pure ─────────────
pub mod source;

pub mod policy;

pub mod kms;

pub mod authn;

pub mod authz;

// ──────────── shells ────────────
pub mod settings;

pub mod store;

pub mod telemetry;

pub mod served;

pub mod local_kms;

pub mod upstream;

pub mod listen;

pub mod proxy;

pub mod admin;

pub mod cli;
