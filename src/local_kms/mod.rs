//! THE EMBEDDED KMS: executes what was permitted, on keys, aliases and secrets of its own, and begins role sessions.
//!
//! It asks nobody whether a request is allowed: a [`Permit`] says so, and names the resources that were judged. Its
//! state is one immutable value, so readers never wait; a writer keeps its records on the disk before its change comes
//! into force, so what was answered survives the process. Key material and plaintexts never reach a log.

mod asymmetric;
mod cipher;
mod document;
mod execution;
mod functions;
mod ids;
mod key;
mod mac;
mod moment;
mod parameters;
mod secret;
mod secret_value;
mod seed;
mod state;
mod storage;
mod transfer;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use jiff::Timestamp;

pub use cipher::CipherError;
pub use document::Counts;
pub use functions::Members;
pub use seed::check as check_seed;
pub use storage::{CommitError, OpenError};
pub use transfer::{TransferError, export, import};

use crate::authz::{Permit, ResourceIndex, Target};
use crate::kms::{Call, Effect, ErrorCode, KmsError};
use crate::policy::Kind;
use crate::served;
use crate::settings::Kms;
use crate::store::{PolicyChange, Store};
use execution::{Execution, internal_failure};
use ids::Ids;
use key::{KeySpec, KeyVersion};
use moment::Moment;
use state::{Change, Draft, Due, Gone, Record, State};
use storage::{Contents, Storage};

/// The embedded KMS.
pub struct LocalKms {
    region: Box<str>,
    ids: Ids,
    /// When everything happens, if time stands still.
    clock: Option<Moment>,
    /// The second in which what was due could not be done.
    failed_in: AtomicI64,
    store: Arc<Store>,
    /// How many foreign accounts the policies of one KMS instance may name.
    foreign_accounts: usize,
    state: ArcSwap<State>,
    /// Also the right to change the state: whoever holds it is the only writer.
    storage: Mutex<Storage>,
}

