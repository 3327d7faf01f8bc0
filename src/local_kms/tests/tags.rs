//! Tags of keys and secrets, one by one and in batches, and what conditions see of them.

use serde_json::{Value, json};

use super::support::*;

fn house() -> (House, String) {
    let house = House::new();
    let key = house.key();
    house.ok("CreateSecret", &[("SecretName", "db"), ("VersionId", "1"), ("SecretData", "x")]);
    (house, key)
}

fn tags_of(house: &House, key: &str) -> Vec<(String, String)> {
    let listed = house.ok("ListResourceTags", &[("KeyId", key)]);
    let tags = listed["Tags"]["Tag"].as_array().unwrap().iter();
    tags.map(|tag| (text(tag, "/TagKey"), text(tag, "/TagValue"))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn tags_are_added_replaced_and_taken_away() {
    let (house, key) = house();
    house.ok(
        "TagResource",
        &[("KeyId", &key), ("Tags", r#"[{"TagKey":"a","TagValue":"1"},{"TagKey":"b","TagValue":"2"}]"#)],
    );
    house.ok("TagResource", &[("KeyId", &key), ("Tags", r#"[{"TagKey":"a","TagValue":"3"}]"#)]);
    let house = house.reopened();
    assert_eq!(tags_of(&house, &key), pairs(&[("b", "2"), ("a", "3")]));
    house.ok("UntagResource", &[("KeyId", &key), ("TagKeys", r#"["a","c"]"#)]);
    assert_eq!(tags_of(&house, &key), pairs(&[("b", "2")]));
    house.ok("TagResource", &[("SecretName", "db"), ("Tags", r#"[{"TagKey":"a","TagValue":"1"}]"#)]);
    let described = house.ok("DescribeSecret", &[("SecretName", "db"), ("FetchTags", "true")]);
    assert_eq!(described["Tags"]["Tag"], json!([{"TagKey": "a", "TagValue": "1"}]));
    let many: Vec<Value> = (0..20).map(|n| json!({"TagKey": format!("k{n}"), "TagValue": ""})).collect();
    let told = house.refused("TagResource", &[("KeyId", &key), ("Tags", &Value::from(many).to_string())]);
    assert!(told.starts_with("400 Rejected.LimitExceeded"), "{told}");
}

#[test]
fn batches_change_all_or_nothing() {
    let (house, key) = house();
    let other = house.key();
    let both = [
        ("RegionId", REGION),
        ("ResourceType", "key"),
        ("ResourceId.1", key.as_str()),
        ("ResourceId.2", other.as_str()),
    ];
    let tag = [("Tag.1.Key", "env"), ("Tag.1.Value", "test")];
    house.ok("TagResources", &[&both[..], &tag].concat());
    assert_eq!(
        (tags_of(&house, &key), tags_of(&house, &other)),
        (pairs(&[("env", "test")]), pairs(&[("env", "test")]))
    );
    let one_is_gone = [both[0], both[1], both[2], ("ResourceId.2", "key-none"), ("TagKey.1", "env")];
    assert!(house.refused("UntagResources", &one_is_gone).starts_with("404 Forbidden.KeyNotFound"));
    assert_eq!(tags_of(&house, &key).len(), 1);
    let listed = house.ok("ListTagResources", &[("RegionId", REGION), ("ResourceType", "key"), ("Tag.1.Key", "env")]);
    assert_eq!(listed["TagResources"]["TagResource"].as_array().unwrap().len(), 2);
    assert_eq!(listed["NextToken"], "");
    let none = house.ok("ListTagResources", &[both[0], both[1], ("Tag.1.Key", "env"), ("Tag.1.Value", "no")]);
    assert_eq!(none["TagResources"]["TagResource"], json!([]));
    house.ok("UntagResources", &[&both[..], &[("All", "true")]].concat());
    assert_eq!((tags_of(&house, &key), tags_of(&house, &other)), (vec![], vec![]));
    for wrong in [&[][..], &[("All", "true"), ("TagKey.1", "a")]] {
        assert!(house.refused("UntagResources", &[&both[..], wrong].concat()).starts_with("400 "), "{wrong:?}");
    }
    house.ok("TagResources", &[both[0], ("ResourceType", "secret"), ("ResourceId.1", "db"), tag[0], tag[1]]);
    let of_secrets = house.ok("ListTagResources", &[both[0], ("ResourceType", "secret")]);
    let expected = json!([{"ResourceId": "db", "ResourceType": "secret", "TagKey": "env", "TagValue": "test"}]);
    assert_eq!(of_secrets["TagResources"]["TagResource"], expected);
}

#[test]
fn long_lists_come_in_parts() {
    let (house, _) = house();
    let many: Vec<Value> = (0..20).map(|n| json!({"TagKey": format!("k{n}"), "TagValue": ""})).collect();
    let many = Value::from(many).to_string();
    for _ in 0..11 {
        house.ok("CreateKey", &[("Tags", &many)]);
    }
    let first = house.ok("ListTagResources", &[("RegionId", REGION), ("ResourceType", "key")]);
    let token = text(&first, "/NextToken");
    let rest = house.ok("ListTagResources", &[("RegionId", REGION), ("ResourceType", "key"), ("NextToken", &token)]);
    let count = |answer: &Value| answer["TagResources"]["TagResource"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&rest), &rest["NextToken"]), (200, 20, &json!("")));
}

#[test]
fn a_batch_has_its_limits() {
    let (house, key) = house();
    let numbered = |name: &str, count: usize| (1..=count).map(|n| format!("{name}.{n}")).collect::<Vec<_>>();
    let (resources, keys) = (numbered("ResourceId", 51), numbered("TagKey", 21));
    let of = |count: usize| -> Vec<(&str, &str)> {
        let ids = resources.iter().take(count).map(|name| (name.as_str(), key.as_str()));
        ids.chain([("ResourceType", "key"), ("Tag.1.Key", "a"), ("Tag.1.Value", "1")]).collect()
    };
    house.ok("TagResources", &of(50));
    house.ok("ListTagResources", &of(50));
    let told = "400 InvalidParameter: The specified parameter \"ResourceId\" is not valid: there may be 50 resources.";
    check_refusals(&house, &[("TagResources", &of(51), told), ("ListTagResources", &of(51), told)]);
    let untag = |count: usize| -> Vec<(&str, &str)> {
        let names = keys.iter().take(count).map(|name| (name.as_str(), name.as_str()));
        names.chain([("ResourceType", "key"), ("ResourceId.1", key.as_str())]).collect()
    };
    house.ok("UntagResources", &untag(20));
    let told = "400 InvalidParameter: The specified parameter \"TagKey\" is not valid: there may be 20 keys.";
    check_refusals(&house, &[("UntagResources", &untag(21), told)]);
}
