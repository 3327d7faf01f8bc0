//! Which statements of a key or secret policy can speak of a caller, found without reading them all.
//!
//! A statement that names users and roles without wildcards is filed under each of them; all others are candidates for
//! everybody. A candidate is matched like any other statement, so the index can only save work, never change a decision.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::document::Statement;
use super::principal::{Identity, Principal, PrincipalPattern, Whom};

/// From how many entries on there is an index. Below, reading the statements is as quick.
const ENTRIES_MIN: usize = 4;

/// An index over the principals of a policy's statements.
#[derive(Debug, Clone, Default)]
pub struct PrincipalIndex {
    /// Hash of a user or role → the statements that name it, ascending. Equal hashes of different names only add
    /// candidates.
    named: HashMap<u64, Vec<usize>>,
    /// The statements that are candidates for everybody, ascending.
    general: Vec<usize>,
}

impl PrincipalIndex {
    /// An index, if the statements name so many that it pays.
    pub fn new(statements: &[Statement]) -> Option<Self> {
        if statements.iter().map(|statement| statement.principals.len()).sum::<usize>() < ENTRIES_MIN {
            return None;
        }
        let mut index = Self::default();
        for (position, statement) in statements.iter().enumerate() {
            match statement.principals.iter().map(hash_of_entry).collect::<Option<Vec<_>>>() {
                None => index.general.push(position),
                Some(hashes) => {
                    for hash in hashes {
                        let named = index.named.entry(hash).or_default();
                        if named.last() != Some(&position) {
                            named.push(position);
                        }
                    }
                }
            }
        }
        Some(index)
    }

    /// The statements that can speak of `principal`, ascending.
    pub fn candidates(&self, principal: &Principal) -> impl Iterator<Item = usize> {
        let named = hash_of_caller(principal).and_then(|hash| self.named.get(&hash));
        let (mut named, mut general) =
            (named.map_or(&[][..], Vec::as_slice).iter().peekable(), self.general.iter().peekable());
        std::iter::from_fn(move || match (named.peek(), general.peek()) {
            (Some(one), Some(other)) if one < other => named.next().copied(),
            (Some(_), None) => named.next().copied(),
            _ => general.next().copied(),
        })
    }
}

/// `None` for entries that can name several callers.
fn hash_of_entry(entry: &PrincipalPattern) -> Option<u64> {
    match &entry.whom {
        Whom::User(name) if name.is_literal() => Some(hash(&entry.account, "user", name.as_str())),
        Whom::Role(name) if name.is_literal() => Some(hash(&entry.account, "role", name.as_str())),
        _ => None,
    }
}

fn hash_of_caller(principal: &Principal) -> Option<u64> {
    match &principal.identity {
        Identity::Root => None,
        Identity::User(name) => Some(hash(&principal.account, "user", name)),
        Identity::Session { role, .. } => Some(hash(&principal.account, "role", role)),
    }
}

/// Names are the same whatever the case of their letters.
fn hash(account: &str, kind: &str, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in [account, kind] {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
    }
    name.bytes().for_each(|byte| hasher.write_u8(byte.to_ascii_lowercase()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::document::{Kind, Policy};
    use super::super::vocabulary::Vocabulary;
    use super::*;

    fn policy(principals: &[&str]) -> Policy {
        let statement = |principal: &&str| {
            format!(r#"{{"Effect":"Allow","Principal":{{"RAM":[{principal}]}},"Action":"kms:*","Resource":"*"}}"#)
        };
        let statements: Vec<String> = principals.iter().map(statement).collect();
        let text = format!(r#"{{"Version":"1","Statement":[{}]}}"#, statements.join(","));
        Policy::parse(Kind::Key, "p", &text, &Vocabulary::default()).unwrap()
    }

    #[test]
    fn candidates_are_found_in_their_order() {
        let many = (0..ENTRIES_MIN).map(|n| format!(r#""acs:ram::1:user/u{n}""#)).collect::<Vec<_>>().join(",");
        let policy = policy(&[
            r#""acs:ram::1:user/Alice""#,
            r#""acs:ram::1:*""#,
            &many,
            r#""acs:ram::1:user/bob","acs:ram::1:user/alice""#,
            r#""acs:ram::1:role/App""#,
            r#""acs:ram::1:user/a*""#,
            r#""acs:ram::2:user/alice""#,
        ]);
        let index = PrincipalIndex::new(&policy.statements).unwrap();
        let caller = |account: &str, identity| Principal { account: account.into(), identity };
        let session = Identity::Session { role: "app".into(), session: "s".into() };
        for (principal, expected) in [
            (caller("1", Identity::User("alice".into())), vec![0, 1, 3, 5]),
            (caller("2", Identity::User("alice".into())), vec![1, 5, 6]),
            (caller("1", Identity::User("u3".into())), vec![1, 2, 5]),
            (caller("1", session), vec![1, 4, 5]),
            (caller("1", Identity::Root), vec![1, 5]),
        ] {
            assert_eq!(index.candidates(&principal).collect::<Vec<_>>(), expected, "{principal}");
        }
    }

    #[test]
    fn a_small_policy_needs_no_index() {
        assert!(PrincipalIndex::new(&policy(&[r#""acs:ram::1:*""#]).statements).is_none());
    }
}
