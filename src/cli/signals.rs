//! Signals, and what they ask for.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use crate::listen::Heir;
use crate::proxy::Behind;
use crate::store::Reloader;

/// The sockets of all doors, for a successor.
pub type Sockets = Arc<Vec<(String, OwnedFd)>>;

/// Has signals do nothing for the time being that would end a process that is not ready to handle them: SIGQUIT and SIGHUP
/// are for one that serves. As long as what is returned lives, and after that for ever.
///
/// # Errors
/// The system does not allow it.
pub fn ignore() -> Result<Runtime, String> {
    let told = |error: io::Error| format!("signals cannot be handled: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(told)?;
    {
        let _inside = runtime.enter();
        for kind in [SignalKind::quit(), SignalKind::hangup()] {
            drop(signal(kind).map_err(told)?);
        }
    }
    Ok(runtime)
}

/// How long somebody who was told to end waits for a successor that he asked before.
const HURRIED: Duration = Duration::from_secs(1);

/// How it ends.
#[derive(Default)]
pub struct End {
    /// The successor that takes over, if one does.
    pub heir: Option<Heir>,
    /// Whether nobody is waited for, because a second signal came.
    pub is_hurried: bool,
}

/// The signals that are handled while somebody serves.
pub struct Signals {
    reloader: Reloader,
    behind: Behind,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    quit: Signal,
}

impl Signals {
    /// From now on.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn new(reloader: Reloader, behind: Behind) -> io::Result<Self> {
        Ok(Self {
            reloader,
            behind,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Resolves when it shall end. Until then, SIGHUP has the files read again. SIGQUIT ends nothing unless a successor waits
    /// that can serve.
    pub async fn end(&mut self, handover: Option<&Path>, sockets: &Sockets) -> End {
        loop {
            tokio::select! {
                () = either(&mut self.terminate, &mut self.interrupt) => return End::default(),
                _ = self.hang_up.recv() => self.read_again(),
                _ = self.quit.recv() => match handover {
                    Some(path) => if let Some(end) = self.find_heir(path, sockets).await {
                        return end;
                    },
                    None => tracing::error!("SIGQUIT hands over to a successor, and listen.handover is not set; serving goes on"),
                },
            }
        }
    }

    /// Looks for a successor; `None` if there is none, and serving goes on. Requests are answered meanwhile.
    async fn find_heir(&mut self, path: &Path, sockets: &Sockets) -> Option<End> {
        let (path, sockets) = (path.to_owned(), sockets.clone());
        let mut finding = tokio::task::spawn_blocking(move || Heir::find(&path, &sockets));
        let (found, is_hurried) = tokio::select! {
            found = &mut finding => (Some(found), false),
            // It may have the sockets already.
            () = either(&mut self.terminate, &mut self.interrupt) => {
                (timeout(HURRIED, &mut finding).await.ok(), true)
            }
        };
        let error = match found.map(|found| found.unwrap_or_else(|error| Err(io::Error::other(error)))) {
            Some(Ok(heir)) => return Some(End { heir: Some(heir), is_hurried }),
            Some(Err(error)) if !is_hurried => error,
            _ => return Some(End::default()),
        };
        tracing::error!(%error, "nobody waits at listen.handover who could take over; serving goes on");
        None
    }

    /// Has everything read again that is in files, or fetched.
    fn read_again(&self) {
        self.reloader.nudge();
        if let Behind::Elsewhere(upstream) = &self.behind {
            upstream.refresh_credentials();
        }
    }

    /// Resolves when it shall end at once.
    pub async fn end_now(&mut self) {
        loop {
            tokio::select! {
                () = either(&mut self.terminate, &mut self.interrupt) => return,
                _ = self.hang_up.recv() => self.read_again(),
                _ = self.quit.recv() => tracing::warn!("it is ending already"),
            }
        }
    }
}

/// Resolves when either comes.
async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
