//! Listing what there is, now and then, with Keyward's own credentials: so that ciphertexts, aliases and secrets are known
//! before anybody uses them. What cannot be listed is left out; the next time tries again.

use std::time::Instant;

use serde_json::Value;

use super::Upstream;
use super::heard::Heard;
use super::knowledge::Times;
use super::lookups::Answered;
use crate::authz::Owned;
use crate::kms::{KeyId, Params};

/// The largest page that KMS gives.
const PAGE: usize = 100;

/// How many pages are asked for at most.
const PAGES_MAX: usize = 1_000;

impl Upstream {
    /// Lists everything again and again, if the settings say so.
    pub(super) async fn keep_listed(&self) {
        let Some(pause) = self.settings.listing else { return };
        loop {
            let (begun, listed) = (Instant::now(), self.list_everything().await);
            match listed {
                Some(names) => tracing::debug!(names, seconds = begun.elapsed().as_secs_f32(), "names were listed"),
                None => tracing::warn!("names could not be listed: KMS does not answer, or refuses"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// How many things there are; `None` if they could not all be listed.
    async fn list_everything(&self) -> Option<usize> {
        let keys = self.pages("ListKeys", &[], "/Keys/Key").await?;
        self.pages("ListAliases", &[], "/Aliases/Alias").await?;
        for key in keys.iter().filter_map(|key| KeyId::parse(key.get("KeyId")?.as_str()?)) {
            // A key of which no version can be listed is one without a ciphertext that anybody could know.
            self.pages("ListKeyVersions", &[("KeyId", key.as_str())], "/KeyVersions/KeyVersion").await;
        }
        let secrets = self.pages("ListSecrets", &[], "/SecretList/Secret").await?;
        for secret in secrets.iter().filter_map(|secret| secret.get("SecretName")?.as_str()) {
            let params: Params = [("SecretName", secret), ("FetchTags", "true")].into_iter().collect();
            let asked = Instant::now();
            if let Ok(Answered::Success(answer)) = self.ask("DescribeSecret", &params).await {
                self.hear(asked, |mut heard| {
                    heard.secret(&answer);
                    heard.tags_of_secret(&answer);
                });
            }
        }
        Some(keys.len() + secrets.len())
    }

    /// All pages of a list, each of which is learned from.
    async fn pages(&self, operation: &str, params: &[(&str, &str)], elements: &str) -> Option<Vec<Value>> {
        let mut all = Vec::new();
        for page in 1..=PAGES_MAX {
            let (number, size) = (page.to_string(), PAGE.to_string());
            let paging = [("PageNumber", number.as_str()), ("PageSize", size.as_str())];
            let params: Params = params.iter().copied().chain(paging).collect();
            let asked = Instant::now();
            let Ok(Answered::Success(answer)) = self.ask(operation, &params).await else { return None };
            self.hear(asked, |mut heard| match params.get("KeyId").and_then(KeyId::parse) {
                Some(name) => {
                    let key = Owned::new(heard.here, name);
                    heard.versions_of(&key, &answer);
                }
                None => heard.answer(operation, &answer),
            });
            let found = answer.pointer(elements).and_then(Value::as_array).cloned().unwrap_or_default();
            let is_last = found.len() < PAGE;
            all.extend(found);
            if is_last {
                break;
            }
        }
        Some(all)
    }

    fn hear(&self, asked: Instant, listen: impl FnOnce(Heard<'_>)) {
        if let Some(here) = self.own_address() {
            let times = Times { asked, now: Instant::now() };
            listen(Heard { knowledge: &mut self.lock_knowledge(), here, times });
            self.publish();
        }
    }
}
