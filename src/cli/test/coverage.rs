//! Which statements the cases reached: a statement that no case reaches could say anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::authz::{Snapshot, is_system_policy, vocabulary};
use crate::policy::{Considered, Explanation, Mismatch, Policy};

/// The statements in force, and those that were reached.
pub struct Coverage {
    /// All of them as they are printed, by policy and place.
    statements: BTreeMap<(String, usize), String>,
    reached: BTreeSet<(String, usize)>,
}

impl Coverage {
    /// Every statement of every policy in force that somebody here wrote, and none of them reached yet.
    pub fn of(snapshot: &Snapshot) -> Self {
        let table = &snapshot.policies;
        let of_resources = table.keys.values().chain(table.secrets.values()).flat_map(|by_name| by_name.values());
        let of_members = table.members.iter().flat_map(|policies| policies.iter());
        let mut statements = BTreeMap::new();
        for policy in of_resources.chain(of_members).filter(|policy| !is_system_policy(policy)) {
            statements.extend(named(policy));
        }
        Self { statements, reached: BTreeSet::new() }
    }

    /// Notes what a question about `action` on `resource` reached.
    pub fn note(&mut self, explanation: &Explanation<'_>, action: &str, resource: &str) {
        let reached = explanation.considered.iter().filter(|it| is_reached(it, action, resource));
        let places = reached.map(|it| (it.statement.policy.name.to_string(), it.statement.index));
        self.reached.extend(places.filter(|place| self.statements.contains_key(place)));
    }

    /// How many statements there are.
    pub fn all(&self) -> usize {
        self.statements.len()
    }

    /// How many were reached.
    pub fn reached(&self) -> usize {
        self.reached.len()
    }

    /// The statements that were not.
    pub fn missed(&self) -> impl Iterator<Item = &str> {
        let missed = self.statements.iter().filter(|(place, _)| !self.reached.contains(*place));
        missed.map(|(_, printed)| printed.as_str())
    }

    /// The share of the statements that were reached, in percent, rounded down. Without statements nothing is missed.
    pub fn percent(&self) -> usize {
        (self.reached() * 100).checked_div(self.all()).unwrap_or(100)
    }
}

fn named(policy: &Arc<Policy>) -> impl Iterator<Item = ((String, usize), String)> {
    policy.statements.iter().enumerate().map(|(index, statement)| {
        let sid = statement.sid.as_deref().map(|sid| format!(" ({sid})")).unwrap_or_default();
        ((policy.name.to_string(), index), format!("{} statement {}{sid}", policy.name, index + 1))
    })
}

/// A statement is reached when it matches. The owner's statement hands its users and roles to RAM and so never matches
/// one of them; it is reached when it hands over something that it speaks of.
fn is_reached(it: &Considered<'_>, action: &str, resource: &str) -> bool {
    let statement = it.statement.statement;
    match it.mismatch {
        None => true,
        Some(Mismatch::Delegated) => {
            statement.actions.include(vocabulary().action(action)) && statement.resources.include(resource)
        }
        Some(_) => false,
    }
}
