//! The actions that are known by name, so that statements can be compiled to sets of them.
//!
//! Which actions there are, and in which kinds of policies they have an effect, is said by whoever makes the vocabulary;
//! this room knows no operation by name.

use hashbrown::HashMap;

use super::document::Kind;

/// Most actions that a vocabulary can hold: one bit each.
pub const ACTIONS_MAX: usize = 128;

/// An action that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KnownAction {
    /// Its name, for example `kms:Encrypt`.
    pub name: &'static str,
    /// Whether a key policy can speak about it.
    pub in_key_policies: bool,
    /// Whether a secret policy can speak about it.
    pub in_secret_policies: bool,
    /// Whether it changes a resource rather than uses it.
    pub administers: bool,
    /// Whether it replaces the policy of a resource.
    pub replaces_policy: bool,
}

impl KnownAction {
    /// Whether a policy of this kind can speak about it.
    pub fn is_in_scope(&self, kind: Kind) -> bool {
        match kind {
            Kind::Key => self.in_key_policies,
            Kind::Secret => self.in_secret_policies,
            Kind::Ram => true,
        }
    }
}

/// The actions that are known by name.
#[derive(Debug, Default)]
pub struct Vocabulary {
    /// Sorted by name.
    actions: Vec<KnownAction>,
    /// Name → place.
    places: HashMap<&'static str, u8>,
}

/// An action in a question: its name, and its place in the vocabulary if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// Its name.
    pub name: &'a str,
    pub(super) index: Option<u8>,
}

impl Vocabulary {
    /// A vocabulary of these actions. One that comes twice has the scopes of both. Beyond [`ACTIONS_MAX`] actions are
    /// not known by name; they are matched as texts, which is slower and means the same.
    pub fn new(actions: impl IntoIterator<Item = KnownAction>) -> Self {
        let mut actions: Vec<KnownAction> = actions.into_iter().collect();
        actions.sort_by_key(|action| action.name);
        actions.dedup_by(|later, earlier| {
            let same = later.name == earlier.name;
            if same {
                earlier.in_key_policies |= later.in_key_policies;
                earlier.in_secret_policies |= later.in_secret_policies;
            }
            same
        });
        actions.truncate(ACTIONS_MAX);
        let place = |(place, action): (usize, &KnownAction)| Some((action.name, u8::try_from(place).ok()?));
        let places = actions.iter().enumerate().filter_map(place).collect();
        Self { actions, places }
    }

    /// All of them, sorted by name.
    pub fn actions(&self) -> &[KnownAction] {
        &self.actions
    }

    /// The action of that name, to ask about.
    pub fn action<'a>(&self, name: &'a str) -> Action<'a> {
        Action { name, index: self.places.get(name).copied() }
    }

    /// The set of the known actions that `fits`.
    pub(super) fn set(&self, fits: impl Fn(&KnownAction) -> bool) -> u128 {
        let bits = self.actions.iter().enumerate().filter(|(_, action)| fits(action)).map(|(index, _)| 1 << index);
        bits.fold(0, |set, bit: u128| set | bit)
    }
}
