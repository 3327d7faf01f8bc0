//! A Keyward in front of a KMS: the example set, and settings like those of `config/gateway.toml`.

use std::os::unix::fs::PermissionsExt;

use crate::sandbox::{House, KIM, Running, wait};

/// The account of the examples.
pub const ACCOUNT: &str = "1234567890123456";

/// The keys of the examples.
pub const ORDERS: &str = "key-exampleorders01";
pub const PAYROLL: &str = "key-examplepayroll01";

/// A house whose Keyward forwards to `endpoint`, signing as kim. `changes` are made to the settings: text and replacement.
pub fn front(endpoint: &str, changes: &[(&str, &str)]) -> House {
    let house = House::new();
    let settings = house.read("config/gateway.toml");
    house.write("config/keyward.toml", &settings);
    house.write("config/kim.secret", KIM.secret);
    std::fs::set_permissions(house.path("config/kim.secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let source = format!("source = \"access_key\"\nid = \"{}\"\nsecret_file = \"kim.secret\"", KIM.id);
    let endpoint = format!("endpoint = \"{endpoint}\"");
    for (old, new) in [
        ("127.0.0.1:7480", "127.0.0.1:0"),
        ("127.0.0.1:7481", "127.0.0.1:0"),
        ("endpoint = \"https://kms.cn-hangzhou.aliyuncs.com\"", endpoint.as_str()),
        ("source = \"environment\"", source.as_str()),
        ("[policies]", "[limits]\nnotice_seconds = 0\n\n[policies]\ndebounce_ms = 20"),
    ]
    .iter()
    .chain(changes)
    {
        house.edit("config/keyward.toml", old, new);
    }
    house
}

/// The same over plain HTTP on loopback.
pub fn plain(address: &str, changes: &[(&str, &str)]) -> House {
    front(&format!("http://{address}"), changes)
}

/// Waits until there is something to sign with; before that KMS is not asked.
#[track_caller]
pub fn ready(running: &Running<'_>) {
    let fetched = || running.metric("keyward_upstream_credential_fetches_total{result=\"fetched\"}");
    assert!(wait(|| fetched() > 0.0), "no credential was fetched");
}
