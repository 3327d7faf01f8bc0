//! Keyward: policies as they are written for Alibaba Cloud, found in the table that requests are judged by.

use std::sync::Arc;

use keyward::authz::{Owned, PolicyTable, Target, parse_policy, vocabulary};
use keyward::kms::{Address, KeyId, Resource};
use keyward::policy::{AccountPrincipal, Context, Decision, Identity, Kind, Policy, Principal, Question, decide};

use crate::contender::Engine;
use crate::scenario::{self, ACCOUNT, Key, Scenario, USERS, Who};

const REGION: &str = "cn-hangzhou";

struct Keyward {
    policies: PolicyTable,
    /// The users in their order, then root.
    principals: Vec<Principal>,
    questions: Vec<Asked>,
}

struct Asked {
    member: usize,
    action: String,
    resource: Resource,
    target: Target,
}

/// Keyward with the policies of a scenario.
pub fn build(scenario: &Scenario) -> Box<dyn Engine> {
    let policies = PolicyTable {
        keys: [(ACCOUNT.to_owned(), scenario.keys.iter().map(key_policy).collect())].into_iter().collect(),
        members: members(),
        ..PolicyTable::default()
    };
    let users = (0..USERS).map(|user| Identity::User(scenario::user_name(user).into()));
    let principals = users.chain([Identity::Root]);
    Box::new(Keyward {
        policies,
        principals: principals.map(|identity| Principal { account: ACCOUNT.into(), identity }).collect(),
        questions: scenario.questions.iter().map(|question| asked(question, scenario)).collect(),
    })
}

fn key_policy(key: &Key) -> (String, Arc<Policy>) {
    let user = |user| format!("acs:ram::{ACCOUNT}:user/{}", scenario::user_name(user));
    let (allowed, barred) = (user(key.allowed), user(key.barred));
    let actions = scenario::USE.map(|action| format!("\"kms:{action}\"")).join(",");
    let text = format!(
        r#"{{"Version":"1","Statement":[
            {{"Effect":"Allow","Principal":{{"RAM":["acs:ram::{ACCOUNT}:*"]}},"Action":["kms:*"],"Resource":["*"]}},
            {{"Effect":"Allow","Principal":{{"RAM":["{allowed}"]}},"Action":[{actions}],"Resource":["*"]}},
            {{"Effect":"Deny","Principal":{{"RAM":["{barred}"]}},"Action":[{actions}],"Resource":["*"]}}]}}"#
    );
    (key.id.clone(), policy(Kind::Key, &format!("keys/{}.json", key.id), &text))
}

fn members() -> Arc<[Box<[Arc<Policy>]>]> {
    let actions = scenario::BY_RAM.map(|action| format!("\"kms:{action}\"")).join(",");
    let text = format!(
        r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":[{actions}],
            "Resource":["acs:kms:*:{ACCOUNT}:key/*"]}}]}}"#
    );
    let ram = policy(Kind::Ram, "ram/operators.json", &text);
    let attached = |user| if scenario::has_ram_policy(user) { vec![ram.clone()] } else { Vec::new() };
    (0..USERS).map(|user| attached(user).into()).collect()
}

fn policy(kind: Kind, name: &str, text: &str) -> Arc<Policy> {
    Arc::new(parse_policy(kind, name, text).unwrap_or_else(|problems| panic!("{problems:?}")))
}

fn asked(question: &scenario::Question, scenario: &Scenario) -> Asked {
    let id = KeyId::parse(&scenario.keys[question.key].id).expect("a key's id");
    Asked {
        member: if let Who::User(user) = question.who { user } else { USERS },
        action: format!("kms:{}", question.action),
        resource: Resource::key(Address { region: REGION, account: ACCOUNT }, &id),
        target: Target::Key(Owned { region: REGION.to_owned(), account: ACCOUNT.to_owned(), name: id }),
    }
}

impl Engine for Keyward {
    fn allows(&mut self, question: usize) -> bool {
        let asked = &self.questions[question];
        let question = Question {
            principal: &self.principals[asked.member],
            action: vocabulary().action(&asked.action),
            resource: &asked.resource.arn,
            owner: &asked.resource.owner,
            identity_policies: self.policies.of_member(asked.member),
            session_policy: None,
            resource_policy: self.policies.of_target(&asked.target),
            context: Context::default(),
            account_principal: AccountPrincipal::Delegates,
        };
        matches!(decide(&question), Decision::Allow(_))
    }
}
