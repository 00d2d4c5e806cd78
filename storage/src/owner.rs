//! The owner of a site while it runs: who claims, where, and the lease that is renewed until another process has taken over.

use crate::ports::site::{Claim, ClaimError, OwnerStore};
use crate::ports::{Result, StoreError};
use andon_engine::ids::JournalId;
use andon_engine::time::{Clock, Span};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a gateway that died keeps others from taking over, if it is not started again in its place. A process that is paused for
/// longer may find the site taken.
pub const LEASE: Span = Span::secs(15);
/// Renewals in one lease, so that the store may be away for most of it.
const RENEWALS: i64 = 5;

/// The place of a journal whose lock this process holds, for [`Claim::place`].
///
/// It names the lock file by its inode and the running kernel by its boot id, so no copy of the folder has the same: a copy on this
/// machine has another inode (that of a removed file is not given away while its holder lives), one on another machine, or in a clone of
/// this one, has another boot id. Containers of one machine that share the folder share kernel and file, and so the lock.
/// Empty when the system does not say: then a restart waits for the lease.
pub fn place(journal_dir: &Path) -> String {
    let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else {
        return String::new();
    };
    match std::fs::metadata(journal_dir.join("lock")) {
        Ok(file) => format!("{}/{}:{}", boot.trim(), file.dev(), file.ino()),
        Err(_) => String::new(),
    }
}

/// A claim for the gateway of this process, which holds the lock of the journal in `journal_dir`. `above` as in [`Claim::above`].
pub fn claim_of(journal_dir: &Path, journal: JournalId, above: u64) -> Claim {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "unknown host",
        host => host,
    };
    Claim {
        owner: format!(
            "{host}, process {}, run {:08x}",
            std::process::id(),
            rand::random::<u32>()
        ),
        journal,
        place: place(journal_dir),
        lease: LEASE,
        above,
    }
}

/// The site is ours, until [`Ownership::lost`] says otherwise. Dropping it stops the renewals; [`Ownership::release`] frees the site.
pub struct Ownership {
    epoch: u64,
    store: Arc<dyn Keeper>,
    clock: Arc<dyn Clock>,
    renewing: JoinHandle<()>,
    lost: watch::Receiver<Option<Arc<str>>>,
}

/// A store in which ownership can be kept.
#[async_trait::async_trait]
pub trait Keeper: OwnerStore {
    /// Looks whether the store was emptied, and puts back what can be.
    async fn look_after(&self) -> Result<()>;
}

#[async_trait::async_trait]
impl<D: crate::relational::database::Database> Keeper for crate::relational::Relational<D> {
    async fn look_after(&self) -> Result<()> {
        self.heal().await.map(drop)
    }
}

impl std::fmt::Debug for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ownership(epoch {})", self.epoch)
    }
}

impl Ownership {
    /// Claims the site, and renews the claim from then on. The store's writes are fenced with the new epoch.
    pub async fn claim(
        store: Arc<dyn Keeper>,
        claim: &Claim,
        clock: Arc<dyn Clock>,
    ) -> std::result::Result<Ownership, ClaimError> {
        let owned = store.claim_site(claim, clock.now()).await?;
        let (tell, lost) = watch::channel(None);
        let renewing = tokio::spawn(renew(store.clone(), owned.epoch, claim.lease, clock.clone(), tell));
        Ok(Ownership {
            epoch: owned.epoch,
            store,
            clock,
            renewing,
            lost,
        })
    }

    /// The fence for stores that have no transactions with the relational one.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns when another process owns the site, with the sentence that says which: this one must end. Nothing that it writes from
    /// then on is taken.
    pub async fn lost(&self) -> Arc<str> {
        let mut lost = self.lost.clone();
        let why = match lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone(),
            // Given back by ourselves.
            Err(_) => return std::future::pending().await,
        };
        why.unwrap_or_default()
    }

    /// Gives the site free at once: the last thing that its owner does.
    pub async fn release(self) -> Result<()> {
        self.renewing.abort();
        self.store.release_site(self.epoch, self.clock.now()).await.map(drop)
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn renew(
    store: Arc<dyn Keeper>,
    epoch: u64,
    lease: Span,
    clock: Arc<dyn Clock>,
    lost: watch::Sender<Option<Arc<str>>>,
) {
    let every = Span(lease.0 / RENEWALS).to_std();
    let mut failing = false;
    loop {
        tokio::time::sleep(every).await;
        let renewed = match store.renew(epoch, lease, clock.now()).await {
            Ok(_) => store.look_after().await,
            Err(e) => Err(e),
        };
        match renewed {
            Ok(()) => failing = false,
            Err(StoreError::Fenced { reason, .. }) => {
                tracing::error!(%reason, "another process owns the site now: this one ends");
                lost.send_replace(Some(Arc::from(reason)));
                return;
            }
            // Nobody can take over without that store either, or has yet.
            Err(e) if !failing => {
                failing = true;
                tracing::warn!(error = %e, "the claim of the site cannot be renewed now");
            }
            Err(_) => {}
        }
    }
}
