//! The thread that keeps segments ready: recycles those that nobody needs, through the archive, and makes new ones.

use super::archive;
use super::segment::{self, Segment, SegmentFile, lock, write_header};
use super::shared::{Pool, Shared};
use andon_engine::time::{Clock as _, Timestamp};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How often age alone is looked at.
const PASS_EVERY: Duration = Duration::from_secs(5);

/// Released segments that are kept for their next life beyond those needed now; more are given back to the disk.
const SURPLUS: usize = 4;

pub(super) fn start(shared: Arc<Shared>) -> io::Result<()> {
    shared.want_pass();
    std::thread::Builder::new()
        .name("journal-keeper".to_owned())
        .spawn(move || {
            let _ended = Ended(shared.clone());
            run(&shared);
        })?;
    Ok(())
}

struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        let shared = &self.0;
        if std::thread::panicking() {
            shared.fail("panic", &shared.dir, &io::Error::other("the keeper thread panicked"));
        }
        lock(&shared.pool).stop = true;
        shared.pool_changed.notify_all();
        shared.thread_ended();
    }
}

fn run(shared: &Shared) {
    let mut refused = None;
    while wait(shared) {
        let disk_full = match pass(shared) {
            Ok(()) => None,
            Err(e) => Some(e.to_string()),
        };
        if disk_full != refused {
            match &disk_full {
                Some(reason) => {
                    tracing::warn!(dir = %shared.dir.display(), reason, "journal cannot get another segment")
                }
                None => tracing::info!(dir = %shared.dir.display(), "journal gets segments again"),
            }
            refused = disk_full.clone();
        }
        let mut pool = lock(&shared.pool);
        pool.disk_full = disk_full.is_some();
        pool.ended = pool.begun;
        shared.pool_changed.notify_all();
    }
}

/// Until a pass is due; false when the journal ends.
fn wait(shared: &Shared) -> bool {
    let mut pool = lock(&shared.pool);
    loop {
        if pool.stop {
            return false;
        }
        if pool.wanted {
            return begin(&mut pool);
        }
        let (p, timeout) = shared
            .pool_wanted
            .wait_timeout(pool, PASS_EVERY)
            .unwrap_or_else(PoisonError::into_inner);
        pool = p;
        if timeout.timed_out() && !pool.stop {
            return begin(&mut pool);
        }
    }
}

fn begin(pool: &mut Pool) -> bool {
    pool.wanted = false;
    pool.begun += 1;
    true
}

/// Everything that can be done now. An error: the disk does not give another segment.
fn pass(shared: &Shared) -> io::Result<()> {
    let mut archive_fault = None;
    while !shared.has_failed() && !lock(&shared.pool).stop {
        let now = shared.clock.now();
        if archive_fault.is_none()
            && let Some(oldest) = recyclable(shared, now)
        {
            archive_fault = recycle(shared, &oldest).err();
        } else if wants_spare(shared) {
            add_spare(shared)?;
        } else {
            break;
        }
    }
    if let Some(options) = &shared.options.archive {
        let retention = shared.options.retention.as_ref();
        let now = retention.map_or_else(|| shared.clock.now(), |clock| clock.now());
        let trimmed = archive::trim(shared, options, now);
        let fault = archive_fault.or(trimmed.err()).map(|e| e.to_string());
        let mut usage = lock(&shared.archive);
        if let Some(reason) = fault.as_ref().filter(|f| usage.fault.as_ref() != Some(f)) {
            tracing::error!(dir = %options.dir.display(), reason, "archive cannot be written; segments are not recycled until it can");
        }
        usage.fault = fault;
    }
    Ok(())
}

/// The oldest segment, if nobody needs it any more.
fn recyclable(shared: &Shared, now: Timestamp) -> Option<Arc<Segment>> {
    let released = {
        let holders = lock(&shared.holders);
        if !shared.options.holders.iter().all(|name| holders.contains_key(name)) {
            return None;
        }
        holders.values().copied().min()?
    };
    let segments = lock(&shared.segments);
    let oldest = segments.front().filter(|_| segments.len() > 1)?;
    let (last_seq, newest) = {
        let extent = oldest.extent();
        // An entry from the future tells that the clock was set back: then age cannot be told, and holding space for days helps nobody.
        (extent.last_seq, extent.received_max)
    };
    let floor = shared.options.replay_floor;
    let young = now.since(newest) < floor && newest.since(now) < floor;
    (last_seq <= released && !(young && last_seq > 0)).then(|| oldest.clone())
}

/// Copies a segment to the archive and gives its file the next life, or back to the disk.
fn recycle(shared: &Shared, segment: &Arc<Segment>) -> io::Result<()> {
    if let Some(options) = &shared.options.archive {
        archive::store(shared, options, segment)?;
    }
    // Readers must lose sight of it before a byte of it changes.
    lock(&shared.segments).pop_front();
    let SegmentFile {
        slot,
        path,
        file,
        bytes,
    } = &segment.on;
    let keep = {
        let pool = lock(&shared.pool);
        *bytes == shared.options.segment_bytes
            && pool.spares.len() < shared.options.spare_target() + SURPLUS
            && pool.allocated <= shared.options.quota_bytes
    };
    if !keep {
        // Should it fail, the file comes back at the next start and is removed then.
        if let Err(e) = shared.io.remove(path).and_then(|()| shared.io.sync_dir(&shared.dir)) {
            tracing::warn!(path = %path.display(), error = %e, "journal segment cannot be removed");
        }
        lock(&shared.pool).allocated -= bytes;
        return Ok(());
    }
    let header = shared.header(false, segment.epoch, 0, *shared.durable.borrow(), *bytes);
    if let Err(e) = write_header(&**file, &header) {
        shared.fail("segment header", path, &e);
        return Ok(());
    }
    let spare = SegmentFile {
        slot: *slot,
        path: path.clone(),
        file: file.clone(),
        bytes: *bytes,
    };
    lock(&shared.pool).spares.push(spare);
    shared.pool_changed.notify_all();
    Ok(())
}

fn wants_spare(shared: &Shared) -> bool {
    let pool = lock(&shared.pool);
    pool.spares.len() < shared.options.spare_target()
        && pool.allocated + shared.options.segment_bytes <= shared.options.quota_bytes
}

/// Makes a segment. This is where a full disk shows.
pub(super) fn add_spare(shared: &Shared) -> io::Result<()> {
    let slot = {
        let mut pool = lock(&shared.pool);
        pool.next_slot += 1;
        pool.next_slot
    };
    let header = shared.header(false, 0, 0, 0, shared.options.segment_bytes);
    let spare = segment::create(&*shared.io, &shared.dir, slot, &header)?;
    let mut pool = lock(&shared.pool);
    pool.allocated += spare.bytes;
    pool.spares.push(spare);
    pool.disk_full = false;
    shared.pool_changed.notify_all();
    Ok(())
}
