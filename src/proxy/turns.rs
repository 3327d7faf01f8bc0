//! Turns to compute for long: so many at the same time, a short queue, and no more than that.

use std::num::NonZero;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::kms::{ErrorCode, KmsError};

/// How many may wait for their turn; all others are told to come back later.
const WAITING_MAX: usize = 64;

/// Who may compute, and who may wait for that.
pub struct Turns {
    computing: Semaphore,
    waiting: Semaphore,
}

impl Turns {
    /// As many turns at the same time as leave a core to the others.
    pub fn leaving_a_core() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::new(cores.saturating_sub(1).max(1), WAITING_MAX)
    }

    fn new(computing: usize, waiting: usize) -> Self {
        Self { computing: Semaphore::new(computing), waiting: Semaphore::new(waiting) }
    }

    /// A turn, when one is free; it ends when this is dropped.
    ///
    /// # Errors
    /// 429 `Rejected.Throttling`: too many wait already.
    pub async fn take(&self) -> Result<SemaphorePermit<'_>, KmsError> {
        if let Ok(turn) = self.computing.try_acquire() {
            return Ok(turn);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| ErrorCode::Throttling)?;
        self.computing.acquire().await.map_err(|_| ErrorCode::InternalFailure.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// One computes, two wait, the next one is turned away; whoever is done lets another one in.
    #[tokio::test]
    async fn a_short_queue_waits_and_nobody_else() {
        let turns = Arc::new(Turns::new(1, 2));
        let first = turns.take().await.unwrap();
        let wait = || {
            let turns = turns.clone();
            tokio::spawn(async move { turns.take().await.map(drop) })
        };
        let waiting = [wait(), wait()];
        while turns.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let told = turns.take().await.unwrap_err();
        assert_eq!((told.status, told.code), (429, ErrorCode::Throttling));
        drop(first);
        for waited in waiting {
            assert!(waited.await.unwrap().is_ok());
        }
        assert_eq!((turns.waiting.available_permits(), turns.computing.available_permits()), (2, 1));
    }
}
