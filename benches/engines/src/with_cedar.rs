//! Cedar, in five ways to hold the policies.
//!
//! Cedar looks at every policy of a policy set for every question. So beside the plain way, all policies in one set,
//! there is the one in which the caller picks a small set for the key first; both with plain policies and with linked
//! templates. The fifth keeps the number of policies fixed and says in each key's attributes whom it speaks of; it can
//! only express keys whose policies are all of the same form.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    Request, RestrictedExpression, SlotId, Template,
};

use crate::contender::Engine;
use crate::scenario::{self, ACCOUNT, ACTIONS, Key, Question, Scenario, USERS, Who};

/// One set of policies for all questions.
struct OneSet {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    requests: Vec<Request>,
}

/// A set of policies for each key.
struct Slices {
    authorizer: Authorizer,
    by_key: HashMap<String, PolicySet>,
    entities: Entities,
    requests: Vec<(String, Request)>,
}

impl Engine for OneSet {
    fn allows(&mut self, question: usize) -> bool {
        let request = &self.requests[question];
        self.authorizer.is_authorized(request, &self.policies, &self.entities).decision() == Decision::Allow
    }
}

impl Engine for Slices {
    fn allows(&mut self, question: usize) -> bool {
        let (key, request) = &self.requests[question];
        let Some(policies) = self.by_key.get(key) else { return false };
        self.authorizer.is_authorized(request, policies, &self.entities).decision() == Decision::Allow
    }
}

/// All policies in one set.
pub fn one_set(scenario: &Scenario) -> Box<dyn Engine> {
    one_set_of(scenario, add_policies)
}

/// All policies in one set, as linked templates.
pub fn one_set_linked(scenario: &Scenario) -> Box<dyn Engine> {
    let templates = templates();
    one_set_of(scenario, |set, key| link(set, &templates, key))
}

/// The policies of each key in a set of their own.
pub fn slices(scenario: &Scenario) -> Box<dyn Engine> {
    slices_of(scenario, add_policies)
}

/// The policies of each key in a set of their own, as linked templates.
pub fn slices_linked(scenario: &Scenario) -> Box<dyn Engine> {
    let templates = templates();
    slices_of(scenario, |set, key| link(set, &templates, key))
}

