//! The path of a request to a KMS elsewhere: judged, with questions to KMS where a name is not known; sent; and its answer
//! judged before anybody sees it.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use super::drain::Drain;
use super::release::{self, Answering};
use super::reply::{Executed, Told};
use crate::authz::{Judgement, Permit, Snapshot, Trail, authorize};
use crate::kms::{Effect, RawRequest, is_about_signature, public_members};
use crate::policy::Policy;
use crate::served::{self, Asked};
use crate::settings::Mode;
use crate::store::Store;
use crate::upstream::{NoAnswer, Received, Upstream};

/// Judges a request. What nobody knows is asked, and so is what was only heard of where the verdict rests on it.
pub async fn judge(
    upstream: &Upstream,
    store: &Store,
    raw: &RawRequest<'_>,
    now: Timestamp,
) -> (Arc<Snapshot>, Judgement) {
    let mut asked = Vec::new();
    loop {
        let snapshot = store.current();
        let mut judgement = authorize(&snapshot, raw, now);
        let Some(what) = judgement.open_question(&asked) else { return (snapshot, judgement) };
        let came_to = upstream.look_up(&what, &judgement.asker).await;
        asked.push((what, came_to));
    }
}

/// What ends waiting for an answer.
pub struct Patience<'a> {
    /// The client left.
    pub left: &'a Notify,
    /// Nobody is waited for any more.
    pub drain: &'a Drain,
}

/// Has a permitted request executed by a KMS elsewhere. What changes nothing is given up when the client left; anything else
/// is waited for, because somebody has to know what became of it.
pub async fn execute(
    upstream: &Upstream,
    store: &Store,
    snapshot: &Snapshot,
    permit: &Permit,
    raw: &RawRequest<'_>,
    trail: &mut Trail,
    (now, patience): (Timestamp, &Patience<'_>),
) -> Executed {
    let here = Asked { permit, store, now };
    // One after the other, so that the last one there is the last one here.
    let _turn = if served::sets_policy(permit) { Some(upstream.one_policy_at_a_time().await) } else { None };
    let policy_to_keep = || served::policy_to_keep(&here);
    let policy = if served::brings_policy(permit) { tokio::task::block_in_place(policy_to_keep) } else { Ok(None) };
    let policy = match policy {
        Ok(policy) => policy,
        Err(error) => return Executed::failed(error),
    };
    if patience.drain.is_cut_off() {
        trail.undecided(permit);
        return failed(NoAnswer::Ending);
    }
    let answering = Answering { upstream, store, permit, raw, now };
    let begun = upstream.change_begins(permit);
    let may_be_given_up = permit.request().call.effect() == Effect::Read;
    let received = tokio::select! {
        biased;
        received = upstream.execute(permit, raw, &snapshot.directory) => received,
        () = patience.left.notified(), if may_be_given_up => Err(NoAnswer::ClientLeft),
        () = patience.drain.until_cut_off() => Err(NoAnswer::CutOff),
    };
    let is_over = matches!(&received, Ok(answer) if answer.status < 500);
    let never_began = matches!(&received, Err(why) if !why.may_be_executed());
    upstream.change_ends(permit, begun, !is_over && !never_began);
    match received {
        Ok(received) if is_about_us(upstream, &received) => {
            trail.undecided(permit);
            let of_answer = public_members(release::format_of(&received), &received.body);
            let Told { request_id, code, .. } = Told::of_answer(&received, of_answer.as_ref());
            let shown = (code.as_deref().unwrap_or_default(), request_id.as_deref().unwrap_or_default());
            upstream.refused_us(permit, &snapshot.directory, shown);
            let failed = failed(NoAnswer::CredentialsRefused);
            Executed { told: Told { request_id, code, ..failed.told }, ..failed }
        }
        Ok(received) => answering.conclude(&here, received, begun, policy, trail).await,
        Err(why) => {
            trail.undecided(permit);
            failed(why)
        }
    }
}

fn failed(why: NoAnswer) -> Executed {
    Executed { told: Told::of_failure(why), ..Executed::failed(why.error()) }
}

impl Answering<'_> {
    /// What becomes of an answer: it is judged, learned from, and given to the client.
    async fn conclude(
        &self,
        here: &Asked<'_>,
        received: Received,
        asked: Instant,
        policy: Option<Policy>,
        trail: &mut Trail,
    ) -> Executed {
        let format = release::format_of(&received);
        let members = public_members(format, &received.body);
        let mut told = Told::of_answer(&received, members.as_ref());
        if !release::is_readable(&received) {
            let odd = self.upstream.counted(NoAnswer::odd_answer());
            trail.undecided(self.permit);
            told.error = Some(odd.reason());
            return Executed { told, ..Executed::failed(odd.error()) };
        }
        let key = match self.release(&received, trail).await {
            Ok(key) => key,
            Err(rejection) => {
                self.upstream.withheld();
                return Executed { told, ..Executed::failed(rejection.error()) };
            }
        };
        let mut changes = Vec::new();
        if received.status == 200 {
            let members = members.unwrap_or_default();
            // Blocks for a moment.
            let set = policy.map(|policy| tokio::task::block_in_place(|| served::keep_policy(here, &policy, &members)));
            self.upstream.learn(self.permit, &Value::Object(members), format, key.as_ref(), asked);
            match set {
                Some(Err(error)) => return Executed { told, ..Executed::failed(error) },
                set => changes.extend(set.into_iter().flatten()),
            }
        }
        let reply = release::reply(self.permit.request().format, received, signs_itself(self.upstream));
        Executed { result: Ok(reply), changes, told }
    }
}

/// Whether KMS says that the signature is not good, and that is ours: nothing that a client could do anything about.
fn is_about_us(upstream: &Upstream, received: &Received) -> bool {
    let is_error = (400..500).contains(&received.status) && signs_itself(upstream);
    let code = is_error.then(|| release::code_of(received)).flatten();
    code.is_some_and(|code| is_about_signature(&code))
}

fn signs_itself(upstream: &Upstream) -> bool {
    matches!(upstream.mode(), Mode::ReSign(_))
}
