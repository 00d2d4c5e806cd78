//! The one thread that writes: drains the queue, writes once, syncs once, answers all.

use super::format::{Fixed, SEGMENT_HEADER_BYTES, encode_entry};
use super::io::write_all_at;
use super::segment::{Extent, Segment, lock, write_header};
use super::shared::{Pending, Queue, Shared};
use super::{Append, AppendError, Entry};
use std::io;
use std::mem;
use std::sync::{Arc, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

/// Bytes that one write and sync take at most, but for a single larger entry: beyond this a larger group is no faster.
const GROUP_BYTES: usize = 4 << 20;

/// Where the writer begins: the end that recovery found.
#[derive(Debug)]
pub(super) struct Tail {
    pub next_seq: u64,
    pub next_epoch: u64,
    /// What the active segment's header says.
    pub marked: u64,
}

pub(super) fn start(shared: Arc<Shared>, tail: Tail) -> io::Result<()> {
    let active = lock(&shared.segments)
        .back()
        .cloned()
        .expect("recovery leaves a segment to write");
    let offset = active.extent().end;
    let mut writer = Writer {
        shared,
        active,
        offset,
        tail,
        buffer: Vec::new(),
        placed: Vec::new(),
    };
    std::thread::Builder::new()
        .name("journal-writer".to_owned())
        .spawn(move || {
            // However the thread ends, nobody may wait for it for ever.
            let _ended = Ended(writer.shared.clone());
            writer.run();
        })?;
    Ok(())
}

struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        let shared = &self.0;
        if std::thread::panicking() {
            shared.fail("panic", &shared.dir, &io::Error::other("the writer thread panicked"));
        }
        shared.begin_close();
        // What was never handed to the disk is certain not to have been taken.
        for pending in mem::take(&mut lock(&shared.queue).pending) {
            let _ = pending.reply.send(Err(AppendError::Stopping));
        }
        lock(&shared.pool).stop = true;
        shared.pool_wanted.notify_all();
        shared.pool_changed.notify_all();
        shared.thread_ended();
    }
}

/// An entry that lies in the buffer.
struct Placed {
    entry: Arc<Entry>,
    offset: u64,
    size: u64,
    reply: oneshot::Sender<Result<u64, AppendError>>,
    permit: OwnedSemaphorePermit,
}

struct Writer {
    shared: Arc<Shared>,
    active: Arc<Segment>,
    /// Where in the active segment the buffer goes.
    offset: u64,
    tail: Tail,
    buffer: Vec<u8>,
    placed: Vec<Placed>,
}

/// The journal has failed and says so already.
struct Fatal;

impl Writer {
    fn run(&mut self) {
        let mut group = Vec::new();
        loop {
            match self.next_group(&mut group) {
                Next::Group => {
                    if self.write_group(&mut group).is_err() {
                        return;
                    }
                }
                Next::Idle => {
                    if self.mark().is_err() {
                        return;
                    }
                }
                Next::Closed => {
                    let _ = self.mark();
                    return;
                }
            }
        }
    }

