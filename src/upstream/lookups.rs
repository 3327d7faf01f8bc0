//! Asking KMS, with Keyward's own credentials, what a name stands for that a request needs and nobody knows.
//!
//! Asked only for callers who are known, a few at a time, and what KMS does not know is not asked again at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Semaphore;

use super::knowledge::tags_in;
use super::{NoAnswer, Upstream, outgoing};
use crate::authz::{Owned, Target, Unresolved};
use crate::kms::{Address, Params, Resource};

/// How many questions are on their way at the same time.
const AT_ONCE: usize = 8;

/// How long nobody asks again for what KMS does not know, or does not tell.
const NOT_AGAIN: Duration = Duration::from_secs(5);

/// How many unanswered questions are remembered.
const UNANSWERED_MAX: usize = 10_000;

/// The questions that are on their way, and those that had no answer.
pub struct Asking {
    room: Semaphore,
    unanswered: Mutex<HashMap<String, Instant>>,
}

impl Default for Asking {
    fn default() -> Self {
        Self { room: Semaphore::new(AT_ONCE), unanswered: Mutex::default() }
    }
}

impl Asking {
    fn was_unanswered(&self, question: &str, now: Instant) -> bool {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        unanswered.retain(|_, asked| now.duration_since(*asked) < NOT_AGAIN);
        unanswered.contains_key(question)
    }

    fn had_no_answer(&self, question: String, now: Instant) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        if unanswered.len() < UNANSWERED_MAX {
            unanswered.insert(question, now);
        }
    }
}

impl Upstream {
    /// Asks KMS for what nobody knows. Whether it is known now, and it is worth judging again.
    pub async fn look_up(&self, what: &Unresolved) -> bool {
        let Some((operation, params)) = self.question(what).filter(|_| self.settings.lookups) else { return false };
        let question = format!("{operation} {}", params.canonical());
        if self.asking.was_unanswered(&question, Instant::now()) {
            return false;
        }
        let Ok(_room) = self.asking.room.acquire().await else { return false };
        let answer = self.ask(operation, &params).await;
        let result = match &answer {
            Ok(Some(answer)) => {
                self.learn_about(what, operation, answer);
                "learned"
            }
            Ok(None) => "unknown",
            Err(_) => "failed",
        };
        self.metrics.lookups.with_label_values(&[result]).inc();
        if result != "learned" {
            self.asking.had_no_answer(question, Instant::now());
        }
        result == "learned"
    }

    /// Which operation says it; `None` if none does.
    fn question(&self, what: &Unresolved) -> Option<(&'static str, Params)> {
        let (own, _) = self.settings.credentials.own.as_ref()?;
        let key = |name: String| [("KeyId", name)].into_iter().collect::<Params>();
        let secret = |secret: &Owned<crate::kms::SecretName>| {
            let name = if secret.account == *own {
                secret.name.to_string()
            } else {
                Resource::secret(secret.address(), &secret.name).arn
            };
            ("DescribeSecret", [("SecretName", name), ("FetchTags", "true".to_owned())].into_iter().collect())
        };
        Some(match what {
            Unresolved::Alias(alias) if alias.account == *own => ("DescribeKey", key(alias.name.to_string())),
            Unresolved::Alias(alias) => ("DescribeKey", key(Resource::alias(alias.address(), &alias.name).arn)),
            Unresolved::Owner(id) => ("DescribeKey", key(id.to_string())),
            Unresolved::KeyOfSecret(of) | Unresolved::Tags(Target::Secret(of)) => secret(of),
            Unresolved::Tags(Target::Key(of)) if of.account == *own => ("ListResourceTags", key(of.name.to_string())),
            Unresolved::Tags(Target::Key(of)) => ("ListResourceTags", key(Resource::key(of.address(), &of.name).arn)),
            Unresolved::Tags(_) | Unresolved::Ciphertext => return None,
        })
    }

    fn learn_about(&self, what: &Unresolved, operation: &str, answer: &Value) {
        let own = self.settings.credentials.own.as_ref().map_or("", |(account, _)| account.as_str());
        let now = Instant::now();
        let mut knowledge = self.lock_knowledge();
        match what {
            Unresolved::Alias(alias) => knowledge.learn_alias(alias, answer, now),
            Unresolved::Tags(Target::Key(key)) => {
                let tags = answer.get("Tags").unwrap_or(&Value::Null);
                knowledge.learn_key_tags(key, tags_in(tags), now);
            }
            Unresolved::Tags(Target::Secret(secret)) => {
                let tags = answer.get("Tags").unwrap_or(&Value::Null);
                knowledge.learn_secret_tags(secret, tags_in(tags), now);
            }
            _ => knowledge.learn(operation, answer, (&self.region, own), now),
        }
        drop(knowledge);
        self.publish();
    }

    /// Asks KMS in Keyward's own name. `None` if KMS refuses or does not know.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(&self, operation: &str, params: &Params) -> Result<Option<Value>, NoAnswer> {
        let key = self.keys.own((self.clock)()).ok_or(NoAnswer::NoCredentials)?;
        let make = || Some(key.sign((self.clock)(), |signer| outgoing::signed(operation, params, &self.host, signer)));
        let received = self.send(&make, false, true).await?;
        let is_good = received.status == 200 && received.content_encoding.is_none();
        Ok(serde_json::from_slice(&received.body).ok().filter(|_| is_good))
    }

    /// Where Keyward's own names are.
    pub(super) fn own_address(&self) -> Option<Address<'_>> {
        let (account, _) = self.settings.credentials.own.as_ref()?;
        Some(Address { region: &self.region, account })
    }
}
