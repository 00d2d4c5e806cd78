//! A disk in memory that does to unsynced data whatever a real one may do.
//!
//! Written sectors (512 bytes) stay dirty until their file is synced. A power cut gives each dirty sector, for itself, its durable
//! content or any version written since: hence loss, reordering and tearing. Names are durable once their directory is synced; a
//! power cut applies any of the operations since. A failed sync leaves the written bytes visible and clean, as Linux does, though they
//! never got to the disk. Each operation is a numbered step at which a fault can be set.

use andon_storage::journal::{JournalFile, JournalIo, LockGuard};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

const SECTOR: usize = 512;
type Sector = [u8; SECTOR];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation fails; of a write a part may have been done, and a sync leaves nothing dirty behind.
    Eio,
    /// The operation finds no space; others are not hindered.
    Enospc,
    /// A write takes only a part; anything else is not hindered.
    Short,
    /// The power goes; of a write a part may have been done.
    PowerCut,
}

#[derive(Default, Clone)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeMap<usize, Vec<Sector>>,
    /// Sectors that cannot be read.
    unreadable: BTreeSet<usize>,
    allocated: u64,
}

#[derive(Clone)]
enum NameOp {
    Link(PathBuf, u64),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

struct State {
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    name_ops: Vec<NameOp>,
    inodes: BTreeMap<u64, Inode>,
    capacity: u64,
    steps: u64,
    log: Vec<&'static str>,
    fault: Option<(u64, Fault)>,
    fired: bool,
    /// Which run of the machine; those of an earlier one are gone.
    session: u64,
    powered: bool,
    locked: bool,
    sync_fails: bool,
    read_fails: bool,
    syncs_held: bool,
    rng: StdRng,
}

#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>, Arc<Condvar>);

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_ops: Vec::new(),
            inodes: BTreeMap::new(),
            capacity: u64::MAX,
            steps: 0,
            log: Vec::new(),
            fault: None,
            fired: false,
            session: 0,
            powered: true,
            locked: false,
            sync_fails: false,
            read_fails: false,
            syncs_held: false,
            rng: StdRng::seed_from_u64(seed),
        };
        Self(Arc::new(Mutex::new(state)), Arc::default())
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
    /// What a process that starts now works with.
    pub(crate) fn io(&self) -> Arc<SimIo> {
        Arc::new(SimIo {
            disk: self.clone(),
            session: self.state().session,
        })
    }
    /// The process is gone; the machine goes on, with what it has in its cache.
    pub(crate) fn kill(&self) {
        self.state().new_session();
    }
    /// The machine is gone and comes back.
    pub(crate) fn power_cut(&self) {
        let mut s = self.state();
        if s.powered {
            s.lose_power();
        }
        s.fault = None;
        s.new_session();
    }
    /// Sets a fault at the operation `after` steps from now.
    pub(crate) fn arm(&self, after: u64, fault: Fault) {
        let mut s = self.state();
        s.fault = Some((s.steps + after, fault));
    }
    pub(crate) fn disarm(&self) {
        self.state().fault = None;
    }
    /// Whether a fault has come to pass in this run of the process.
    pub(crate) fn fired(&self) -> bool {
        self.state().fired
    }
    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }
    /// Writes so far.
    pub(crate) fn writes(&self) -> usize {
        self.state().log.iter().filter(|what| **what == "write").count()
    }
    /// Puts a file there, durable, as somebody who restores a backup does.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut s = self.state();
        let ino = s.inodes.keys().last().map_or(1, |n| n + 1);
        s.inodes.insert(
            ino,
            Inode {
                cached: bytes.clone(),
                durable: bytes,
                ..Inode::default()
            },
        );
        s.names.insert(path.to_owned(), ino);
        s.durable_names.insert(path.to_owned(), ino);
    }
    /// From now on every sync fails, until told otherwise.
    pub(crate) fn fail_every_sync(&self, yes: bool) {
        let mut s = self.state();
        s.sync_fails = yes;
        s.fired |= yes;
    }
    /// From now on every read fails, until told otherwise.
    pub(crate) fn fail_every_read(&self, yes: bool) {
        self.state().read_fails = yes;
    }
    /// From now on syncs do not return, until told otherwise.
    pub(crate) fn hold_syncs(&self, yes: bool) {
        self.state().syncs_held = yes;
        self.1.notify_all();
    }
    pub(crate) fn used(&self) -> u64 {
        self.state().used()
    }
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }
    pub(crate) fn bytes(&self, path: &Path) -> Vec<u8> {
        let s = self.state();
        s.inodes[&s.names[path]].cached.clone()
    }
    /// Changes bytes where they lie, as a failing disk does.
    pub(crate) fn corrupt(&self, path: &Path, offset: usize, change: impl Fn(&mut u8)) {
        let mut s = self.state();
        let ino = s.names[path];
        let inode = s.inodes.get_mut(&ino).unwrap();
        change(&mut inode.cached[offset]);
        if let Some(b) = inode.durable.get_mut(offset) {
            change(b);
        }
    }
    /// Makes a sector fail on every read until it is written.
    pub(crate) fn make_unreadable(&self, path: &Path, offset: usize) {
        let mut s = self.state();
        let ino = s.names[path];
        s.inodes.get_mut(&ino).unwrap().unreadable.insert(offset / SECTOR);
    }
}

