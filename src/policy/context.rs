//! What a condition can look at: the condition keys, their types, and their values in one request.
//!
//! Sources: KMS "Condition keys" for `acs:SourceIp`, `acs:SourceVpc`, `acs:VpcSourceIp` and the `kms:` keys, RAM
//! "Policy elements" for the others. A key that a request has no value for is absent; what that means is a matter of the
//! operator. What nobody knows is not absent: it decides nothing.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::net::IpAddr;

use jiff::Timestamp;

use super::document::Kind;

/// The type of a condition key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Any text.
    Text,
    /// An IP address.
    Address,
    /// A moment.
    Time,
    /// True or false.
    Flag,
}

/// A condition key: which value of a request a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionKey {
    /// `acs:SourceIp`: the client's address.
    SourceIp,
    /// `acs:CurrentTime`: when the request is judged.
    CurrentTime,
    /// `acs:SecureTransport`: whether it came over TLS.
    SecureTransport,
    /// `acs:MFAPresent`: whether its caller logged on with a second factor; absent for AccessKeys.
    MfaPresent,
    /// `acs:PrincipalARN`: the caller; for a session, its role.
    PrincipalArn,
    /// `acs:SourceVpc`: the VPC it came from.
    SourceVpc,
    /// `acs:VpcSourceIp`: the address inside that VPC.
    VpcSourceIp,
    /// `kms:EncryptionAlgorithm`.
    EncryptionAlgorithm,
    /// `kms:tag/<key>`: a tag of the key.
    KeyTag(Box<str>),
    /// `kms:EncryptionContext:<key>`.
    EncryptionContext(Box<str>),
    /// `acs:RequestTag/<key>`: a tag in the request.
    RequestTag(Box<str>),
    /// `acs:ResourceTag/<key>`: a tag of the key or secret.
    ResourceTag(Box<str>),
    /// A key that is not known here: it never has a value.
    Unknown(Box<str>),
}

/// One row of the table of condition keys.
#[derive(Debug)]
pub struct KeyInfo {
    /// Its name; ends in `/` or `:` where a name of the policy's author follows.
    pub name: &'static str,
    /// Its value's type.
    pub value_type: ValueType,
    /// The kinds of policies in which the documentation has it.
    pub legal_in: &'static [Kind],
    /// Where its value comes from, in words.
    pub from: &'static str,
    make: fn(&str) -> ConditionKey,
}

const EVERYWHERE: &[Kind] = &[Kind::Key, Kind::Secret, Kind::Ram];
const KEYS_AND_RAM: &[Kind] = &[Kind::Key, Kind::Ram];

/// The condition keys. Names are compared without regard to case, what the policy's author adds to them with it.
pub const CONDITION_KEYS: &[KeyInfo] = &[
    KeyInfo {
        name: "acs:SourceIp",
        value_type: ValueType::Address,
        legal_in: EVERYWHERE,
        from: "the client's address: the socket's, or X-Forwarded-For of a trusted proxy",
        make: |_| ConditionKey::SourceIp,
    },
    KeyInfo {
        name: "acs:CurrentTime",
        value_type: ValueType::Time,
        legal_in: EVERYWHERE,
        from: "the time at which the request is judged",
        make: |_| ConditionKey::CurrentTime,
    },
    KeyInfo {
        name: "acs:SecureTransport",
        value_type: ValueType::Flag,
        legal_in: EVERYWHERE,
        from: "whether the client's connection is TLS",
        make: |_| ConditionKey::SecureTransport,
    },
    KeyInfo {
        name: "acs:MFAPresent",
        value_type: ValueType::Flag,
        legal_in: EVERYWHERE,
        from: "absent for callers with an AccessKey",
        make: |_| ConditionKey::MfaPresent,
    },
    KeyInfo {
        name: "acs:PrincipalARN",
        value_type: ValueType::Text,
        legal_in: EVERYWHERE,
        from: "the caller's ARN; for a session, its role's",
        make: |_| ConditionKey::PrincipalArn,
    },
    KeyInfo {
        name: "acs:SourceVpc",
        value_type: ValueType::Text,
        legal_in: EVERYWHERE,
        from: "the setting network.source_vpc",
        make: |_| ConditionKey::SourceVpc,
    },
    KeyInfo {
        name: "acs:VpcSourceIp",
        value_type: ValueType::Address,
        legal_in: EVERYWHERE,
        from: "the client's address, where network.source_vpc is set",
        make: |_| ConditionKey::VpcSourceIp,
    },
    KeyInfo {
        name: "kms:EncryptionAlgorithm",
        value_type: ValueType::Text,
        legal_in: KEYS_AND_RAM,
        from: "SYMMETRIC_DEFAULT for symmetric operations, otherwise the parameter Algorithm",
        make: |_| ConditionKey::EncryptionAlgorithm,
    },
    KeyInfo {
        name: "kms:EncryptionContext:",
        value_type: ValueType::Text,
        legal_in: KEYS_AND_RAM,
        from: "the member of that name in the parameter EncryptionContext",
        make: |name| ConditionKey::EncryptionContext(name.into()),
    },
    KeyInfo {
        name: "kms:tag/",
        value_type: ValueType::Text,
        legal_in: EVERYWHERE,
        from: "the tag of that name on the key",
        make: |name| ConditionKey::KeyTag(name.into()),
    },
    KeyInfo {
        name: "acs:RequestTag/",
        value_type: ValueType::Text,
        legal_in: EVERYWHERE,
        from: "the tag of that name in the request",
        make: |name| ConditionKey::RequestTag(name.into()),
    },
    KeyInfo {
        name: "acs:ResourceTag/",
        value_type: ValueType::Text,
        legal_in: EVERYWHERE,
        from: "the tag of that name on the key or secret",
        make: |name| ConditionKey::ResourceTag(name.into()),
    },
];

