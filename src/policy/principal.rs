//! Who a policy speaks of: the caller as a principal, and the `Principal` element that may match it.
//!
//! Forms in a key or secret policy (SetKeyPolicy, SetSecretPolicy, "Principal"): `acs:ram::ACCOUNT:*`,
//! `acs:ram::ACCOUNT:root`, `acs:ram::ACCOUNT:user/NAME`, `acs:ram::ACCOUNT:role/NAME`; also a session,
//! `acs:ram::ACCOUNT:assumed-role/ROLE/SESSION`. Names may hold wildcards. RAM reports role names in lower case, so
//! names of users and roles are compared without regard to case.

use std::fmt;

use super::pattern::{PATTERN_BYTES_MAX, Pattern};

/// A caller, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// The id of the Alibaba Cloud account the caller belongs to: digits.
    pub account: Box<str>,
    /// Who in that account.
    pub identity: Identity,
}

/// Who in an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The account itself.
    Root,
    /// A RAM user.
    User(Box<str>),
    /// A session of a RAM role.
    Session {
        /// The role's name.
        role: Box<str>,
        /// The session's name.
        session: Box<str>,
    },
}

impl Principal {
    /// Whether this is the root identity of `account`.
    pub fn is_root_of(&self, account: &str) -> bool {
        self.identity == Identity::Root && *self.account == *account
    }
}

/// The ARN that `sts:GetCallerIdentity` reports for this caller.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acs:ram::{}:", self.account)?;
        match &self.identity {
            Identity::Root => f.write_str("root"),
            Identity::User(name) => write!(f, "user/{name}"),
            Identity::Session { role, session } => write!(f, "assumed-role/{role}/{session}"),
        }
    }
}

/// One entry of a `Principal` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalPattern {
    /// The account it names.
    pub account: Box<str>,
    /// Who in that account.
    pub whom: Whom,
}

/// Who in an account a `Principal` entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// `*`: the account and everyone in it; what that grants is a matter of [`super::AccountPrincipal`].
    Everyone,
    /// `root`: the account.
    Root,
    /// `user/NAME`.
    User(Pattern),
    /// `role/NAME`: every session of that role.
    Role(Pattern),
    /// `assumed-role/ROLE/SESSION`.
    Session {
        /// Of the role's name.
        role: Pattern,
        /// Of the session's name.
        session: Pattern,
    },
}

impl Principal {
    /// Its ARN, as policies name it: of a session, its role's.
    pub fn role_arn(&self) -> String {
        match &self.identity {
            Identity::Session { role, .. } => format!("acs:ram::{}:role/{role}", self.account),
            _ => self.to_string(),
        }
    }
}

impl PrincipalPattern {
    /// Reads one entry.
    ///
    /// # Errors
    /// Says what is wrong and what would be right, as a lowercase fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORMS: &str = "write acs:ram::ACCOUNT:*, …:root, …:user/NAME or …:role/NAME";
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("a principal may have at most {PATTERN_BYTES_MAX} bytes"));
        }
        let wrong = |what: &str| format!("principal `{text}` {what}; {FORMS}");
        let rest = text.strip_prefix("acs:ram::").ok_or_else(|| wrong("does not start with acs:ram::"))?;
        let (account, who) = rest.split_once(':').ok_or_else(|| wrong("names nobody in the account"))?;
        if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong("has no account id, which is digits only"));
        }
        let named = |name| is_name(name).then(|| Pattern::ignoring_case(name));
        let whom = match *who.split('/').collect::<Vec<_>>() {
            ["*"] => Some(Whom::Everyone),
            ["root"] => Some(Whom::Root),
            ["user", name] => named(name).map(Whom::User),
            ["role", name] => named(name).map(Whom::Role),
            ["assumed-role", role, session] => {
                named(role).zip(named(session)).map(|(role, session)| Whom::Session { role, session })
            }
            _ => None,
        };
        let whom = whom.ok_or_else(|| wrong("is of no form that KMS knows"))?;
        Ok(Self { account: account.into(), whom })
    }

    /// Whether the entry names `principal` when it is read word for word.
    pub fn names(&self, principal: &Principal) -> bool {
        if self.account != principal.account {
            return false;
        }
        match (&self.whom, &principal.identity) {
            (Whom::Everyone, _) | (Whom::Root, Identity::Root) => true,
            (Whom::User(pattern), Identity::User(name)) => pattern.matches(name),
            (Whom::Role(pattern), Identity::Session { role, .. }) => pattern.matches(role),
            (Whom::Session { role: roles, session: sessions }, Identity::Session { role, session }) => {
                roles.matches(role) && sessions.matches(session)
            }
            _ => false,
        }
    }

    /// Whether the entry names the account as such: `ACCOUNT:*` or `ACCOUNT:root`.
    pub fn names_account(&self, account: &str) -> bool {
        *self.account == *account && matches!(self.whom, Whom::Everyone | Whom::Root)
    }
}

