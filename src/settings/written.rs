//! Where in the settings file each setting stands, for mistakes that only show when other files are looked at.

use std::collections::BTreeMap;

use crate::source::toml::places;
use crate::source::{Position, Problem};

/// Where each setting stands. Settings that stand elsewhere are the same settings.
#[derive(Debug, Clone, Default)]
pub struct Written {
    file: String,
    places: BTreeMap<String, Position>,
}

impl Written {
    pub(super) fn of(text: &str) -> Self {
        Self { file: String::new(), places: places(text) }
    }

    pub(super) fn in_file(mut self, file: &str) -> Self {
        file.clone_into(&mut self.file);
        self
    }

    /// A mistake in a setting, at its place. The elements of a list are numbered: `upstream.callers.0.arn`.
    pub fn problem(&self, name: &str, message: &str) -> Problem {
        let told = name.split('.').filter(|part| part.parse::<usize>().is_err()).collect::<Vec<_>>().join(".");
        let position = self.places.get(name).copied();
        Problem { file: self.file.clone(), position, message: format!("`{told}` {message}") }
    }
}

impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_their_place() {
        let written =
            Written::of("[upstream]\nca = 'x'\n[[upstream.callers]]\narn = 'a'\n[[upstream.callers]]\narn = 'b'");
        for (name, expected) in [
            ("upstream.ca", "s.toml:2:6: `upstream.ca` is odd"),
            ("upstream.callers.1.arn", "s.toml:6:7: `upstream.callers.arn` is odd"),
            ("upstream.none", "s.toml: `upstream.none` is odd"),
        ] {
            assert_eq!(written.clone().in_file("s.toml").problem(name, "is odd").to_string(), expected);
        }
        assert_eq!(written, Written::default());
    }
}
