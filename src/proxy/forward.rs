//! The path of a request to a KMS elsewhere: judged, with questions to KMS where a name is not known; sent; and its answer
//! judged before anybody sees it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use super::reply::{Executed, Reply, Told};
use crate::authz::{
    Judgement, Owned, Permit, Rejection, Snapshot, Trail, Withheld, authorize, judge_answer, judge_error,
};
use crate::kms::{
    Answer, AnsweredKey, Effect, Format, KeyId, RawRequest, answered_key, is_plain_error, public_members,
};
use crate::served::{self, Asked};
use crate::settings::{Mode, PolicyOperations};
use crate::store::Store;
use crate::upstream::{LookedUp, NoAnswer, Received, Upstream};

/// How often KMS is asked for names before one request is judged: an alias, whose key it is, its tags.
const LOOKUPS_MAX: usize = 4;

/// Judges a request. What nobody knows is asked, as often as that helps.
pub async fn judge(
    upstream: &Upstream,
    store: &Store,
    raw: &RawRequest<'_>,
    now: Timestamp,
) -> (std::sync::Arc<Snapshot>, Judgement) {
    let mut asked = 0;
    loop {
        let snapshot = store.current();
        let mut judgement = authorize(&snapshot, raw, now);
        if let Err(Rejection::Unresolved(unknown)) = &mut judgement.verdict
            && asked < LOOKUPS_MAX
        {
            asked += 1;
            match upstream.look_up(&unknown.what).await {
                LookedUp::Learned => continue,
                LookedUp::Absent => unknown.is_absent = true,
                LookedUp::Unknown => {}
            }
        }
        return (snapshot, judgement);
    }
}

/// Has a permitted request executed by a KMS elsewhere. What changes nothing is given up when the client `left`; anything else
/// is waited for, because somebody has to know what became of it.
pub async fn execute(
    upstream: &Upstream,
    store: &Store,
    snapshot: &Snapshot,
    permit: &Permit,
    raw: &RawRequest<'_>,
    trail: &mut Trail,
    (now, left): (Timestamp, &Notify),
) -> Executed {
    let mirrors = is_mirrored(upstream, permit);
    if mirrors && let Err(error) = served::policy_to_set(&Asked { permit, store, now }) {
        // What could not be enforced here is not set there.
        return Executed::failed(error);
    }
    let may_be_given_up = permit.request().call.effect() == Effect::Read;
    let received = tokio::select! {
        biased;
        received = upstream.execute(permit, raw, &snapshot.directory) => received,
        () = left.notified(), if may_be_given_up => Err(NoAnswer::ClientLeft),
    };
    let received = match received {
        Ok(received) => received,
        Err(why) => return Executed { told: Told::of_failure(why), ..Executed::failed(why.error()) },
    };
    let members = public_members(format_of(&received), &received.body);
    let mut told = Told::of_answer(&received, members.as_ref());
    let result = release(upstream, store, permit, raw, &received, trail, now).await;
    let (received, key) = match result {
        Ok(key) => (readable(received), key),
        Err(rejection) => {
            upstream.withheld();
            return Executed { told, ..Executed::failed(rejection.error()) };
        }
    };
    let Some(received) = received else {
        told.error = Some("malformed");
        let why = NoAnswer::odd_answer();
        return Executed { told, ..Executed::failed(why.error()) };
    };
    let mut changes = Vec::new();
    if received.status == 200 {
        upstream.learn(permit, &members.map(Value::Object).unwrap_or_default(), key.as_ref());
        // Blocks for a moment.
        match mirrors.then(|| tokio::task::block_in_place(|| served::set_policy(&Asked { permit, store, now }))) {
            Some(Err(error)) => return Executed { told, ..Executed::failed(error) },
            set => changes.extend(set.into_iter().flatten()),
        }
    }
    let reply = reply(permit.request().format, received, signs_itself(upstream));
    Executed { result: Ok(reply), changes, told }
}