impl ConditionKey {
    /// Reads a key as a policy writes it, with its row in the table if it has one.
    pub fn parse(text: &str) -> (Self, Option<&'static KeyInfo>) {
        for info in CONDITION_KEYS {
            let named = info.name.ends_with(['/', ':']);
            let split = text.split_at_checked(info.name.len());
            let Some((name, rest)) = split.filter(|(name, _)| name.eq_ignore_ascii_case(info.name)) else { continue };
            if named != rest.is_empty() && name.len() == info.name.len() {
                return ((info.make)(rest), Some(info));
            }
        }
        (Self::Unknown(text.into()), None)
    }

    /// The key as the table names it.
    pub fn name(&self) -> String {
        match self {
            Self::KeyTag(name) => format!("kms:tag/{name}"),
            Self::EncryptionContext(name) => format!("kms:EncryptionContext:{name}"),
            Self::RequestTag(name) => format!("acs:RequestTag/{name}"),
            Self::ResourceTag(name) => format!("acs:ResourceTag/{name}"),
            Self::Unknown(name) => name.to_string(),
            Self::SourceIp => "acs:SourceIp".to_owned(),
            Self::CurrentTime => "acs:CurrentTime".to_owned(),
            Self::SecureTransport => "acs:SecureTransport".to_owned(),
            Self::MfaPresent => "acs:MFAPresent".to_owned(),
            Self::PrincipalArn => "acs:PrincipalARN".to_owned(),
            Self::SourceVpc => "acs:SourceVpc".to_owned(),
            Self::VpcSourceIp => "acs:VpcSourceIp".to_owned(),
            Self::EncryptionAlgorithm => "kms:EncryptionAlgorithm".to_owned(),
        }
    }
}

/// Names and values: tags, or an EncryptionContext.
pub type Pairs = [(String, String)];

/// The values that one request has for condition keys.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The client's address.
    pub source_ip: Option<IpAddr>,
    /// When the request is judged.
    pub current_time: Option<Timestamp>,
    /// Whether it came over TLS.
    pub secure_transport: Option<bool>,
    /// Whether its caller logged on with a second factor.
    pub mfa_present: Option<bool>,
    /// The caller's ARN; for a session, its role's.
    pub principal_arn: Option<&'a str>,
    /// The VPC it came from.
    pub source_vpc: Option<&'a str>,
    /// The address inside that VPC.
    pub vpc_source_ip: Option<IpAddr>,
    /// The algorithm of a cryptographic operation.
    pub encryption_algorithm: Option<&'a str>,
    /// The EncryptionContext.
    pub encryption_context: &'a Pairs,
    /// The tags of the key.
    pub key_tags: &'a Pairs,
    /// The tags in the request.
    pub request_tags: &'a Pairs,
    /// The tags of the key or secret.
    pub resource_tags: &'a Pairs,
    /// Where nobody knows the tags of the key or secret: set when a condition looks at them.
    pub tags_unknown: Option<&'a Cell<bool>>,
}