impl State {
    fn new_session(&mut self) {
        (self.powered, self.locked, self.fired) = (true, false, false);
        self.session += 1;
    }

    fn used(&self) -> u64 {
        let linked: BTreeSet<u64> = self.names.values().copied().collect();
        linked
            .iter()
            .map(|ino| self.inodes[ino].allocated.max(self.inodes[ino].cached.len() as u64))
            .sum()
    }

    fn lose_power(&mut self) {
        self.powered = false;
        let ops = std::mem::take(&mut self.name_ops);
        for op in ops {
            if self.rng.random_bool(0.5) {
                op.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let live: BTreeSet<u64> = self.names.values().copied().collect();
        self.inodes.retain(|ino, _| live.contains(ino));
        for inode in self.inodes.values_mut() {
            for (sector, versions) in std::mem::take(&mut inode.dirty) {
                let pick = self.rng.random_range(0..=versions.len());
                if pick > 0 {
                    let (at, end) = (sector * SECTOR, (sector + 1) * SECTOR);
                    if inode.durable.len() < end {
                        inode.durable.resize(end, 0);
                    }
                    inode.durable[at..end].copy_from_slice(&versions[pick - 1]);
                }
            }
            inode.cached = inode.durable.clone();
            inode.allocated = 0;
        }
    }

    /// Counts a step; the fault set for it, if any.
    fn step(&mut self, session: u64, what: &'static str) -> io::Result<Option<Fault>> {
        if !self.powered || session != self.session {
            return Err(io::Error::other("the machine is gone"));
        }
        let now = self.steps;
        self.steps += 1;
        self.log.push(what);
        match self.fault {
            Some((at, fault)) if at <= now => {
                self.fault = None;
                self.fired = true;
                Ok(Some(fault))
            }
            _ => Ok(None),
        }
    }

    fn write(&mut self, ino: u64, bytes: &[u8], offset: usize) {
        let inode = self.inodes.entry(ino).or_default();
        let end = offset + bytes.len();
        if inode.cached.len() < end {
            inode.cached.resize(end, 0);
        }
        inode.cached[offset..end].copy_from_slice(bytes);
        if bytes.is_empty() {
            return;
        }
        for sector in offset / SECTOR..=(end - 1) / SECTOR {
            let mut version = [0; SECTOR];
            let have = &inode.cached[sector * SECTOR..inode.cached.len().min((sector + 1) * SECTOR)];
            version[..have.len()].copy_from_slice(have);
            inode.dirty.entry(sector).or_default().push(version);
            inode.unreadable.remove(&sector);
        }
    }
}

impl NameOp {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            NameOp::Link(path, ino) => {
                names.insert(path.clone(), *ino);
            }
            NameOp::Unlink(path) => {
                names.remove(path);
            }
            NameOp::Rename(from, to) => {
                if let Some(ino) = names.remove(from) {
                    names.insert(to.clone(), ino);
                }
            }
        }
    }
    fn dir(&self) -> Option<&Path> {
        match self {
            NameOp::Link(path, _) | NameOp::Unlink(path) | NameOp::Rename(_, path) => path.parent(),
        }
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}
fn enospc() -> io::Error {
    io::Error::from_raw_os_error(28)
}

pub(crate) struct SimIo {
    disk: SimDisk,
    session: u64,
}

impl fmt::Debug for SimIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimIo({})", self.session)
    }
}

impl SimIo {
    /// The state, after the fault of this step if it is one of a plain operation.
    fn plain(&self, what: &'static str, needs_space: bool) -> io::Result<MutexGuard<'_, State>> {
        let mut s = self.disk.state();
        match s.step(self.session, what)? {
            Some(Fault::Eio) => Err(eio()),
            Some(Fault::Enospc) if needs_space => Err(enospc()),
            Some(Fault::PowerCut) => {
                s.lose_power();
                Err(eio())
            }
            _ => Ok(s),
        }
    }
    fn name_op(s: &mut State, op: NameOp) {
        op.apply(&mut s.names);
        s.name_ops.push(op);
    }
    fn file(&self, ino: u64) -> Arc<dyn JournalFile> {
        Arc::new(SimFile {
            io: SimIo {
                disk: self.disk.clone(),
                session: self.session,
            },
            ino,
        })
    }
}

struct SimLock(SimDisk, u64);

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut s = self.0.state();
        if s.session == self.1 {
            s.locked = false;
        }
    }
}

