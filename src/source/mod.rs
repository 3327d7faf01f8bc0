//! WHAT PEOPLE WRITE: texts with positions, and problems that point into them.
//!
//! Policies (JSON), settings and the directory (TOML) are read through this room, so that every complaint names the
//! file, the line and what would be right. It knows nothing of what the texts mean and never reads a file itself.

pub mod json;
mod problem;
pub mod toml;

pub use problem::{Position, Problem, counted, in_one_line, shown, suggest};
