//! Where engine and reference meet: the same policies and the same question, put to each in its own terms.

use std::sync::Arc;

use keyward::authz::{parse_policy, vocabulary};
use keyward::policy::{
    AccountPrincipal, Context, Decision, Half, Identity, Kind, Policy, Principal, Question, Refusal, decide,
};

use super::document::{Attached, Document};
use super::evaluate::{Caller, Outcome, Policies, Reading, Request, Truth, Who, evaluate, holds};
use super::generate::Set;
use super::json::Json;

/// A document as both sides read it.
#[derive(Debug)]
pub struct Both {
    engine: Arc<Policy>,
    reference: Document,
}

impl Both {
    /// `Err` where one of them refuses the document, or both.
    pub fn read(attached: Attached, text: &str) -> Result<Self, Refused> {
        let engine = parse_policy(kind(attached), "p", text);
        let reference = Document::read(attached, text);
        match (engine, reference) {
            (Ok(engine), Ok(reference)) => Ok(Self { engine: Arc::new(engine), reference }),
            (Err(_), Err(_)) => Err(Refused::ByBoth),
            (engine, reference) => Err(Refused::ByOne(format!(
                "engine refuses: {:?}, reference refuses: {:?}, {text}",
                engine.err(),
                reference.err()
            ))),
        }
    }
}

/// Why a document cannot be asked about.
#[derive(Debug)]
pub enum Refused {
    ByBoth,
    ByOne(String),
}

pub fn kind(attached: Attached) -> Kind {
    match attached {
        Attached::Key => Kind::Key,
        Attached::Secret => Kind::Secret,
        Attached::Ram => Kind::Ram,
    }
}

/// Policies that were read by both sides, to be asked many questions.
#[derive(Debug)]
pub struct Asked {
    engine: Vec<Arc<Policy>>,
    reference: Vec<Document>,
    session: Option<Both>,
    resource: Option<Both>,
}

impl Asked {
    pub fn new(set: &Set) -> Result<Self, Refused> {
        Self::about(&set.identity, set.session.as_ref(), set.resource.as_ref())
    }

    pub fn about(
        identity: &[Json],
        session: Option<&Json>,
        resource: Option<&(Attached, Json)>,
    ) -> Result<Self, Refused> {
        let (mut engine, mut reference) = (Vec::new(), Vec::new());
        for policy in identity {
            let both = Both::read(Attached::Ram, &policy.to_string())?;
            engine.push(both.engine);
            reference.push(both.reference);
        }
        let session = session.map(|policy| Both::read(Attached::Ram, &policy.to_string())).transpose()?;
        let resource = resource.map(|(attached, policy)| Both::read(*attached, &policy.to_string())).transpose()?;
        Ok(Self { engine, reference, session, resource })
    }

    /// The engine's answer.
    pub fn engine(&self, request: &Request) -> Outcome {
        let facts = Facts::new(request);
        let principal = principal(&request.caller);
        let decision = decide(&Question {
            principal: &principal,
            action: vocabulary().action(&request.action),
            resource: &request.resource,
            owner: &request.owner,
            identity_policies: if has_ram_policies(&request.caller) { &self.engine } else { &[] },
            session_policy: self.session_of(request).map(|both| &*both.engine),
            resource_policy: self.resource.as_ref().map(|both| &*both.engine),
            context: facts.context(),
            account_principal: match request.reading {
                Reading::Delegation => AccountPrincipal::Delegates,
                Reading::Literal => AccountPrincipal::Literal,
            },
        });
        match decision {
            Decision::Allow(_) => Outcome::Allowed,
            Decision::Deny(Refusal::Explicit(_)) => Outcome::ExplicitDeny,
            Decision::Deny(Refusal::Implicit) => Outcome::ImplicitDeny,
            Decision::Deny(Refusal::HalfMissing(Half::Identity)) => Outcome::RamHalfMissing,
            Decision::Deny(Refusal::HalfMissing(Half::Resource)) => Outcome::ResourceHalfMissing,
            Decision::Deny(Refusal::SessionPolicy) => Outcome::SessionPolicy,
        }
    }