impl LocalKms {
    /// Opens the data, or creates it, adds what is in the seed and missing in the data, and publishes what names stand
    /// for.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(settings: &Kms, store: Arc<Store>, now: Timestamp) -> Result<Self, OpenError> {
        let (storage, contents) = Storage::open(&settings.data, Moment(now))?;
        let begun = Self::begin(storage, contents.into_state(), settings, store, (Ids::Random, None), Moment(now))?;
        begun.store.publish_sessions(Arc::new(served::open(&settings.data)?));
        Ok(begun)
    }

    /// Whether the data could be opened, as far as can be told while somebody else has it open.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn check(settings: &Kms, now: Timestamp) -> Result<(), OpenError> {
        Storage::check(&settings.data, Moment(now))
    }

    /// The same without a data folder: nothing is read or written there, and everything ends with the process. With a
    /// time for `always`, everything happens at that time and ids are counted, so that every run gives the same ones.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn ephemeral(
        settings: &Kms,
        store: Arc<Store>,
        always: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let now = Moment(always.unwrap_or(now));
        let ids = always.map_or(Ids::Random, |_| Ids::counted());
        let state = Contents::new(&ids, now)?.into_state();
        let begun = Self::begin(Storage::Memory, state, settings, store, (ids, always.map(Moment)), now)?;
        begun.store.publish_sessions(Arc::new(served::ephemeral()?));
        Ok(begun)
    }

    fn begin(
        mut storage: Storage,
        state: State,
        settings: &Kms,
        store: Arc<Store>,
        (ids, clock): (Ids, Option<Moment>),
        now: Moment,
    ) -> Result<Self, OpenError> {
        let mut draft = Draft::new(state);
        if let Some(seed) = &settings.seed {
            // First the policies: nothing may ever be there without the policy that it was ordered with.
            for policy in seed::plant(seed, &mut draft, &settings.account, (&ids, now))? {
                seed::put_in_force(&store, &settings.account, &policy, now)?;
            }
        }
        let (state, records) = draft.finish();
        if !records.is_empty() {
            storage.commit(&records).map_err(|why| storage.unwritable(why))?;
        }
        store.publish_index(state.index().clone());
        let region = settings.region.as_str().into();
        let (state, storage) = (ArcSwap::from_pointee(state), Mutex::new(storage));
        Ok(Self {
            region,
            ids,
            clock,
            failed_in: AtomicI64::new(i64::MIN),
            store,
            foreign_accounts: settings.foreign_accounts,
            state,
            storage,
        })
    }

    /// What names stand for on the first start: what the seed says, and nothing that was made since. Opens no data.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn names_of_seed(settings: &Kms, now: Timestamp) -> Result<ResourceIndex, OpenError> {
        let (ids, now) = (Ids::Random, Moment(now));
        let mut draft = Draft::new(State::new(KeyVersion::generate(KeySpec::Aes256, &ids, now)?));
        if let Some(seed) = &settings.seed {
            seed::plant(seed, &mut draft, &settings.account, (&ids, now))?;
        }
        Ok(draft.finish().0.index().clone())
    }

    /// Executes what was permitted. Blocks; what it changed is on the disk when it returns.
    pub fn execute(&self, permit: &Permit, now: Timestamp) -> Executed {
        let execution = Execution::new(self, permit, self.at(now), now);
        let result = self.answer(permit, &execution, now);
        Executed { result, changes: execution.into_changes() }
    }

    fn answer(&self, permit: &Permit, execution: &Execution<'_>, now: Timestamp) -> Result<Members, KmsError> {
        let operation = match &permit.request().call {
            Call::Known(operation) => operation,
            Call::Unknown(_) => return Err(ErrorCode::ApiNotFound.into()),
        };
        // What is due and cannot be kept on the disk does not stop anything else.
        let caught_up = self.catch_up(now);
        if caught_up.is_err() && self.is_due(permit, now) {
            caught_up?;
        }
        let function = functions::find(operation.name)?;
        let is_trial = parameters::switch(&permit.request().params, "DryRun")?;
        if is_trial && !operation.has_dry_run() {
            let message = format!("This action is not supported: {} has no DryRun.", operation.name);
            return Err(KmsError::new(ErrorCode::UnsupportedOperation, message));
        }
        match function(execution) {
            Ok(_) if is_trial => Err(ErrorCode::DryRunOperation.into()),
            Err(error) if is_trial && error.code != ErrorCode::InternalFailure => {
                Err(KmsError::because(ErrorCode::Validation, error.message))
            }
            result => result,
        }
    }

    /// Whether something that this permit is about should have happened by now, and did not.
    fn is_due(&self, permit: &Permit, now: Timestamp) -> bool {
        let (state, now) = (self.state(), self.at(now));
        let is_due = |due: Due| state.overdue(now).any(|overdue| *overdue == due);
        permit.targets().iter().any(|target| match target {
            Target::Key(key) => is_due(Due::Key(key.account.clone(), key.name.clone())),
            Target::Secret(secret) => is_due(Due::Secret(secret.account.clone(), secret.name.clone())),
            _ => false,
        })
    }

    /// How executing this spends its time.
    pub fn work(&self, permit: &Permit, now: Timestamp) -> Work {
        let call = &permit.request().call;
        let something_is_due = self.state().overdue(self.at(now)).next().is_some();
        match call {
            Call::Known(operation) if functions::HEAVY.contains(&operation.name) => Work::Computes,
            _ if call.effect() == Effect::Write || something_is_due => Work::Waits,
            _ => Work::Quick,
        }
    }

    /// Does what should have happened by itself until `now`: deletions, rotations, the end of imported material. Blocks
    /// when there is anything. After a failure, it is not tried again in the same second.
    ///
    /// # Errors
    /// It cannot be kept on the disk.
    pub fn catch_up(&self, now: Timestamp) -> Result<(), KmsError> {
        let (second, now) = (now.as_second(), self.at(now));
        if self.state().overdue(now).next().is_none() {
            return Ok(());
        }
        if self.failed_in.load(Ordering::Relaxed) == second {
            return Err(ErrorCode::InternalFailure.into());
        }
        let done = self.write(|draft| {
            let overdue: Vec<Due> = draft.state().overdue(now).cloned().collect();
            overdue.iter().try_for_each(|due| happen(draft, due, (&self.ids, now)))
        });
        let ((), changes) = done.inspect_err(|_| self.failed_in.store(second, Ordering::Relaxed))?;
        for change in changes {
            tracing::info!(file = change.file, old = change.old, "a policy was removed with what it belonged to");
        }
        Ok(())
    }

    /// How many keys there are, in all accounts.
    pub fn key_count(&self) -> usize {
        self.state().key_count()
    }

    /// How many secrets there are, in all accounts.
    pub fn secret_count(&self) -> usize {
        self.state().secret_count()
    }

    /// When it is for what is kept here.
    fn at(&self, now: Timestamp) -> Moment {
        self.clock.unwrap_or(Moment(now))
    }

    /// The state in force. Take it once per request and keep it to the end.
    fn state(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// Makes a change: `change` drafts it, then its records are kept on the disk, then it is in force and answered, with
    /// the policies that went with what is gone. If any of this fails, everything is as before.
    fn write<T>(
        &self,
        change: impl FnOnce(&mut Draft) -> Result<T, KmsError>,
    ) -> Result<(T, Vec<PolicyChange>), KmsError> {
        let mut storage = self.storage();
        if let Some(found) = storage.recover().map_err(internal_failure)? {
            self.put_in_force(found);
        }
        let mut draft = Draft::new(State::clone(&self.state()));
        let answer = change(&mut draft)?;
        let (state, records) = draft.finish();
        if records.is_empty() {
            return Ok((answer, Vec::new()));
        }
        storage.commit(&records).map_err(internal_failure)?;
        self.put_in_force(state);
        Ok((answer, records.iter().filter_map(|change| self.drop_policy(change)).collect()))
    }

    /// Does something that must not meet a change: while nobody else writes, on the state in force.
    ///
    /// # Errors
    /// Those of `work`.
    fn undisturbed<T>(&self, work: impl FnOnce(&State) -> Result<T, KmsError>) -> Result<T, KmsError> {
        let _alone = self.storage();
        work(&self.state())
    }

    /// The policy of a key or secret goes with it: it must not fall to another one that gets its name. Nobody can make
    /// one meanwhile, because only one writes at a time.
    fn drop_policy(&self, change: &Change) -> Option<PolicyChange> {
        let Change::Remove(gone, now) = change else { return None };
        let dropped = match gone {
            Gone::Key(account, id) => self.store.remove_policy(Kind::Key, account, id.as_str(), now.0),
            Gone::Secret(account, name) => self.store.remove_policy(Kind::Secret, account, name.as_str(), now.0),
            Gone::Alias(..) => return None,
        };
        match dropped {
            Ok(change) => (change.old.is_some()).then_some(change),
            Err(error) => {
                tracing::error!(%error, "the policy of something that was deleted cannot be removed, and stays in force");
                None
            }
        }
    }

    /// The state first: whoever is judged by the new index must find what it speaks of.
    fn put_in_force(&self, state: State) {
        let index = state.index().clone();
        self.state.store(Arc::new(state));
        self.store.publish_index(index);
    }

    /// A panic while the lock was held changed nothing: a state comes into force only when it is complete.
    fn storage(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of an execution.
pub struct Executed {
    /// The members of the answer, without `RequestId`; or KMS's own error, as each operation documents them.
    pub result: Result<Members, KmsError>,
    /// The policies that it changed.
    pub changes: Vec<PolicyChange>,
}

/// How an execution spends its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// In microseconds.
    Quick,
    /// It waits for the disk.
    Waits,
    /// It computes for a millisecond or for seconds, and may wait for the disk as well.
    Computes,
}

/// A key goes with its aliases. What was encrypted with it is lost, as its owner was told.
fn happen(draft: &mut Draft, due: &Due, (ids, now): (&Ids, Moment)) -> Result<(), KmsError> {
    let (account, id) = match due {
        Due::Key(account, id) => (account, id),
        Due::Secret(account, name) => {
            draft.remove(Gone::Secret(account.clone(), name.clone()), now);
            return Ok(());
        }
    };
    let owned = draft.state().account(account);
    let Some(key) = owned.keys.get(id) else { return Ok(()) };
    if let Some(key) = key.after(ids, now)? {
        draft.put(Record::Key(account.clone(), id.clone(), Arc::new(key)));
        return Ok(());
    }
    for (alias, _) in owned.aliases.iter().filter(|(_, key)| *key == id) {
        draft.remove(Gone::Alias(account.clone(), alias.clone()), now);
    }
    draft.remove(Gone::Key(account.clone(), id.clone()), now);
    Ok(())
}

#[cfg(test)]
mod openssl;
#[cfg(test)]
mod tests;