/// The entry as it is written.
impl fmt::Display for PrincipalPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acs:ram::{}:", self.account)?;
        match &self.whom {
            Whom::Everyone => f.write_str("*"),
            Whom::Root => f.write_str("root"),
            Whom::User(name) => write!(f, "user/{}", name.as_str()),
            Whom::Role(name) => write!(f, "role/{}", name.as_str()),
            Whom::Session { role, session } => write!(f, "assumed-role/{}/{}", role.as_str(), session.as_str()),
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@*?".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn principal(identity: Identity) -> Principal {
        Principal { account: "1".into(), identity }
    }

    #[test]
    fn entries_name_principals_word_for_word() {
        let root = principal(Identity::Root);
        let alice = principal(Identity::User("Alice".into()));
        let session = principal(Identity::Session { role: "app".into(), session: "s1".into() });
        for (entry, names_root, names_alice, names_session) in [
            ("acs:ram::1:*", true, true, true),
            ("acs:ram::1:root", true, false, false),
            ("acs:ram::1:user/alice", false, true, false),
            ("acs:ram::1:user/*", false, true, false),
            ("acs:ram::1:user/al?ce", false, true, false),
            ("acs:ram::1:user/bob", false, false, false),
            ("acs:ram::1:role/App", false, false, true),
            ("acs:ram::1:assumed-role/app/s1", false, false, true),
            ("acs:ram::1:assumed-role/app/s2", false, false, false),
            ("acs:ram::2:*", false, false, false),
            ("acs:ram::2:user/alice", false, false, false),
        ] {
            let entry = PrincipalPattern::parse(entry).unwrap();
            assert_eq!(entry.names(&root), names_root, "{entry:?}");
            assert_eq!(entry.names(&alice), names_alice, "{entry:?}");
            assert_eq!(entry.names(&session), names_session, "{entry:?}");
        }
    }

    proptest! {
        /// G12: an entry of one account names nobody of another, whoever and in whatever form.
        #[test]
        fn accounts_are_apart(
            account in "[0-9]{1,4}", other in "[0-9]{1,4}", name in "[a-z*?]{1,3}", whom in "[a-z]{1,3}", form in 0_usize..5,
        ) {
            let form = ["*", "root", &format!("user/{name}"), &format!("role/{name}"), &format!("assumed-role/{name}/*")][form].to_owned();
            let entry = PrincipalPattern::parse(&format!("acs:ram::{account}:{form}")).unwrap();
            let identities = [
                Identity::Root,
                Identity::User(whom.as_str().into()),
                Identity::Session { role: whom.as_str().into(), session: whom.as_str().into() },
            ];
            for identity in identities {
                let principal = Principal { account: other.as_str().into(), identity };
                prop_assert!(account == other || !(entry.names(&principal) || entry.names_account(&principal.account)));
            }
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for entry in [
            "*",
            "1",
            "acs:ram::1",
            "acs:ram::*:root",
            "acs:ram:cn:1:root",
            "acs:ram::1:user/",
            "acs:ram::1:group/x",
            "acs:ram::1:user/a/b",
            "acs:ram::1:assumed-role/app",
            "acs:kms::1:root",
            "acs:ram::1:user/a b",
            "",
        ] {
            assert!(PrincipalPattern::parse(entry).is_err(), "{entry}");
        }
    }

    #[test]
    fn a_principal_prints_as_its_arn() {
        let session = principal(Identity::Session { role: "app".into(), session: "s1".into() });
        assert_eq!(session.to_string(), "acs:ram::1:assumed-role/app/s1");
        assert_eq!(principal(Identity::Root).to_string(), "acs:ram::1:root");
    }
}
