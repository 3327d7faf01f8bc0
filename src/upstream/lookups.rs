//! Asking KMS, with Keyward's own credentials, what a name stands for that a request needs and nobody knows.
//!
//! Asked only for callers who are known: each name once at a time, for each caller some, and for as long as clients wait.
//! What KMS does not know is not asked again at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::heard::{Heard, tags_in};
use super::knowledge::Times;
use super::{NoAnswer, Upstream, outgoing};
use crate::authz::{Inquiry, Owned, Target, Unresolved, shown_name};
use crate::kms::{Address, ErrorCode, KeyId, Params, Resource, SecretName, is_about_signature, is_throttling};

/// How many questions are on their way at the same time.
const AT_ONCE: usize = 64;

/// How many of one caller's.
const AT_ONCE_FOR_ONE: usize = 16;

/// How many questions one caller may have asked in a second, and at first: KMS counts them against the account.
const EACH_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();
const AT_FIRST: NonZeroU32 = NonZeroU32::new(200).unwrap();

/// How often something is asked that is changed while it is. One change may outdate two answers, by its beginning and its end.
const ASKED_ANEW_MAX: usize = 4;

/// How long somebody waits for what was asked. Clients of KMS begin to give up after three seconds.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// How long nobody asks again for what KMS does not know, or does not tell.
const NOT_AGAIN: Duration = Duration::from_secs(5);

/// How long an answer is as good as a new one.
const FRESH: Duration = Duration::from_secs(1);

/// How many questions are remembered.
const ASKED_MAX: usize = 10_000;

/// The accounts in which a key is looked for that is not in Keyward's own, at most.
const ACCOUNTS_MAX: usize = 4;

/// What KMS answers if there is no such thing. Anything else may be said of Keyward, or of KMS.
const ABSENT: [ErrorCode; 3] = [ErrorCode::KeyNotFound, ErrorCode::AliasNotFound, ErrorCode::ResourceNotFound];

/// Most characters of a code or id that KMS gave.
const SHOWN_MAX: usize = 128;

/// What KMS answered.
pub enum Answered {
    /// What was asked for.
    Success(Value),
    /// An error.
    Error(Declined),
}

/// An error that KMS answered to Keyward's own question.
pub struct Declined {
    /// Its status.
    pub status: u16,
    /// Its code.
    pub code: String,
    /// The id of the question there.
    pub request_id: String,
}

impl Declined {
    /// Whether somebody else may ask this: what was asked for is no reason to refuse it.
    fn is_about_us(&self) -> bool {
        ["Forbidden", "NoPermission", "AccessDenied"].iter().any(|part| self.code.contains(part))
    }
}

/// One after the other, by name: whoever comes second finds what the first one did. Bounded by who waits.
struct ByName<K>(Mutex<HashMap<K, Arc<Semaphore>>>, usize);

impl<K: Hash + Eq> ByName<K> {
    fn new(at_once: usize) -> Self {
        Self(Mutex::default(), at_once)
    }

    fn of(&self, name: K) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ASKED_MAX {
            all.retain(|_, one| Arc::strong_count(one) > 1);
        }
        all.entry(name).or_insert_with(|| Arc::new(Semaphore::new(self.1))).clone()
    }
}

/// The questions that are on their way, and what came of those before.
pub struct Asking {
    room: Semaphore,
    askers: ByName<String>,
    questions: ByName<String>,
    /// How often each may ask.
    rate: DefaultKeyedRateLimiter<String>,
    asked: Mutex<HashMap<String, (Instant, Inquiry)>>,
}

impl Default for Asking {
    fn default() -> Self {
        let (askers, questions) = (ByName::new(AT_ONCE_FOR_ONE), ByName::new(1));
        let rate = RateLimiter::keyed(Quota::per_second(EACH_SECOND).allow_burst(AT_FIRST));
        Self { room: Semaphore::new(AT_ONCE), askers, questions, rate, asked: Mutex::default() }
    }
}

impl Asking {
    /// What it came to, if it was asked lately.
    fn asked_before(&self, question: &str, now: Instant) -> Option<Inquiry> {
        let (at, before) = self.lock().get(question).copied()?;
        let good_for = if before == Inquiry::Learned { FRESH } else { NOT_AGAIN };
        (now.duration_since(at) < good_for).then_some(before)
    }

    fn note(&self, question: String, looked_up: Inquiry, now: Instant) {
        let mut asked = self.lock();
        if asked.len() >= ASKED_MAX {
            asked.retain(|_, (at, _)| now.duration_since(*at) < NOT_AGAIN);
            self.rate.retain_recent();
        }
        if asked.len() < ASKED_MAX {
            asked.insert(question, (now, looked_up));
        }
    }

    fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, Inquiry)>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstream {
    /// Asks KMS, for a caller, for what nobody knows or what was heard of too long ago.
    pub async fn look_up(&self, what: &Unresolved, asker: &str) -> Inquiry {
        let mut came_to = None;
        for (operation, params) in self.questions(what) {
            let question = format!("{operation} {}", params.canonical());
            let asked = timeout(PATIENCE, self.look_up_in_turn(what, operation, &params, question, asker)).await;
            match asked.unwrap_or(Inquiry::Failed) {
                // The next one may tell.
                Inquiry::Absent => came_to = came_to.or(Some(Inquiry::Absent)),
                unknown @ (Inquiry::Untold | Inquiry::Refused) => came_to = Some(unknown),
                told => return told,
            }
        }
        came_to.unwrap_or(Inquiry::Untold)
    }

    /// Whoever asks has a share of his own, so that nobody waits for who has used up theirs.
    async fn look_up_in_turn(
        &self,
        what: &Unresolved,
        operation: &'static str,
        params: &Params,
        question: String,
        asker: &str,
    ) -> Inquiry {
        let (of_asker, of_question) =
            (self.asking.askers.of(asker.to_owned()), self.asking.questions.of(question.clone()));
        let Ok(_share) = of_asker.acquire().await else { return Inquiry::Failed };
        let Ok(_alone) = of_question.acquire().await else { return Inquiry::Failed };
        // What was learned may be forgotten since.
        let is_still_so = |before: &Inquiry| *before != Inquiry::Learned || self.lock_knowledge().knows(what);
        if let Some(before) = self.asking.asked_before(&question, Instant::now()).filter(is_still_so) {
            return before;
        }
        if self.asking.rate.check_key(&asker.to_owned()).is_err() {
            return Inquiry::Failed;
        }
        let Ok(_room) = self.asking.room.acquire().await else { return Inquiry::Failed };
        let mut looked_up = Inquiry::Failed;
        for _ in 0..ASKED_ANEW_MAX {
            looked_up = self.look_up_once(what, operation, params).await;
            if looked_up != Inquiry::Failed {
                self.asking.note(question, looked_up, Instant::now());
                break;
            }
        }
        looked_up
    }

    /// One question. It failed, too, if what it was about was changed meanwhile.
    async fn look_up_once(&self, what: &Unresolved, operation: &'static str, params: &Params) -> Inquiry {
        let asked = Instant::now();
        let (result, looked_up) = match self.ask(operation, params).await {
            Ok(Answered::Success(answer)) => {
                match self.learn_about(what, operation, &answer, Times { asked, now: Instant::now() }) {
                    Some(true) => ("learned", Inquiry::Learned),
                    Some(false) => ("failed", Inquiry::Failed),
                    None => {
                        self.lock_knowledge().forget_absent(what, asked);
                        self.publish();
                        ("unknown", Inquiry::Untold)
                    }
                }
            }
            Ok(Answered::Error(error)) if ABSENT.iter().any(|it| it.as_str() == error.code) => {
                self.lock_knowledge().forget_absent(what, asked);
                self.publish();
                ("unknown", Inquiry::Absent)
            }
            Ok(Answered::Error(error)) if error.status >= 500 || is_throttling(&error.code) => {
                ("failed", Inquiry::Failed)
            }
            Ok(Answered::Error(error)) if is_about_signature(&error.code) => ("refused", Inquiry::Failed),
            Ok(Answered::Error(error)) if error.is_about_us() => ("refused", Inquiry::Refused),
            Ok(Answered::Error(_)) => ("unknown", Inquiry::Untold),
            Err(_) => ("failed", Inquiry::Failed),
        };
        self.metrics.lookups.with_label_values(&[result]).inc();
        looked_up
    }

    /// Something was made or changed: what was not there may be there now.
    pub(super) fn ask_again(&self) {
        self.asking.forget();
    }

    /// Which operations say it, one after the other; none if nobody can ask.
    fn questions(&self, what: &Unresolved) -> Vec<(&'static str, Params)> {
        let Some(own) = self.own_address().filter(|_| self.settings.lookups) else { return Vec::new() };
        let key = |name: String| [("KeyId", name)].into_iter().collect::<Params>();
        let named = |account: &str, bare: &str, elsewhere: Resource| {
            if account == own.account { bare.to_owned() } else { elsewhere.arn }
        };
        let tags_of_key =
            |of: &Owned<KeyId>| key(named(&of.account, of.name.as_str(), Resource::key(of.address(), &of.name)));
        let secret = |of: &Owned<SecretName>| {
            let name = named(&of.account, of.name.as_str(), Resource::secret(of.address(), &of.name));
            [("SecretName", name), ("FetchTags", "true".to_owned())].into_iter().collect::<Params>()
        };
        match what {
            Unresolved::Alias(of) => {
                let name = named(&of.account, of.name.as_str(), Resource::alias(of.address(), &of.name));
                vec![("DescribeKey", key(name))]
            }
            // Who has a policy for such a key may have the key; KMS says whether.
            Unresolved::Owner(id) => {
                let policies = self.store.current().policies.clone();
                let others = policies
                    .keys
                    .iter()
                    .filter(|(account, of)| account.as_str() != own.account && of.contains_key(id.as_str()));
                let there = |account: &str| Resource::key(Address { account, ..own }, id).arn;
                let names = others.map(|(account, _)| there(account)).take(ACCOUNTS_MAX);
                std::iter::once(id.to_string()).chain(names).map(|name| ("DescribeKey", key(name))).collect()
            }
            Unresolved::KeyOfSecret(of) | Unresolved::Tags(Target::Secret(of)) => vec![("DescribeSecret", secret(of))],
            Unresolved::Tags(Target::Key(of)) => vec![("ListResourceTags", tags_of_key(of))],
            Unresolved::Tags(_) | Unresolved::Ciphertext => Vec::new(),
        }
    }

    /// Learns from an answer: `None` if it does not tell what was asked for, otherwise whether it is believed.
    fn learn_about(&self, what: &Unresolved, operation: &str, answer: &Value, times: Times) -> Option<bool> {
        let here = self.own_address()?;
        let mut knowledge = self.lock_knowledge();
        let mut heard = Heard { knowledge: &mut knowledge, here, times };
        let taken = match what {
            Unresolved::Alias(alias) => heard.description_of(alias, answer),
            Unresolved::Tags(Target::Key(key)) => {
                tags_in(answer).map(|tags| heard.knowledge.key_tags(key, tags, times))
            }
            Unresolved::KeyOfSecret(_) | Unresolved::Tags(_) => {
                let (key, tags) = (heard.secret(answer), heard.tags_of_secret(answer));
                if matches!(what, Unresolved::Tags(_)) { tags } else { key }
            }
            Unresolved::Owner(_) => {
                heard.answer(operation, answer);
                heard.knowledge.knows(what).then_some(true)
            }
            Unresolved::Ciphertext => None,
        };
        drop(knowledge);
        self.publish();
        taken
    }

    /// Asks KMS in Keyward's own name.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(&self, operation: &str, params: &Params) -> Result<Answered, NoAnswer> {
        let key = self.keys.own((self.clock)()).ok_or(NoAnswer::NoCredentials)?;
        let make = || Some(key.sign((self.clock)(), |signer| outgoing::signed(operation, params, &self.host, signer)));
        let received = self.send(&make, false, true).await?;
        let answer: Option<Value> = match received.content_encoding {
            None => serde_json::from_slice(&received.body).ok(),
            Some(_) => None,
        };
        let answer = answer.filter(Value::is_object).ok_or_else(|| self.counted(NoAnswer::odd_answer()))?;
        let question = format!("{operation} in Keyward's own name");
        if received.status == 200 {
            self.troubles.is_over(&question);
            return Ok(Answered::Success(answer));
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(|text| shown_name(text, SHOWN_MAX));
        let (status, request_id) = (received.status, text("RequestId").unwrap_or_default());
        let code = text("Code").ok_or_else(|| self.counted(NoAnswer::odd_answer()))?;
        let error = Declined { status, code, request_id };
        if is_about_signature(&error.code) {
            self.not_accepted("keyward", &key, &error.code, &error.request_id);
        } else if error.is_about_us() && !ABSENT.iter().any(|it| it.as_str() == error.code) {
            let Declined { code, request_id, .. } = &error;
            if self.troubles.note(&question, format!("KMS refuses it ({code}, request {request_id})"), Instant::now()) {
                tracing::warn!(operation, code, request_id, "KMS does not let Keyward ask what names stand for");
            }
        }
        Ok(Answered::Error(error))
    }

    /// Where Keyward's own names are.
    pub(super) fn own_address(&self) -> Option<Address<'_>> {
        let (account, _) = self.settings.credentials.own.as_ref()?;
        Some(Address { region: &self.region, account })
    }
}
