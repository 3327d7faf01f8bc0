//! A context that a person states, for a question that no request asks.

use jiff::Timestamp;

use super::context::{ConditionKey, Context};

/// Values of condition keys, as a person gives them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GivenContext {
    source_ip: Option<std::net::IpAddr>,
    current_time: Option<Timestamp>,
    secure_transport: Option<bool>,
    mfa_present: Option<bool>,
    principal_arn: Option<String>,
    source_vpc: Option<String>,
    vpc_source_ip: Option<std::net::IpAddr>,
    encryption_algorithm: Option<String>,
    encryption_context: Vec<(String, String)>,
    key_tags: Vec<(String, String)>,
    request_tags: Vec<(String, String)>,
    resource_tags: Vec<(String, String)>,
}

impl GivenContext {
    /// States the value of a key, for example `acs:SourceIp` and `10.0.0.1`.
    ///
    /// # Errors
    /// There is no such key, or the value is of another type; says what would be right.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |right: &str| format!("`{key}` must be {right}, not `{value}`");
        let address = || value.parse().map(Some).map_err(|_| wrong("an IP address"));
        let flag = || value.parse().map(Some).map_err(|_| wrong("true or false"));
        let text = || Some(value.to_owned());
        let pair = |name: Box<str>| (name.into(), value.to_owned());
        match ConditionKey::parse(key).0 {
            ConditionKey::SourceIp => self.source_ip = address()?,
            ConditionKey::VpcSourceIp => self.vpc_source_ip = address()?,
            ConditionKey::CurrentTime => {
                self.current_time = Some(value.parse().map_err(|_| wrong("a time such as 2026-01-02T03:04:05Z"))?);
            }
            ConditionKey::SecureTransport => self.secure_transport = flag()?,
            ConditionKey::MfaPresent => self.mfa_present = flag()?,
            ConditionKey::PrincipalArn => self.principal_arn = text(),
            ConditionKey::SourceVpc => self.source_vpc = text(),
            ConditionKey::EncryptionAlgorithm => self.encryption_algorithm = text(),
            ConditionKey::EncryptionContext(name) => self.encryption_context.push(pair(name)),
            ConditionKey::RequestTag(name) => self.request_tags.push(pair(name)),
            ConditionKey::KeyTag(name) => {
                self.key_tags.push(pair(name.clone()));
                self.resource_tags.push(pair(name));
            }
            ConditionKey::ResourceTag(name) => self.resource_tags.push(pair(name)),
            ConditionKey::Unknown(name) => return Err(format!("there is no condition key `{name}`")),
        }
        Ok(())
    }

    /// What is given, with `now` and `principal_arn` where nothing else was said.
    pub fn context<'a>(&'a self, now: Timestamp, principal_arn: &'a str) -> Context<'a> {
        Context {
            source_ip: self.source_ip,
            current_time: self.current_time.or(Some(now)),
            secure_transport: self.secure_transport,
            mfa_present: self.mfa_present,
            principal_arn: self.principal_arn.as_deref().or(Some(principal_arn)),
            source_vpc: self.source_vpc.as_deref(),
            vpc_source_ip: self.vpc_source_ip,
            encryption_algorithm: self.encryption_algorithm.as_deref(),
            encryption_context: &self.encryption_context,
            key_tags: &self.key_tags,
            request_tags: &self.request_tags,
            resource_tags: &self.resource_tags,
            tags_unknown: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_the_keys_type() {
        let mut given = GivenContext::default();
        for (key, value, fine) in [
            ("acs:SourceIp", "10.0.0.1", true),
            ("acs:SourceIp", "ten", false),
            ("acs:CurrentTime", "2026-01-02T03:04:05Z", true),
            ("acs:CurrentTime", "now", false),
            ("acs:SecureTransport", "true", true),
            ("acs:MFAPresent", "maybe", false),
            ("kms:tag/Project", "Apollo", true),
            ("kms:EncryptionContext:Department", "orders", true),
            ("kms:KeySpec", "x", false),
        ] {
            assert_eq!(given.set(key, value).is_ok(), fine, "{key}={value}");
        }
        let context = given.context(Timestamp::UNIX_EPOCH, "acs:ram::1:user/alice");
        assert_eq!(context.source_ip, "10.0.0.1".parse().ok());
        assert_eq!((context.key_tags, context.resource_tags), (&given.key_tags[..], &given.key_tags[..]));
    }
}