    /// Waits for appends and takes up to [`GROUP_BYTES`] of them.
    fn next_group(&mut self, group: &mut Vec<Pending>) -> Next {
        let shared = self.shared.clone();
        let mut queue = lock(&shared.queue);
        loop {
            if shared.has_failed() {
                return Next::Closed;
            }
            if !queue.pending.is_empty() {
                take_group(&mut queue, group);
                return Next::Group;
            }
            if queue.closed {
                return Next::Closed;
            }
            if self.tail.marked == self.durable() {
                queue = shared.queue_filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (q, timeout) = shared
                .queue_filled
                .wait_timeout(queue, shared.options.idle_mark)
                .unwrap_or_else(PoisonError::into_inner);
            queue = q;
            if timeout.timed_out() && queue.pending.is_empty() && !queue.closed {
                return Next::Idle;
            }
        }
    }

    fn durable(&self) -> u64 {
        *self.shared.durable.borrow()
    }

    fn write_group(&mut self, group: &mut Vec<Pending>) -> Result<(), Fatal> {
        let mut pending = group.drain(..);
        while let Some(p) = pending.next() {
            match self.place(p) {
                Ok(()) => {}
                Err(Fatal) => {
                    for p in pending {
                        let _ = p.reply.send(Err(AppendError::Stopping));
                    }
                    return Err(Fatal);
                }
            }
        }
        drop(pending);
        self.flush()
    }

    /// Puts an entry into the buffer, or answers it.
    fn place(&mut self, p: Pending) -> Result<(), Fatal> {
        if !self.has_room(&p) {
            // A segment is whole on disk before the next one begins: only the last one can have a torn tail.
            if let Err(Fatal) = self.flush() {
                let _ = p.reply.send(Err(AppendError::Stopping));
                return Err(Fatal);
            }
            match self.roll(p.reserved) {
                Ok(()) => {}
                Err(RollFault::Full(full)) => {
                    let _ = p.reply.send(Err(full));
                    return Ok(());
                }
                Err(RollFault::Fatal) => {
                    let _ = p.reply.send(Err(AppendError::Stopping));
                    return Err(Fatal);
                }
            }
        }
        let Pending {
            entry:
                Append {
                    kind,
                    received_at,
                    header,
                    body,
                },
            packed,
            size,
            reply,
            _permit: permit,
            ..
        } = p;
        let fixed = Fixed {
            seq: self.tail.next_seq,
            epoch: self.active.epoch,
            synced_to: self.durable(),
            received_at,
            kind,
            lz4: packed.is_some(),
            body_len: body.len() as u32,
        };
        let offset = self.offset + self.buffer.len() as u64;
        encode_entry(
            &mut self.buffer,
            &self.shared.check,
            &fixed,
            &header,
            packed.as_deref().unwrap_or(&body),
        );
        let entry = Arc::new(Entry {
            seq: fixed.seq,
            kind,
            received_at,
            header,
            body,
        });
        self.placed.push(Placed {
            entry,
            offset,
            size: size as u64,
            reply,
            permit,
        });
        self.tail.next_seq += 1;
        Ok(())
    }

    fn has_room(&self, p: &Pending) -> bool {
        let end = self.offset + (self.buffer.len() + p.size) as u64;
        end <= self.active.on.bytes && (p.reserved || !self.active.from_reserve || self.shared.reserve_is_whole())
    }

    /// Writes and syncs the buffer, then lets everybody know.
    fn flush(&mut self) -> Result<(), Fatal> {
        let Some(last) = self.placed.last().map(|p| p.entry.seq) else {
            return Ok(());
        };
        let began = Instant::now();
        let file = &*self.active.on.file;
        let done = match write_all_at(file, &self.buffer, self.offset) {
            Err(e) => Err(("write", e)),
            Ok(()) => file.sync_data().map_err(|e| ("sync", e)),
        };
        if let Err((action, error)) = done {
            self.shared.fail(action, &self.active.on.path, &error);
            for p in self.placed.drain(..) {
                let _ = p.reply.send(Err(AppendError::Failed));
            }
            return Err(Fatal);
        }
        if let Some(observer) = &self.shared.options.observer {
            observer.synced(began.elapsed(), self.placed.len(), self.buffer.len());
        }
        {
            let mut extent = self.active.extent();
            for p in &self.placed {
                extent.add(p.entry.seq, p.offset, p.size, p.entry.received_at);
            }
        }
        {
            let mut cache = lock(&self.shared.cache);
            for p in &self.placed {
                cache.push(p.entry.clone());
            }
        }
        // After extent and cache: whoever sees the new sequence finds its entry.
        self.shared.durable.send_replace(last);
        self.offset += self.buffer.len() as u64;
        for p in self.placed.drain(..) {
            let _ = p.reply.send(Ok(p.entry.seq));
            drop(p.permit);
        }
        self.buffer.clear();
        self.buffer.shrink_to(2 * GROUP_BYTES);
        Ok(())
    }

    /// Takes the next segment into use.
    fn roll(&mut self, reserved: bool) -> Result<(), RollFault> {
        let (on, from_reserve) = self.shared.take_spare(reserved).map_err(RollFault::Full)?;
        let synced_to = self.durable();
        let (epoch, first_seq) = (self.tail.next_epoch, self.tail.next_seq);
        let header = self.shared.header(true, epoch, first_seq, synced_to, on.bytes);
        // Synced by itself: were an entry on disk before it, a crash could leave it among those of the segment's earlier life.
        if let Err(e) = write_header(&*on.file, &header) {
            self.shared.fail("segment header", &on.path, &e);
            return Err(RollFault::Fatal);
        }
        self.tail.next_epoch += 1;
        self.tail.marked = synced_to;
        self.active = Arc::new(Segment::new(on, &header, from_reserve, Extent::empty()));
        self.offset = SEGMENT_HEADER_BYTES;
        lock(&self.shared.segments).push_back(self.active.clone());
        Ok(())
    }

    /// Notes in the head of the segment how far everything is durable.
    fn mark(&mut self) -> Result<(), Fatal> {
        let durable = self.durable();
        if self.shared.has_failed() || self.tail.marked == durable {
            return Ok(());
        }
        let s = &self.active;
        let header = self.shared.header(true, s.epoch, s.first_seq, durable, s.on.bytes);
        if let Err(e) = write_header(&*s.on.file, &header) {
            self.shared.fail("segment header", &s.on.path, &e);
            return Err(Fatal);
        }
        self.tail.marked = durable;
        Ok(())
    }
}

enum Next {
    Group,
    Idle,
    Closed,
}

enum RollFault {
    Full(AppendError),
    Fatal,
}

fn take_group(queue: &mut Queue, group: &mut Vec<Pending>) {
    let mut bytes = 0;
    while let Some(next) = queue.pending.front() {
        if !group.is_empty() && bytes + next.size > GROUP_BYTES {
            break;
        }
        bytes += next.size;
        group.extend(queue.pending.pop_front());
    }
}