/// Four policies in all; each key's attributes say whom they speak of.
pub fn attributes(scenario: &Scenario) -> Box<dyn Engine> {
    let mut policies = with_ram_policy();
    let usage = action_list(&scenario::USE);
    for (name, text) in [
        ("owner", format!(r#"permit(principal == Account::"{ACCOUNT}", action, resource in Account::"{ACCOUNT}");"#)),
        (
            "allow",
            format!("permit(principal, action in {usage}, resource) when {{ resource.allowed.contains(principal) }};"),
        ),
        (
            "deny",
            format!("forbid(principal, action in {usage}, resource) when {{ resource.barred.contains(principal) }};"),
        ),
    ] {
        policies.add(policy(name, &text)).expect("a new id");
    }
    Box::new(OneSet {
        authorizer: Authorizer::new(),
        policies,
        entities: entities(scenario, true),
        requests: scenario.questions.iter().map(|question| request(question, scenario)).collect(),
    })
}

fn one_set_of(scenario: &Scenario, add: impl Fn(&mut PolicySet, &Key)) -> Box<dyn Engine> {
    let mut policies = with_ram_policy();
    for key in &scenario.keys {
        add(&mut policies, key);
    }
    Box::new(OneSet {
        authorizer: Authorizer::new(),
        policies,
        entities: entities(scenario, false),
        requests: scenario.questions.iter().map(|question| request(question, scenario)).collect(),
    })
}

fn slices_of(scenario: &Scenario, add: impl Fn(&mut PolicySet, &Key)) -> Box<dyn Engine> {
    let shared = with_ram_policy();
    let slice = |key: &Key| {
        let mut policies = shared.clone();
        add(&mut policies, key);
        (key.id.clone(), policies)
    };
    let asked = |question: &Question| (scenario.keys[question.key].id.clone(), request(question, scenario));
    Box::new(Slices {
        authorizer: Authorizer::new(),
        by_key: scenario.keys.iter().map(slice).collect(),
        entities: entities(scenario, false),
        requests: scenario.questions.iter().map(asked).collect(),
    })
}

/// The RAM policy, attached through a group.
fn with_ram_policy() -> PolicySet {
    let actions = action_list(&scenario::BY_RAM);
    let text = format!(
        r#"permit(principal in RamPolicy::"operators", action in {actions}, resource in Account::"{ACCOUNT}");"#
    );
    PolicySet::from_policies([policy("ram", &text)]).expect("one policy")
}

fn add_policies(set: &mut PolicySet, key: &Key) {
    let id = &key.id;
    let usage = action_list(&scenario::USE);
    let (allowed, barred) = (scenario::user_name(key.allowed), scenario::user_name(key.barred));
    for (name, text) in [
        ("owner", format!(r#"permit(principal == Account::"{ACCOUNT}", action, resource == Key::"{id}");"#)),
        ("allow", format!(r#"permit(principal == User::"{allowed}", action in {usage}, resource == Key::"{id}");"#)),
        ("deny", format!(r#"forbid(principal == User::"{barred}", action in {usage}, resource == Key::"{id}");"#)),
    ] {
        set.add(policy(&format!("{id} {name}"), &text)).expect("a new id");
    }
}

fn templates() -> [Template; 3] {
    let usage = action_list(&scenario::USE);
    [
        ("owner", "permit(principal == ?principal, action, resource == ?resource);".to_owned()),
        ("allow", format!("permit(principal == ?principal, action in {usage}, resource == ?resource);")),
        ("deny", format!("forbid(principal == ?principal, action in {usage}, resource == ?resource);")),
    ]
    .map(|(name, text)| Template::parse(Some(PolicyId::new(name)), text).expect("a template"))
}

fn link(set: &mut PolicySet, templates: &[Template; 3], key: &Key) {
    let principals = [uid("Account", ACCOUNT), user(key.allowed), user(key.barred)];
    for (template, principal) in templates.iter().zip(principals) {
        if set.template(template.id()).is_none() {
            set.add_template(template.clone()).expect("a new id");
        }
        let slots = HashMap::from([(SlotId::principal(), principal), (SlotId::resource(), uid("Key", &key.id))]);
        let id = PolicyId::new(format!("{} {}", key.id, template.id()));
        set.link(template.id().clone(), id, slots).expect("a link");
    }
}

fn entities(scenario: &Scenario, with_attributes: bool) -> Entities {
    let account = uid("Account", ACCOUNT);
    let keys = scenario.keys.iter().map(|key| {
        let attributes = if with_attributes { attributes_of(key) } else { HashMap::new() };
        Entity::new(uid("Key", &key.id), attributes, HashSet::from([account.clone()])).expect("a key")
    });
    let users = (0..USERS).map(|number| {
        let groups = scenario::has_ram_policy(number).then(|| uid("RamPolicy", "operators"));
        Entity::new_no_attrs(user(number), groups.into_iter().collect())
    });
    let others = ACTIONS.map(|action| uid("Action", action)).into_iter();
    let others = others.chain([account.clone(), uid("RamPolicy", "operators")]);
    let others = others.map(|uid| Entity::new_no_attrs(uid, HashSet::new()));
    Entities::from_entities(keys.chain(users).chain(others), None).expect("entities")
}

fn attributes_of(key: &Key) -> HashMap<String, RestrictedExpression> {
    let only = |number| RestrictedExpression::new_set([RestrictedExpression::new_entity_uid(user(number))]);
    HashMap::from([("allowed".to_owned(), only(key.allowed)), ("barred".to_owned(), only(key.barred))])
}

fn request(question: &Question, scenario: &Scenario) -> Request {
    let principal = match question.who {
        Who::Root => uid("Account", ACCOUNT),
        Who::User(number) => user(number),
    };
    let resource = uid("Key", &scenario.keys[question.key].id);
    Request::new(principal, uid("Action", question.action), resource, Context::empty(), None).expect("a request")
}

fn policy(id: &str, text: &str) -> Policy {
    Policy::parse(Some(PolicyId::new(id)), text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn action_list(actions: &[&str]) -> String {
    let actions: Vec<String> = actions.iter().map(|action| format!("Action::\"{action}\"")).collect();
    format!("[{}]", actions.join(", "))
}

fn user(number: usize) -> EntityUid {
    uid("User", &scenario::user_name(number))
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(EntityTypeName::from_str(kind).expect("a type"), EntityId::new(id))
}
