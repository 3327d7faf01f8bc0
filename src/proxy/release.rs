//! An answer of a KMS elsewhere before anybody sees it: whether it may be released, and in which shape.

use std::borrow::Cow;

use jiff::Timestamp;

use super::reply::Reply;
use crate::authz::{Inquiry, Owned, Permit, Rejection, Trail, Unresolved, Withheld, judge_answer, judge_error};
use crate::kms::{
    Answer, AnsweredKey, Format, KeyId, RawRequest, answered_key, is_plain_error, is_throttling, public_members,
};
use crate::store::Store;
use crate::upstream::{Received, Upstream};

/// How often KMS is asked whose the key is that an answer names, and how it is tagged.
const LOOKUPS_MAX: usize = 4;

/// A permitted request that is answered.
pub struct Answering<'a> {
    /// Who answers.
    pub upstream: &'a Upstream,
    /// What is in force.
    pub store: &'a Store,
    /// What was permitted.
    pub permit: &'a Permit,
    /// The request as it came.
    pub raw: &'a RawRequest<'a>,
    /// When it came.
    pub now: Timestamp,
}

impl Answering<'_> {
    /// Whether an answer may be released, and the key that it is about; asks KMS whose that is where nobody knows.
    ///
    /// # Errors
    /// It may not.
    pub async fn release(&self, received: &Received, trail: &mut Trail) -> Result<Option<Owned<KeyId>>, Rejection> {
        let Some(proof) = &self.permit.route().proof else { return Ok(None) };
        let format = format_of(received);
        let verdict = match (received.status, decoded(received)) {
            (_, None) => Err(Rejection::Withheld(Withheld::Unreadable)),
            (200..=299, Some(body)) => {
                let verdict = self.judge_as_known(&answered_key(format, &body, proof.at), trail).await;
                if verdict.is_ok() {
                    self.upstream.released();
                }
                verdict
            }
            // An error is no secret, unless it says more than errors do, or something of a key that nobody knows.
            (_, Some(body)) if proof.is_needed && !is_plain_error(format, &body) => {
                Err(Rejection::Withheld(Withheld::OddError))
            }
            (status, Some(body)) if status == 429 || status >= 500 || is_throttled(format, &body) => {
                trail.undecided(self.permit);
                Ok(None)
            }
            (_, Some(_)) => {
                let is_certain = self.is_certain().await;
                judge_error(&self.store.current(), self.raw, self.permit, is_certain, self.now, trail).map(|()| None)
            }
        };
        trail.released(&verdict);
        verdict
    }

    async fn judge_as_known(&self, key: &AnsweredKey, trail: &mut Trail) -> Result<Option<Owned<KeyId>>, Rejection> {
        for _ in 0..LOOKUPS_MAX {
            // As it is now: policies may have changed, and names may be known by now.
            match judge_answer(&self.store.current(), self.raw, self.permit, key, self.now, trail) {
                Err(Rejection::Unresolved(mut unknown)) => {
                    match self.upstream.look_up(&unknown.what, self.permit.asker()).await {
                        Inquiry::Learned => {}
                        came_to => {
                            unknown.inquiry = came_to;
                            return Err(Rejection::Unresolved(unknown));
                        }
                    }
                }
                verdict => return verdict,
            }
        }
        judge_answer(&self.store.current(), self.raw, self.permit, key, self.now, trail)
    }

    /// Whether the key that was judged is the one that the request's alias points to, if it has one, as far as anybody can
    /// tell.
    async fn is_certain(&self) -> bool {
        let Some(proof) = &self.permit.route().proof else { return true };
        let (Some(alias), Some(judged)) = (&proof.alias, &proof.judged) else { return true };
        let points_to = |store: &Store| {
            let snapshot = store.current();
            snapshot.index.key_of_alias(&alias.account, &alias.name) == Some(&judged.name)
        };
        if !self.store.current().index.hears_alias(&alias.account, &alias.name) {
            return points_to(self.store);
        }
        let looked_up = self.upstream.look_up(&Unresolved::Alias(alias.clone()), self.permit.asker()).await;
        looked_up == Inquiry::Learned && points_to(self.store)
    }
}

/// The body as it was before it was compressed, bounded; `None` if it cannot be known. Only what the client asked for under
/// its signature is compressed at all.
fn decoded(received: &Received) -> Option<Cow<'_, [u8]>> {
    match received.content_encoding.as_deref() {
        None => Some(Cow::Borrowed(&received.body)),
        Some(coding) => received.decompressed(coding).map(Cow::Owned),
    }
}

/// What the answer is written in.
pub fn format_of(received: &Received) -> Format {
    if received.content_type.contains("xml") { Format::Xml } else { Format::Json }
}

/// The code of an error.
pub fn code_of(received: &Received) -> Option<String> {
    code_in(format_of(received), &decoded(received)?)
}

fn code_in(format: Format, body: &[u8]) -> Option<String> {
    public_members(format, body)?.get("Code")?.as_str().map(str::to_owned)
}

/// Whether KMS says that there were too many requests, whatever they were about.
fn is_throttled(format: Format, body: &[u8]) -> bool {
    code_in(format, body).is_some_and(|code| is_throttling(&code))
}

/// Whether clients can read an answer: JSON or XML, not empty, and 200 if it is a success. Nothing else is an answer of KMS's,
/// such as the page of a proxy.
pub fn is_readable(received: &Received) -> bool {
    let is_known = received.content_type.contains("json") || received.content_type.contains("xml");
    let is_success_of_kms = !(201..=299).contains(&received.status);
    is_known && is_success_of_kms && !received.body.is_empty()
}

/// The answer as the client gets it: as it came, or in the format that the client asked for. Why KMS refuses Keyward is
/// nothing to its clients.
pub fn reply(wanted: Format, received: Received, signs_itself: bool) -> Reply {
    let is_as_wanted = wanted == Format::Json || format_of(&received) == Format::Xml;
    let may_be_about_us = signs_itself && received.status >= 400;
    let parsed = match format_of(&received) {
        // Written anew without it, in the format that the client asked for.
        Format::Xml if may_be_about_us => public_members(Format::Xml, &received.body),
        Format::Json if !is_as_wanted || may_be_about_us => serde_json::from_slice(&received.body).ok(),
        _ => None,
    };
    match parsed {
        Some(mut members) => {
            let is_about_us = may_be_about_us && members.remove("AccessDeniedDetail").is_some();
            if is_as_wanted && !is_about_us {
                return Reply::Whole(received.into_answer());
            }
            Reply::Written(received.status, members)
        }
        _ => Reply::Whole(received.into_answer()),
    }
}

impl Received {
    /// The same, for the client.
    pub fn into_answer(mut self) -> Answer {
        let mut headers = std::mem::take(&mut self.headers);
        if let Some(coding) = self.content_encoding.take() {
            headers.push(("content-encoding".to_owned(), coding.into_bytes()));
        }
        let body = std::mem::take(&mut *self.body);
        Answer { status: self.status, content_type: Cow::Owned(self.content_type.clone()), headers, body }
    }
}
