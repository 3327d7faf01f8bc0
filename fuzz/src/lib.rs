//! The reference engine and the recordings of the integration tests, for the targets to hold the program against.

#[path = "../../tests/it/reference/ask.rs"]
pub mod ask;
#[path = "../../tests/it/reference/corpus.rs"]
pub mod corpus;
#[path = "../../tests/it/reference/document.rs"]
pub mod document;
#[path = "../../tests/it/reference/evaluate.rs"]
pub mod evaluate;
#[path = "../../tests/it/reference/generate.rs"]
pub mod generate;
#[path = "../../tests/it/reference/json.rs"]
pub mod json;
#[path = "../../tests/it/recordings/recording.rs"]
pub mod recording;
pub mod signed;
#[path = "../../tests/it/reference/values.rs"]
pub mod values;