    /// The reference's answer.
    pub fn reference(&self, request: &Request) -> Outcome {
        let policies = Policies {
            identity: if has_ram_policies(&request.caller) { &self.reference } else { &[] },
            session: self.session_of(request).map(|both| &both.reference),
            resource: self.resource.as_ref().map(|both| &both.reference),
        };
        evaluate(policies, request)
    }

    /// Only sessions have a session policy.
    fn session_of(&self, request: &Request) -> Option<&Both> {
        let is_session = matches!(Caller::read(&request.caller).who, Who::Session(..));
        self.session.as_ref().filter(|_| is_session)
    }

    /// For each clause of each condition: its operator, and what the engine and the reference say of it.
    pub fn clauses(&self, request: &Request) -> Vec<(String, Truth, Truth)> {
        let facts = Facts::new(request);
        let others = self.session.iter().chain(&self.resource).map(|both| (&both.engine, &both.reference));
        let mut compared = Vec::new();
        for (engine, reference) in self.engine.iter().zip(&self.reference).chain(others) {
            assert_eq!(engine.statements.len(), reference.statements.len());
            for (engine, reference) in engine.statements.iter().zip(&reference.statements) {
                assert_eq!(engine.conditions.len(), reference.conditions.len());
                for (engine, reference) in engine.conditions.iter().zip(&reference.conditions) {
                    let said = truth(engine.holds(&facts.context()));
                    compared.push((reference.operator.clone(), said, holds(reference, &request.context)));
                }
            }
        }
        compared
    }
}

fn truth(engine: keyward::policy::Truth) -> Truth {
    match engine {
        keyward::policy::Truth::Yes => Truth::Yes,
        keyward::policy::Truth::No => Truth::No,
        keyward::policy::Truth::Undecidable => Truth::Undecidable,
    }
}

/// RAM policies are attached to users, groups and roles, never to an account.
fn has_ram_policies(caller: &str) -> bool {
    Caller::read(caller).who != Who::Root
}

pub fn principal(caller: &str) -> Principal {
    let caller = Caller::read(caller);
    let identity = match caller.who {
        Who::Root => Identity::Root,
        Who::User(name) => Identity::User(name.into()),
        Who::Session(role, session) => Identity::Session { role: role.into(), session: session.into() },
    };
    Principal { account: caller.account.into(), identity }
}

/// A request's context as the engine takes it.
struct Facts<'r> {
    request: &'r Request,
    encryption_context: Vec<(String, String)>,
    key_tags: Vec<(String, String)>,
    request_tags: Vec<(String, String)>,
    resource_tags: Vec<(String, String)>,
}

impl<'r> Facts<'r> {
    fn new(request: &'r Request) -> Self {
        let below = |start: &str| {
            let named = request.context.iter().filter_map(|(key, value)| Some((key.strip_prefix(start)?, value)));
            named.map(|(name, value)| (name.to_owned(), value.clone())).collect()
        };
        Self {
            request,
            encryption_context: below("kms:EncryptionContext:"),
            key_tags: below("kms:tag/"),
            request_tags: below("acs:RequestTag/"),
            resource_tags: below("acs:ResourceTag/"),
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.request.context.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn context(&self) -> Context<'_> {
        Context {
            source_ip: self.text("acs:SourceIp").map(|text| text.parse().unwrap()),
            current_time: self.text("acs:CurrentTime").map(|text| text.parse().unwrap()),
            secure_transport: self.text("acs:SecureTransport").map(|text| text == "true"),
            mfa_present: self.text("acs:MFAPresent").map(|text| text == "true"),
            principal_arn: self.text("acs:PrincipalARN"),
            source_vpc: self.text("acs:SourceVpc"),
            vpc_source_ip: self.text("acs:VpcSourceIp").map(|text| text.parse().unwrap()),
            encryption_algorithm: self.text("kms:EncryptionAlgorithm"),
            encryption_context: &self.encryption_context,
            key_tags: &self.key_tags,
            request_tags: &self.request_tags,
            resource_tags: &self.resource_tags,
            tags_unknown: None,
        }
    }
}
