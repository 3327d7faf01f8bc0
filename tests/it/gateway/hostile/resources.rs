//! P23: every parameter that names a resource decides. A caller may do everything with one key, one secret and one alias, and
//! nothing with any other; every operation of the table is asked for, with each of its parameters on either side.

use keyward::kms::{Authorization, CiphertextBlob, OPERATIONS, On, Operation};

use super::super::front::{ACCOUNT, ORDERS, PAYROLL, plain, ready};
use super::super::scripted::{Act, Recorded, Scripted, answer};
use crate::sandbox::{Caller, House};

const NARROW: Caller = Caller { id: "LTAIKeywardExampleNarrow", secret: "keyward-example-secret-narrow" };

const V_ORDERS: &str = "11111111-1111-1111-1111-111111111111";
const V_PAYROLL: &str = "22222222-2222-2222-2222-222222222222";

/// What a parameter says on the allowed side, and what on the others.
fn values(name: &str) -> (String, Vec<String>) {
    let arn = |account: &str, rest: &str| format!("acs:kms:cn-hangzhou:{account}:{rest}");
    let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    match name {
        "AliasName" => ("alias/orders".to_owned(), strings(&["alias/payroll", "alias/orders2", "alias/Orders"])),
        "SecretName" => {
            let others = [arn(ACCOUNT, "secret/payroll/db"), arn("6543210987654321", "secret/orders/db")];
            ("orders/db".to_owned(), [strings(&["payroll/db", "orders/db2", "Orders/db"]), others.to_vec()].concat())
        }
        "CiphertextBlob" => {
            let blob = |version: &str| CiphertextBlob::new(version, b"sealed").encode();
            (blob(V_ORDERS), vec![blob(V_PAYROLL)])
        }
        _ => {
            let others = [
                arn(ACCOUNT, &format!("key/{PAYROLL}")),
                arn(ACCOUNT, "alias/payroll"),
                arn("6543210987654321", &format!("key/{ORDERS}")),
            ];
            let upper = ORDERS.to_uppercase();
            (ORDERS.to_owned(), [strings(&[PAYROLL, "alias/payroll", "key-nobody", &upper]), others.to_vec()].concat())
        }
    }
}

/// The ways to ask for an operation: each a set of parameters, all on the allowed side.
fn ways(operation: &Operation) -> Vec<Vec<(String, String)>> {
    let Authorization::Needs(needs) = operation.authorization else { return Vec::new() };
    let mut ways: Vec<Vec<&str>> = vec![Vec::new()];
    for need in needs {
        let names = need.on.parameters();
        let choices: Vec<Vec<&str>> = match need.on {
            // One of the two, or the key beside a ciphertext.
            On::KeyInEither(..) | On::KeyOrSecret(..) => names.iter().map(|name| vec![*name]).collect(),
            On::KeyOrCiphertext(key, ciphertext) => vec![vec![ciphertext], vec![key, ciphertext]],
            On::Batch => vec![vec!["ResourceId.1"], vec!["ResourceId.1", "ResourceId.2"]],
            _ => vec![names],
        };
        let joined = |way: &Vec<&'static str>, choice: &Vec<&'static str>| [way.clone(), choice.clone()].concat();
        ways = ways.iter().flat_map(|way| choices.iter().map(move |choice| joined(way, choice))).collect();
    }
    let filled = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.dedup();
        let is_batch = names.iter().any(|name| name.starts_with("ResourceId"));
        let kind = is_batch.then(|| ("ResourceType".to_owned(), "key".to_owned()));
        names.into_iter().map(|name| (name.to_owned(), values(name).0)).chain(kind).collect()
    };
    ways.into_iter().filter(|names| !names.is_empty()).map(filled).collect()
}

/// A KMS that says of everything that it is about the key of the orders.
fn about_orders(_: &Recorded, _: usize) -> Vec<Act> {
    let key = format!(r#"{{"KeyId":"{ORDERS}"}}"#);
    let body = format!(r#"{{"KeyId":"{ORDERS}","KeyMetadata":{key},"KeyVersion":{key},"RequestId":"r"}}"#);
    vec![Act::Send(answer(200, &body))]
}

/// A house where a caller may do everything with what belongs to the orders, and all names are known.
fn narrow_house(kms: &Scripted) -> House {
    let changes = [
        ("lookups = true", "lookups = false"),
        ("policy_operations = \"served\"", "policy_operations = \"forwarded\""),
    ];
    let house = plain(&kms.address, &changes);
    let user = "[accounts.1234567890123456.users.alice]\n";
    let narrow = format!(
        "[accounts.1234567890123456.users.narrow]\npolicies = [\"Narrow\"]\naccess_keys = [{{ id = \"{}\", secret = \"{}\" }}]\n\n{user}",
        NARROW.id, NARROW.secret
    );
    house.edit("config/identities.toml", user, &narrow);
    let resources = format!(
        r#"["acs:kms:*:{ACCOUNT}:key/{ORDERS}","acs:kms:*:{ACCOUNT}:secret/orders/db","acs:kms:*:{ACCOUNT}:alias/orders","acs:kms:*:{ACCOUNT}:secret"]"#
    );
    let policy =
        format!(r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"kms:*","Resource":{resources}}}]}}"#);
    house.write("policies/ram/Narrow.json", &policy);
    house.write(
        "policies/resources.toml",
        &format!(
            "[keys.{ORDERS}]\nversions = ['{V_ORDERS}']\naliases = ['alias/orders']\n\
             [keys.{PAYROLL}]\nversions = ['{V_PAYROLL}']\naliases = ['alias/payroll']\n\
             [secrets.'orders/db']\nkey = '{ORDERS}'\n\
             [secrets.'payroll/db']\nkey = '{PAYROLL}'\n"
        ),
    );
    house
}

#[test]
fn p23_every_parameter_that_names_a_resource_decides() {
    let kms = Scripted::start(about_orders);
    let house = narrow_house(&kms);
    let running = house.start();
    ready(&running);
    let mut complaints = Vec::new();
    let (mut asked, mut changed) = (0, 0);
    let ask = |operation: &str, params: &[(String, String)]| {
        let before = kms.requests().len();
        let given: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = running.call(NARROW, operation, &given);
        (reply.status, reply.body, kms.requests().split_off(before))
    };
    for operation in OPERATIONS {
        for way in ways(operation) {
            let (status, body, received) = ask(operation.name, &way);
            let is_sent = matches!(&received[..], [one] if one.operation() == operation.name
                && way.iter().all(|(name, value)| one.parameter(name).as_ref() == Some(value)));
            if status != 200 || !is_sent {
                complaints.push(format!("{} {way:?}: {status} {body} {received:?}", operation.name));
            }
            asked += 1;
            for (at, (name, _)) in way.iter().enumerate() {
                // Of a ciphertext that is known, its own key counts; the one that is named beside it does not.
                let decides = name != "ResourceType" && name != "SourceKeyId";
                let others = if decides { values(name.split('.').next().unwrap()).1 } else { Vec::new() };
                for other in others {
                    let mut changed_way = way.clone();
                    changed_way[at].1 = other;
                    let (status, body, received) = ask(operation.name, &changed_way);
                    if !(400..500).contains(&status) || !received.is_empty() {
                        complaints.push(format!("{} {changed_way:?}: {status} {body} {received:?}", operation.name));
                    }
                    changed += 1;
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(asked > 50 && changed > 200, "{asked} {changed}");
}
