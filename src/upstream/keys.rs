//! With which access key a request is signed: Keyward's own, the one that the settings name for its caller, or the caller's.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::credentials::{Credential, Keeper, Report};
use crate::authn::{Directory, KeyMaterial, Signer};
use crate::authz::Permit;
use crate::settings::{SignAs, Upstream};
use crate::telemetry::UpstreamMetrics;

/// The access keys that Keyward signs with.
pub struct Keys {
    own: Option<Keeper>,
    /// By the caller's ARN.
    callers: BTreeMap<String, Keeper>,
}

/// An access key that signs one request, perhaps more than once.
pub enum Key {
    /// From a source that the settings name.
    Fetched(Arc<Credential>),
    /// From the directory.
    OfCaller {
        /// Its id.
        id: String,
        /// Its secret.
        secret: SecretString,
    },
}

impl Key {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Fetched(key) => &key.access_key_id,
            Self::OfCaller { id, .. } => id,
        }
    }

    /// Signs at this time, with a nonce of its own.
    pub fn sign<T>(&self, now: Timestamp, sign: impl FnOnce(&Signer<'_>) -> T) -> T {
        let (timestamp, nonce) = (format!("{now:.0}"), Uuid::new_v4().simple().to_string());
        let (timestamp, nonce) = (timestamp.as_str(), nonce.as_str());
        let signer = match self {
            Self::Fetched(key) => Signer {
                access_key_id: &key.access_key_id,
                secret: &key.secret,
                security_token: key.security_token.as_ref().map(ExposeSecret::expose_secret),
                timestamp,
                nonce,
            },
            Self::OfCaller { id, secret } => {
                Signer { access_key_id: id, secret, security_token: None, timestamp, nonce }
            }
        };
        sign(&signer)
    }
}

impl Keys {
    /// Begins to fetch what the settings name.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(settings: &Upstream, clock: fn() -> Timestamp) -> io::Result<Self> {
        let credentials = &settings.credentials;
        let own = credentials.own.as_ref().map(|(_, source)| Keeper::start("keyward", source.clone(), clock));
        let callers = credentials
            .callers
            .iter()
            .map(|(arn, _, source)| Keeper::start(arn, source.clone(), clock).map(|keeper| (arn.clone(), keeper)));
        Ok(Self { own: own.transpose()?, callers: callers.collect::<io::Result<_>>()? })
    }

    /// The key that signs a permitted request; `None` if there is none at present.
    pub fn of(&self, permit: &Permit, sign_as: SignAs, directory: &Directory, now: Timestamp) -> Option<Key> {
        match (self.callers.get(&permit.caller().role_arn()), sign_as) {
            (Some(keeper), _) => keeper.current(now).map(Key::Fetched),
            (None, SignAs::Caller) => of_caller(permit, directory),
            (None, SignAs::Keyward) => self.own(now),
        }
    }

    /// Keyward's own, if there is one at present.
    pub fn own(&self, now: Timestamp) -> Option<Key> {
        self.own.as_ref()?.current(now).map(Key::Fetched)
    }

    /// Has all of them fetched now.
    pub fn wake(&self) {
        self.each().for_each(|(_, keeper)| keeper.wake());
    }

    /// How each stands, by whose it is.
    pub fn reports(&self) -> Vec<(String, Report)> {
        self.each().map(|(name, keeper)| (name.to_owned(), keeper.report())).collect()
    }

    fn each(&self) -> impl Iterator<Item = (&str, &Keeper)> {
        let own = self.own.iter().map(|keeper| ("keyward", keeper));
        own.chain(self.callers.iter().map(|(arn, keeper)| (arn.as_str(), keeper)))
    }

    /// Sets the metrics of credentials. Callers are counted together: their names are nobody's business here, and the
    /// one that ends first matters.
    pub fn measure(&self, metrics: &UpstreamMetrics, now: Timestamp) {
        let mut left: BTreeMap<&str, Option<i64>> = BTreeMap::new();
        let (mut fetched, mut failed) = (0, 0);
        for (name, keeper) in self.each() {
            let of = if name == "keyward" { "keyward" } else { "callers" };
            let report = keeper.report();
            (fetched, failed) = (fetched + report.fetched, failed + report.failed);
            let seconds = if keeper.current(now).is_some() { report.seconds_left(now) } else { Some(-1) };
            let least = left.entry(of).or_default();
            *least = least.iter().copied().chain(seconds).min();
        }
        for (of, seconds) in left {
            match seconds {
                Some(seconds) => metrics.credential_seconds.with_label_values(&[of]).set(seconds),
                // What does not expire has no number; there may have been one before.
                None => drop(metrics.credential_seconds.remove_label_values(&[of])),
            }
        }
        for (result, count) in [("fetched", fetched), ("failed", failed)] {
            let counter = metrics.credential_fetches.with_label_values(&[result]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}

/// The access key that signed the request, or the first one that its caller has. Sessions of Keyward's mean nothing to KMS.
fn of_caller(permit: &Permit, directory: &Directory) -> Option<Key> {
    let signed_with = permit.access_key_id().and_then(|id| {
        let (id, key) = directory.access_key(id)?;
        match &key.key {
            KeyMaterial::Secret(secret) if key.active => {
                Some(Key::OfCaller { id: id.to_owned(), secret: secret.clone() })
            }
            _ => None,
        }
    });
    let arn = permit.caller().to_string();
    signed_with.or_else(|| {
        let keys = directory.access_keys_of(&arn);
        keys.first().map(|(id, secret, _)| Key::OfCaller { id: (*id).to_owned(), secret: (*secret).clone() })
    })
}