impl JournalIo for SimIo {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.plain("create_dir", true).map(drop)
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        let s = self.plain("open", false)?;
        let ino = *s.names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(self.file(ino))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        let mut s = self.plain("create", true)?;
        // A new file even where one was: emptying it in place would lose nothing else here.
        let ino = s.inodes.keys().last().map_or(1, |n| n + 1);
        s.inodes.insert(ino, Inode::default());
        Self::name_op(&mut s, NameOp::Link(path.to_owned(), ino));
        Ok(self.file(ino))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let s = self.plain("list", false)?;
        let names = s.names.keys().filter(|p| p.parent() == Some(dir));
        Ok(names
            .filter_map(|p| Some(p.file_name()?.to_str()?.to_owned()))
            .collect())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut s = self.plain("remove", false)?;
        if !s.names.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        Self::name_op(&mut s, NameOp::Unlink(path.to_owned()));
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut s = self.plain("rename", true)?;
        if !s.names.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        Self::name_op(&mut s, NameOp::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut s = self.plain("sync_dir", false)?;
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut s.name_ops)
            .into_iter()
            .partition(|op| op.dir() == Some(dir));
        s.name_ops = later;
        for op in now {
            op.apply(&mut s.durable_names);
        }
        Ok(())
    }
    fn lock(&self, _: &Path) -> io::Result<LockGuard> {
        let mut s = self.plain("lock", false)?;
        if std::mem::replace(&mut s.locked, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock(self.disk.clone(), self.session)))
    }
}

#[derive(Debug)]
struct SimFile {
    io: SimIo,
    ino: u64,
}

impl JournalFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let s = self.io.plain("len", false)?;
        Ok(s.inodes.get(&self.ino).map_or(0, |i| i.cached.len() as u64))
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let s = self.io.plain("read", false)?;
        let inode = s.inodes.get(&self.ino).ok_or_else(eio)?;
        let offset = (offset as usize).min(inode.cached.len());
        let n = buffer.len().min(inode.cached.len() - offset);
        if n > 0 && s.read_fails {
            return Err(eio());
        }
        if n > 0
            && inode
                .unreadable
                .range(offset / SECTOR..=(offset + n - 1) / SECTOR)
                .next()
                .is_some()
        {
            return Err(eio());
        }
        buffer[..n].copy_from_slice(&inode.cached[offset..offset + n]);
        Ok(n)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut s = self.io.disk.state();
        let fault = s.step(self.io.session, "write")?;
        let have = s
            .inodes
            .get(&self.ino)
            .map_or(0, |i| (i.cached.len() as u64).max(i.allocated));
        let grows = (offset + bytes.len() as u64).saturating_sub(have);
        if grows > 0 && s.used() + grows > s.capacity {
            return Err(enospc());
        }
        let part = if fault.is_some() {
            s.rng.random_range(0..=bytes.len())
        } else {
            bytes.len()
        };
        match fault {
            Some(Fault::Eio) => {
                s.write(self.ino, &bytes[..part], offset as usize);
                Err(eio())
            }
            Some(Fault::PowerCut) => {
                s.write(self.ino, &bytes[..part], offset as usize);
                s.lose_power();
                Err(eio())
            }
            Some(Fault::Enospc) => Err(enospc()),
            Some(Fault::Short) => {
                let part = part.max(1).min(bytes.len());
                s.write(self.ino, &bytes[..part], offset as usize);
                Ok(part)
            }
            None => {
                s.write(self.ino, bytes, offset as usize);
                Ok(bytes.len())
            }
        }
    }
    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut s = self.io.plain("allocate", true)?;
        let have = s.inodes.get(&self.ino).map_or(0, |i| i.cached.len() as u64);
        if s.used() + bytes.saturating_sub(have) > s.capacity {
            return Err(enospc());
        }
        s.inodes.entry(self.ino).or_default().allocated = bytes;
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        let held = |s: &mut State| s.syncs_held && s.session == self.io.session;
        let mut s = self.io.disk.1.wait_while(self.io.disk.state(), held).unwrap();
        let mut fault = s.step(self.io.session, "sync")?;
        if s.sync_fails {
            fault = Some(Fault::Eio);
        }
        if fault == Some(Fault::PowerCut) {
            s.lose_power();
            return Err(eio());
        }
        let State { inodes, rng, .. } = &mut *s;
        let inode = inodes.entry(self.ino).or_default();
        if matches!(fault, Some(Fault::Eio | Fault::Enospc)) {
            // Some of it got there, nothing is dirty any more.
            for (sector, versions) in std::mem::take(&mut inode.dirty) {
                let end = (sector + 1) * SECTOR;
                if rng.random_bool(0.5) && inode.durable.len() >= end {
                    inode.durable[sector * SECTOR..end].copy_from_slice(&versions[versions.len() - 1]);
                }
            }
            return Err(if fault == Some(Fault::Eio) { eio() } else { enospc() });
        }
        for sector in std::mem::take(&mut inode.dirty).into_keys() {
            let (at, end) = (sector * SECTOR, ((sector + 1) * SECTOR).min(inode.cached.len()));
            if inode.durable.len() < end {
                inode.durable.resize(end, 0);
            }
            inode.durable[at..end].copy_from_slice(&inode.cached[at..end]);
        }
        Ok(())
    }
}
