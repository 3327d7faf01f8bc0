//! Policies and questions that the bytes choose: engine and reference agree, a Deny of everything refuses, and one
//! Deny more never allows.
#![no_main]

use keyward_fuzz::ask::Asked;
use keyward_fuzz::document::Attached;
use keyward_fuzz::evaluate::{Outcome, Request};
use keyward_fuzz::generate::{Dice, Set, policy_of};
use keyward_fuzz::json::Json;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let dice = &mut Dice::of_bytes(data);
    let set = Set::roll(dice);
    let requests: Vec<Request> = (0..4).map(|_| set.roll_request(dice)).collect();
    let mut with_deny = set.clone();
    with_deny.identity.push(policy_of(vec![set.roll_statement(dice, Attached::Ram, "Deny")]));
    let mut with_all_denied = set.clone();
    with_all_denied.identity.push(policy_of(vec![deny_of_everything()]));
    let [set, with_deny, with_all_denied] =
        [set, with_deny, with_all_denied].map(|set| Asked::new(&set).expect("what is made is legal"));
    for request in &requests {
        let before = set.engine(request);
        assert_eq!(before, set.reference(request), "{request:?}");
        for (operator, engine, reference) in set.clauses(request) {
            assert_eq!(engine, reference, "{operator} {request:?}");
        }
        let after = with_deny.engine(request);
        assert!(before == Outcome::Allowed || after != Outcome::Allowed, "a Deny allowed {request:?}");
        let denied = with_all_denied.engine(request) == Outcome::ExplicitDeny;
        assert!(denied || request.caller.ends_with(":root"), "a Deny did not bind {request:?}");
    }
});

fn deny_of_everything() -> Json {
    Json::object([("Effect", Json::text("Deny")), ("Action", Json::text("*")), ("Resource", Json::text("*"))])
}
