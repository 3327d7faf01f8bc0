//! Who takes part, and what all of them have in common.

use crate::scenario::Scenario;
use crate::{with_cedar, with_keyward, with_regorus};

/// Something that holds the policies of a scenario and can answer its questions.
pub trait Engine {
    /// Whether the question at this place is answered with yes.
    fn allows(&mut self, question: usize) -> bool;

    /// Answers the questions from `first` up to `end`, and says how many are allowed. One virtual call for all of them,
    /// so that what is timed is the engine.
    fn allowed(&mut self, first: usize, end: usize) -> usize {
        (first..end).filter(|&question| self.allows(question)).count()
    }
}

/// A contender: an engine, and one way to hold the policies in it.
pub struct Contender {
    /// What the table calls it.
    pub name: &'static str,
    /// Makes it ready for a scenario.
    pub build: fn(&Scenario) -> Box<dyn Engine>,
    /// It looks at every policy for every question, so that its answers take ten times as long with ten times the keys.
    pub linear: bool,
}

/// What the others are compared with.
pub const KEYWARD: &str = "Keyward";

/// All of them, Keyward first.
pub const CONTENDERS: &[Contender] = &[
    Contender { name: KEYWARD, build: with_keyward::build, linear: false },
    Contender { name: "Cedar, one policy set", build: with_cedar::one_set, linear: true },
    Contender { name: "Cedar, one policy set of linked templates", build: with_cedar::one_set_linked, linear: true },
    Contender { name: "Cedar, a policy set for each key", build: with_cedar::slices, linear: false },
    Contender { name: "Cedar, linked templates for each key", build: with_cedar::slices_linked, linear: false },
    Contender { name: "Cedar, grants as attributes of keys", build: with_cedar::attributes, linear: false },
    Contender { name: "regorus interpreter, statements", build: with_regorus::interpreter_statements, linear: false },
    Contender { name: "regorus CompiledPolicy, statements", build: with_regorus::compiled_statements, linear: false },
    Contender { name: "regorus virtual machine, statements", build: with_regorus::machine_statements, linear: false },
    Contender { name: "regorus virtual machine, nested index", build: with_regorus::machine_index, linear: false },
];