/// The value of a condition key in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// An address, in its canonical form (IPv4-mapped IPv6 is IPv4).
    Address(IpAddr),
    /// A moment.
    Time(Timestamp),
    /// True or false.
    Flag(bool),
}

impl<'a> Context<'a> {
    /// Whether nobody knows the value of a key, or that there is none.
    pub fn is_unknown(&self, key: &ConditionKey) -> bool {
        match (self.tags_unknown, key) {
            (Some(looked_at), ConditionKey::KeyTag(_) | ConditionKey::ResourceTag(_)) => {
                looked_at.set(true);
                true
            }
            _ => false,
        }
    }

    /// The value of a key, if the request has one.
    pub fn value(&self, key: &ConditionKey) -> Option<Value<'a>> {
        let address = |address: Option<IpAddr>| address.map(|address| Value::Address(address.to_canonical()));
        match key {
            ConditionKey::SourceIp => address(self.source_ip),
            ConditionKey::CurrentTime => self.current_time.map(Value::Time),
            ConditionKey::SecureTransport => self.secure_transport.map(Value::Flag),
            ConditionKey::MfaPresent => self.mfa_present.map(Value::Flag),
            ConditionKey::PrincipalArn => self.principal_arn.map(Value::Text),
            ConditionKey::SourceVpc => self.source_vpc.map(Value::Text),
            ConditionKey::VpcSourceIp => address(self.vpc_source_ip),
            ConditionKey::EncryptionAlgorithm => self.encryption_algorithm.map(Value::Text),
            ConditionKey::KeyTag(name) => find(self.key_tags, name),
            ConditionKey::EncryptionContext(name) => find(self.encryption_context, name),
            ConditionKey::RequestTag(name) => find(self.request_tags, name),
            ConditionKey::ResourceTag(name) => find(self.resource_tags, name),
            ConditionKey::Unknown(_) => None,
        }
    }
}

fn find<'a>(pairs: &'a Pairs, name: &str) -> Option<Value<'a>> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| Value::Text(value))
}

impl Value<'_> {
    /// Calls `read` with this value as a text, without allocating.
    pub fn with_text<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        let mut short = Short::default();
        match self {
            Self::Text(text) => return read(text),
            Self::Address(address) => drop(write!(short, "{address}")),
            Self::Time(time) => drop(write!(short, "{time}")),
            Self::Flag(flag) => drop(write!(short, "{flag}")),
        }
        read(short.as_str())
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

/// Room for an address or a moment written out; both have at most 45 characters.
struct Short {
    bytes: [u8; 64],
    length: usize,
}

impl Default for Short {
    fn default() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }
}

impl Short {
    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_without_regard_to_case_and_their_suffix_with_it() {
        for (text, expected) in [
            ("acs:SourceIp", ConditionKey::SourceIp),
            ("ACS:sourceip", ConditionKey::SourceIp),
            ("acs:PrincipalArn", ConditionKey::PrincipalArn),
            ("kms:tag/Project", ConditionKey::KeyTag("Project".into())),
            ("KMS:TAG/a/b", ConditionKey::KeyTag("a/b".into())),
            ("kms:EncryptionContext:Dept", ConditionKey::EncryptionContext("Dept".into())),
            ("acs:SourceIpx", ConditionKey::Unknown("acs:SourceIpx".into())),
            ("kms:tag/", ConditionKey::Unknown("kms:tag/".into())),
            ("kms:KeySpec", ConditionKey::Unknown("kms:KeySpec".into())),
            ("", ConditionKey::Unknown("".into())),
        ] {
            assert_eq!(ConditionKey::parse(text).0, expected, "{text}");
        }
    }

    #[test]
    fn every_key_of_the_table_reads_back_as_itself() {
        for info in CONDITION_KEYS {
            let written =
                if info.name.ends_with(['/', ':']) { format!("{}X", info.name) } else { info.name.to_owned() };
            assert_eq!(ConditionKey::parse(&written).0.name(), written);
        }
    }

    #[test]
    fn values_are_written_like_in_policies() {
        let time: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for (value, text) in [
            (Value::Text("x"), "x"),
            (Value::Address("::1".parse().unwrap()), "::1"),
            (Value::Time(time), "2026-01-02T03:04:05Z"),
            (Value::Flag(true), "true"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
