//! A policy and its statements, ready to be matched.
//!
//! Actions are sets over a vocabulary, patterns and conditions are prepared. How they come from a text is for the
//! `reader` to say; nothing here is decided.

use std::sync::Arc;

use super::condition::Clause;
use super::index::PrincipalIndex;
use super::pattern::Pattern;
use super::principal::{Principal, PrincipalPattern};
use super::reader::Reader;
use super::vocabulary::{Action, Vocabulary};
use crate::source::json::Node;
use crate::source::{Position, Problem};

/// What a policy is attached to; the three kinds differ in their grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A key policy: names principals, belongs to one key.
    Key,
    /// A secret policy: names principals, belongs to one secret.
    Secret,
    /// A RAM policy: names no principals, belongs to users, groups and roles.
    Ram,
}

impl Kind {
    /// The largest document: 32,768 bytes for key and secret policies (SetKeyPolicy), 6,144 characters for RAM
    /// policies (CreatePolicy of RAM).
    pub fn size_max(self) -> usize {
        match self {
            Self::Key | Self::Secret => 32_768,
            Self::Ram => 6_144,
        }
    }

    pub(super) fn members(self) -> &'static [&'static str] {
        match self {
            Self::Key | Self::Secret => &["Sid", "Effect", "Principal", "Action", "Resource", "Condition"],
            Self::Ram => &["Sid", "Effect", "Action", "NotAction", "Resource", "Condition"],
        }
    }

    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Key => "a key policy",
            Self::Secret => "a secret policy",
            Self::Ram => "a RAM policy",
        }
    }
}

/// What a statement does where it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It grants.
    Allow,
    /// It refuses, whatever grants there are.
    Deny,
}

/// A policy, ready to decide with.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What people know it by, for example `keys/key-exampleorders01.json`.
    pub name: Box<str>,
    /// What it is attached to.
    pub kind: Kind,
    /// Its document, exactly as it was read.
    pub text: Arc<str>,
    /// Its statements in their order.
    pub statements: Box<[Statement]>,
    /// Boxed: most policies are too small to have one.
    index: Option<Box<PrincipalIndex>>,
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Its id, when it has one.
    pub sid: Option<Box<str>>,
    /// What it does where it matches.
    pub effect: Effect,
    /// Whom it speaks of; empty in RAM policies.
    pub principals: Box<[PrincipalPattern]>,
    /// The actions it speaks of.
    pub actions: Actions,
    /// The resources it speaks of.
    pub resources: Resources,
    /// What must hold besides, all of it.
    pub conditions: Box<[Clause]>,
    /// Where it begins in its document.
    pub position: Position,
}

/// The actions of a statement: a set of those that are known by name, and patterns for all others.
#[derive(Debug, Clone)]
pub struct Actions {
    /// `Action`, or `NotAction`: all but these.
    pub negated: bool,
    /// The patterns as written.
    pub patterns: Box<[Pattern]>,
    known: u128,
}

impl Actions {
    pub(super) fn new(negated: bool, patterns: Box<[Pattern]>, vocabulary: &Vocabulary) -> Self {
        let known = vocabulary.set(|action| matches_any(&patterns, action.name) != negated);
        Self { negated, patterns, known }
    }

    /// Whether `action` is among them. Actions are compared without regard to case (RAM: policy elements).
    pub fn include(&self, action: Action<'_>) -> bool {
        match action.index {
            Some(index) => self.known >> index & 1 == 1,
            None => matches_any(&self.patterns, action.name) != self.negated,
        }
    }

    /// Whether every known action of `other` is among these.
    pub fn cover(&self, other: &Self) -> bool {
        other.known & !self.known == 0
    }
}

/// The resources of a statement.
#[derive(Debug, Clone)]
pub struct Resources {
    /// The patterns as written.
    pub patterns: Box<[Pattern]>,
    /// One of them is `*`.
    any: bool,
}

impl Resources {
    pub(super) fn new(patterns: Vec<Pattern>) -> Self {
        let any = patterns.iter().any(|pattern| pattern.as_str() == "*");
        Self { patterns: patterns.into(), any }
    }

    /// Whether `resource`, an ARN or `*`, is among them. ARNs are compared with regard to case.
    pub fn include(&self, resource: &str) -> bool {
        self.any || matches_any(&self.patterns, resource)
    }

    /// Whether they are all there are.
    pub fn are_all(&self) -> bool {
        self.any
    }
}

fn matches_any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

impl Policy {
    /// A policy that denies everything to everybody it is asked about, under this name and for this reason. In the place of
    /// any kind of policy, it leaves nobody anything but the owner's root.
    pub fn denial(name: &str, why: &str, vocabulary: &Vocabulary) -> Self {
        let all = || Pattern::exact("*");
        let statement = Statement {
            sid: Some(why.into()),
            effect: Effect::Deny,
            principals: Box::default(),
            actions: Actions::new(false, Box::new([all()]), vocabulary),
            resources: Resources::new(vec![all()]),
            conditions: Box::default(),
            position: Position { line: 1, column: 1 },
        };
        let text =
            format!(r#"{{"Version":"1","Statement":[{{"Sid":"{why}","Effect":"Deny","Action":"*","Resource":"*"}}]}}"#);
        // A RAM policy speaks of whoever has it: it names nobody.
        Self { name: name.into(), kind: Kind::Ram, text: text.into(), statements: Box::new([statement]), index: None }
    }

    /// Reads a policy document.
    ///
    /// # Errors
    /// Every problem of the text, each with its place.
    pub fn parse(kind: Kind, name: &str, text: &str, vocabulary: &Vocabulary) -> Result<Self, Vec<Problem>> {
        let size = if kind == Kind::Ram { text.chars().count() } else { text.len() };
        if size > kind.size_max() {
            let most = kind.size_max();
            return Err(vec![Problem::of_file(
                "",
                format!("{} may have at most {most} bytes, not {size}", kind.noun()),
            )]);
        }
        let root = Node::parse(text).map_err(|problem| vec![problem])?;
        let statements = Reader::read(kind, vocabulary, root)?;
        let index = PrincipalIndex::new(&statements).map(Box::new);
        Ok(Self { name: name.into(), kind, text: text.into(), statements: statements.into(), index })
    }

    /// Calls `look` with the statements that can speak of `principal`, and their places, in their order.
    pub(super) fn for_each_candidate<'a>(&'a self, principal: &Principal, mut look: impl FnMut(usize, &'a Statement)) {
        match &self.index {
            None => self.statements.iter().enumerate().for_each(|(place, statement)| look(place, statement)),
            Some(index) => {
                for place in index.candidates(principal) {
                    if let Some(statement) = self.statements.get(place) {
                        look(place, statement);
                    }
                }
            }
        }
    }
}
