//! Rego, as regorus evaluates it: by its interpreter, by a compiled policy, and by its virtual machine.
//!
//! The policies are data. In one form they are statements, found by the key's id; in the other they are nested objects
//! in which a question is looked up from key to action, which is quicker and leaves nothing of the statements.

use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{CompiledPolicy, PolicyModule, Value, compile_policy_with_entrypoint};
use serde_json::{Map, json};

use crate::contender::Engine;
use crate::scenario::{self, ACCOUNT, ACTIONS, Key, Question, Scenario, USERS, Who};

const ALLOW: &str = "data.authz.allow";

/// How the policies are held.
enum Form {
    Statements,
    Index,
}

struct Interpreter {
    engine: regorus::Engine,
    inputs: Vec<Value>,
}

struct Compiled {
    policy: CompiledPolicy,
    inputs: Vec<Value>,
}

struct Machine {
    machine: RegoVM,
    inputs: Vec<Value>,
}

impl Engine for Interpreter {
    fn allows(&mut self, question: usize) -> bool {
        self.engine.set_input(self.inputs[question].clone());
        self.engine.eval_rule(ALLOW.to_owned()).expect("an answer") == Value::Bool(true)
    }
}

impl Engine for Compiled {
    fn allows(&mut self, question: usize) -> bool {
        self.policy.eval_with_input(self.inputs[question].clone()).expect("an answer") == Value::Bool(true)
    }
}

impl Engine for Machine {
    fn allows(&mut self, question: usize) -> bool {
        self.machine.set_input(self.inputs[question].clone());
        self.machine.execute_entry_point_by_index(0).expect("an answer") == Value::Bool(true)
    }
}

/// The interpreter, with statements.
pub fn interpreter_statements(scenario: &Scenario) -> Box<dyn Engine> {
    interpreter(scenario, &Form::Statements)
}

/// A compiled policy, with statements.
pub fn compiled_statements(scenario: &Scenario) -> Box<dyn Engine> {
    let form = Form::Statements;
    Box::new(Compiled { policy: form.compile(form.data(scenario)), inputs: inputs(scenario) })
}

/// The virtual machine, with statements.
pub fn machine_statements(scenario: &Scenario) -> Box<dyn Engine> {
    machine(scenario, &Form::Statements)
}

/// The virtual machine, with nested objects.
pub fn machine_index(scenario: &Scenario) -> Box<dyn Engine> {
    machine(scenario, &Form::Index)
}

fn interpreter(scenario: &Scenario, form: &Form) -> Box<dyn Engine> {
    let mut engine = regorus::Engine::new();
    engine.add_policy("authz.rego".to_owned(), form.rego().to_owned()).expect("Rego");
    engine.add_data(form.data(scenario)).expect("data");
    Box::new(Interpreter { engine, inputs: inputs(scenario) })
}

fn machine(scenario: &Scenario, form: &Form) -> Box<dyn Engine> {
    let policy = form.compile(Value::new_object());
    let program = Compiler::compile_from_policy(&policy, &[ALLOW]).unwrap_or_else(|error| panic!("{error:?}"));
    let mut machine = RegoVM::new_with_policy(policy);
    machine.load_program(program);
    machine.set_data(form.data(scenario)).expect("data");
    Box::new(Machine { machine, inputs: inputs(scenario) })
}

impl Form {
    fn rego(&self) -> &'static str {
        match self {
            Self::Statements => include_str!("statements.rego"),
            Self::Index => include_str!("index.rego"),
        }
    }

    fn compile(&self, data: Value) -> CompiledPolicy {
        let module = PolicyModule { id: "authz.rego".into(), content: self.rego().into() };
        compile_policy_with_entrypoint(data, &[module], ALLOW.into()).expect("Rego")
    }

    fn data(&self, scenario: &Scenario) -> Value {
        let keys = object(scenario.keys.iter().map(|key| (key.id.clone(), self.key_policy(key))));
        let users = (0..USERS).filter(|&user| scenario::has_ram_policy(user));
        let ram = object(users.map(|user| (scenario::user_name(user), self.ram_policy())));
        object([("keys".to_owned(), keys), ("ram".to_owned(), ram)])
    }

    fn key_policy(&self, key: &Key) -> Value {
        let (allowed, barred) = (scenario::user_name(key.allowed), scenario::user_name(key.barred));
        let (all, usage) = (set(&ACTIONS), set(&scenario::USE));
        match self {
            Self::Statements => json!({
                "allow": [
                    { "principals": set(&[ACCOUNT]), "actions": all },
                    { "principals": set(&[&allowed]), "actions": usage },
                ],
                "deny": [{ "principals": set(&[&barred]), "actions": usage }],
            }),
            Self::Index => json!({ "allow": { ACCOUNT: all, allowed: usage }, "deny": { barred: usage } }),
        }
        .into()
    }

    fn ram_policy(&self) -> Value {
        let granted = set(&scenario::BY_RAM);
        match self {
            Self::Statements => json!([{ "actions": granted }]),
            Self::Index => granted,
        }
        .into()
    }
}

fn object(members: impl IntoIterator<Item = (String, Value)>) -> Value {
    let members = members.into_iter().map(|(name, value)| (Value::from(name), value));
    Value::Object(Arc::new(members.collect()))
}

/// An object whose members are all true, which is how JSON has sets.
fn set(names: &[&str]) -> serde_json::Value {
    names.iter().map(|&name| (name.to_owned(), true.into())).collect::<Map<_, _>>().into()
}

fn inputs(scenario: &Scenario) -> Vec<Value> {
    let input = |question: &Question| {
        let principal = match question.who {
            Who::Root => ACCOUNT.to_owned(),
            Who::User(user) => scenario::user_name(user),
        };
        json!({ "principal": principal, "action": question.action, "key": scenario.keys[question.key].id }).into()
    };
    scenario.questions.iter().map(input).collect()
}