/// Whether an answer may be released, and the key that it is about; asks KMS whose that is where nobody knows.
async fn release(
    upstream: &Upstream,
    store: &Store,
    permit: &Permit,
    raw: &RawRequest<'_>,
    received: &Received,
    trail: &mut Trail,
    now: Timestamp,
) -> Result<Option<Owned<KeyId>>, Rejection> {
    let Some(proof) = &permit.route().proof else { return Ok(None) };
    let format = format_of(received);
    let verdict = match (received.status, decoded(received)) {
        (_, None) => Err(Rejection::Withheld(Withheld::Unreadable)),
        (200, Some(body)) => {
            let key = answered_key(format, &body, proof.at);
            let verdict = judge_as_known(upstream, store, permit, raw, &key, trail, now).await;
            if verdict.is_ok() {
                upstream.released();
            }
            verdict
        }
        // An error is no secret, unless it says more than errors do, or something of a key that nobody knows.
        (_, Some(body)) if proof.is_needed && !is_plain_error(format, &body) => {
            Err(Rejection::Withheld(Withheld::OddError))
        }
        (status, Some(_)) if status == 429 || status >= 500 => Ok(None),
        (_, Some(body)) if is_throttled(format, &body) => Ok(None),
        (_, Some(_)) => judge_error(&store.current(), raw, permit, now, trail).map(|()| None),
    };
    trail.released(&verdict);
    verdict
}

async fn judge_as_known(
    upstream: &Upstream,
    store: &Store,
    permit: &Permit,
    raw: &RawRequest<'_>,
    key: &AnsweredKey,
    trail: &mut Trail,
    now: Timestamp,
) -> Result<Option<Owned<KeyId>>, Rejection> {
    for _ in 0..LOOKUPS_MAX {
        // As it is now: policies may have changed, and names may be known by now.
        match judge_answer(&store.current(), raw, permit, key, now, trail) {
            Err(Rejection::Unresolved(it)) if upstream.look_up(&it.what).await == LookedUp::Learned => {}
            verdict => return verdict,
        }
    }
    judge_answer(&store.current(), raw, permit, key, now, trail)
}

/// The body as it was before it was compressed, bounded; `None` if it cannot be known. Only what the client asked for under
/// its signature is compressed at all.
fn decoded(received: &Received) -> Option<Cow<'_, [u8]>> {
    match received.content_encoding.as_deref() {
        None => Some(Cow::Borrowed(&received.body)),
        Some(coding) => received.decompressed(coding).map(Cow::Owned),
    }
}

fn format_of(received: &Received) -> Format {
    if received.content_type.contains("xml") { Format::Xml } else { Format::Json }
}

/// Whether KMS says that there were too many requests, whatever they were about.
fn is_throttled(format: Format, body: &[u8]) -> bool {
    let code = public_members(format, body).and_then(|members| members.get("Code")?.as_str().map(str::to_owned));
    code.is_some_and(|code| code.contains("Throttling"))
}

/// An answer that clients can read: JSON or XML, and not empty. `None` for anything else, such as the page of a proxy.
fn readable(received: Received) -> Option<Received> {
    let is_known = received.content_type.contains("json") || received.content_type.contains("xml");
    (is_known && !received.body.is_empty()).then_some(received)
}

/// The answer as the client gets it: as it came, or in the format that the client asked for. Why KMS refuses Keyward is
/// nothing to its clients.
fn reply(wanted: Format, received: Received, signs_itself: bool) -> Reply {
    let is_as_wanted = wanted == Format::Json || format_of(&received) == Format::Xml;
    let may_be_about_us = signs_itself && received.status == 403;
    let must_be_read = !is_as_wanted || may_be_about_us;
    let parsed = if must_be_read { serde_json::from_slice(&received.body).ok() } else { None };
    match parsed {
        Some(Value::Object(mut members)) => {
            let is_about_us = may_be_about_us && members.remove("AccessDeniedDetail").is_some();
            if is_as_wanted && !is_about_us {
                return Reply::Whole(received.into_answer());
            }
            Reply::Written(received.status, members)
        }
        _ => Reply::Whole(received.into_answer()),
    }
}

fn signs_itself(upstream: &Upstream) -> bool {
    matches!(upstream.mode(), Mode::ReSign(_))
}

/// Whether what is set at KMS with success is enforced here, too.
fn is_mirrored(upstream: &Upstream, permit: &Permit) -> bool {
    let is_setting = matches!(permit.request().call.name(), "SetKeyPolicy" | "SetSecretPolicy");
    is_setting && upstream.policy_operations() == PolicyOperations::Mirrored
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
