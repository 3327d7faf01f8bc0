//! Asking KMS, with Keyward's own credentials, what a name stands for that a request needs and nobody knows.
//!
//! Asked only for callers who are known, a few at a time, and what KMS does not know is not asked again at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// What a question came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookedUp {
    /// It is known now: it is worth judging again.
    Learned,
    /// There is no such thing.
    Absent,
    /// Nobody told.
    Unknown,
}

/// What KMS answered.
pub enum Answered {
    /// What was asked for.
    Success(Value),
    /// An error of this status.
    Error(u16),
}

/// The questions that are on their way, and those that had no good answer.
pub struct Asking {
    room: Semaphore,
    unanswered: Mutex<HashMap<String, (Instant, LookedUp)>>,
}

impl Default for Asking {
    fn default() -> Self {
        Self { room: Semaphore::new(AT_ONCE), unanswered: Mutex::default() }
    }
}

impl Asking {
    fn answered_before(&self, question: &str, now: Instant) -> Option<LookedUp> {
        let mut unanswered = self.lock();
        unanswered.retain(|_, (asked, _)| now.duration_since(*asked) < NOT_AGAIN);
        unanswered.get(question).map(|(_, before)| *before)
    }

    fn note(&self, question: String, looked_up: LookedUp, now: Instant) {
        let mut unanswered = self.lock();
        if unanswered.len() < UNANSWERED_MAX {
            unanswered.insert(question, (now, looked_up));
        }
    }

    fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, LookedUp)>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstream {
    /// Asks KMS for what nobody knows.
    pub async fn look_up(&self, what: &Unresolved) -> LookedUp {
        let question = self.question(what).filter(|_| self.settings.lookups);
        let Some((operation, params)) = question else { return LookedUp::Unknown };
        let question = format!("{operation} {}", params.canonical());
        if let Some(before) = self.asking.answered_before(&question, Instant::now()) {
            return before;
        }
        let Ok(_room) = self.asking.room.acquire().await else { return LookedUp::Unknown };
        let (result, looked_up) = match self.ask(operation, &params).await {
            Ok(Answered::Success(answer)) => {
                self.learn_about(what, operation, &answer);
                ("learned", LookedUp::Learned)
            }
            Ok(Answered::Error(404)) => ("unknown", LookedUp::Absent),
            Ok(Answered::Error(_)) => ("unknown", LookedUp::Unknown),
            Err(_) => ("failed", LookedUp::Unknown),
        };
        self.metrics.lookups.with_label_values(&[result]).inc();
        if looked_up != LookedUp::Learned {
            self.asking.note(question, looked_up, Instant::now());
        }
        looked_up
    }

    /// Something was made or changed: what was not there may be there now.
    pub(super) fn ask_again(&self) {
        self.asking.forget();
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

    /// Asks KMS in Keyward's own name.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(&self, operation: &str, params: &Params) -> Result<Answered, NoAnswer> {
        let key = self.keys.own((self.clock)()).ok_or(NoAnswer::NoCredentials)?;
        let make = || Some(key.sign((self.clock)(), |signer| outgoing::signed(operation, params, &self.host, signer)));
        let received = self.send(&make, false, true).await?;
        let is_good = received.status == 200 && received.content_encoding.is_none();
        let answer = if is_good { serde_json::from_slice(&received.body).ok() } else { None };
        Ok(answer.map_or(Answered::Error(received.status), Answered::Success))
    }

    /// Where Keyward's own names are.
    pub(super) fn own_address(&self) -> Option<Address<'_>> {
        let (account, _) = self.settings.credentials.own.as_ref()?;
        Some(Address { region: &self.region, account })
    }
}
