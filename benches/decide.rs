//! How long one decision takes, by where the deciding statement stands and how many keys have policies.
//!
//! `cargo bench --bench decide`

#![expect(clippy::panic, reason = "a measuring program stops where it cannot go on")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use keyward::authz::{parse_policy, vocabulary};
use keyward::policy::{AccountPrincipal, Context, Identity, Kind, Policy, Principal, Question, decide};

const OWNER: &str = "1234567890123456";

fn key_policy(users: usize) -> Policy {
    let statement = |user: usize| {
        format!(
            r#"{{"Sid":"user{user}","Effect":"Allow","Principal":{{"RAM":["acs:ram::{OWNER}:user/user{user}"]}},
                "Action":["kms:Encrypt","kms:Decrypt","kms:GenerateDataKey"],"Resource":["*"]}}"#
        )
    };
    let statements: Vec<String> = (0..users).map(statement).collect();
    let text = format!(r#"{{"Version":"1","Statement":[{}]}}"#, statements.join(","));
    parse_policy(Kind::Key, "bench", &text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn ram_policy() -> Arc<Policy> {
    let text = format!(
        r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":["kms:List*","kms:Describe*"],
            "Resource":["acs:kms:*:{OWNER}:key/*","acs:kms:*:{OWNER}:secret/*"]}}]}}"#
    );
    Arc::new(parse_policy(Kind::Ram, "bench", &text).unwrap_or_else(|problems| panic!("{problems:?}")))
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    let ram = [ram_policy()];
    for statements in [1, 3, 10, 50] {
        let policy = key_policy(statements);
        for (name, user) in
            [("last statement allows", format!("user{}", statements - 1)), ("none allows", "nobody".into())]
        {
            let principal = Principal { account: OWNER.into(), identity: Identity::User(user.as_str().into()) };
            let question = Question {
                principal: &principal,
                action: vocabulary().action("kms:Decrypt"),
                resource: "acs:kms:cn-hangzhou:1234567890123456:key/key-hzz62f1cb66fa42qo19abc",
                owner: OWNER,
                identity_policies: &ram,
                session_policy: None,
                resource_policy: Some(&policy),
                context: Context::default(),
                account_principal: AccountPrincipal::Delegates,
            };
            group.bench_with_input(BenchmarkId::new(name, statements), &question, |bencher, question| {
                bencher.iter(|| black_box(decide(black_box(question))));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
