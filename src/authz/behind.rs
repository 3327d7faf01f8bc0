//! Which KMS executes what is permitted, and in whose name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authn::{Directory, KeyMaterial};
use crate::kms::{Api, KmsRequest};
use crate::policy::{Identity, Principal};

/// The KMS that executes what is permitted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Behind {
    /// The embedded one. It takes what was judged, and finds nothing again.
    #[default]
    Embedded,
    /// Another one.
    Elsewhere(Arc<Elsewhere>),
}

/// A KMS elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// The names of its endpoint, in lower case.
    pub names: Vec<String>,
    /// Who signs what it gets.
    pub signer: Signer,
    /// Whether the operations on policies are answered here.
    pub serves_policies: bool,
    /// Whether policies are set there and kept here as well.
    pub mirrors_policies: bool,
    /// The operations that go on although the table does not have them, and so nobody knows what they act on.
    pub unknown_operations: Vec<String>,
}

/// Who signs what a KMS elsewhere gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// The client: requests go on as they came.
    Client,
    /// We do.
    Us {
        /// With what, where nothing else is said of the caller.
        with: With,
        /// The accounts of the keys for some callers, by ARN.
        callers: BTreeMap<String, String>,
    },
}

/// With whose key we sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// The caller's own.
    CallersKey,
    /// Ours, which is of this account; `None` if we have none.
    OwnKey(Option<String>),
}

/// The operations on policies.
const ON_POLICIES: &[&str] = &["SetKeyPolicy", "GetKeyPolicy", "SetSecretPolicy", "GetSecretPolicy"];

impl Elsewhere {
    /// Whether a request is answered here.
    pub fn serves(&self, request: &KmsRequest) -> bool {
        request.api == Api::Sts || (self.serves_policies && ON_POLICIES.contains(&request.call.name()))
    }

    /// Whether policies are kept here.
    pub fn keeps_policies(&self) -> bool {
        self.serves_policies || self.mirrors_policies
    }

    /// The account in whose name a request of this caller is executed; `None` if nobody can sign it.
    pub(super) fn account_for<'a>(
        &'a self,
        caller: &'a Principal,
        request: &KmsRequest,
        directory: &Directory,
    ) -> Option<&'a str> {
        // KMS knows nothing of our sessions.
        let own = Some(&*caller.account).filter(|_| !matches!(caller.identity, Identity::Session { .. }));
        match &self.signer {
            Signer::Client => own,
            Signer::Us { with, callers } => {
                callers.get(&caller.role_arn()).map(String::as_str).or_else(|| match with {
                    With::CallersKey => own.filter(|_| has_key(caller, request, directory)),
                    With::OwnKey(account) => account.as_deref(),
                })
            }
        }
    }
}

/// Whether a caller has an access key with a secret here. Most requests are signed with it.
fn has_key(caller: &Principal, request: &KmsRequest, directory: &Directory) -> bool {
    let used = request.scheme.access_key_id().and_then(|id| directory.access_key(id));
    let is_secret = used.is_some_and(|(_, key)| matches!(key.key, KeyMaterial::Secret(_)));
    is_secret || !directory.access_keys_of(&caller.to_string()).is_empty()
}
