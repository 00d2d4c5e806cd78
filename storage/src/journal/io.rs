//! The file operations of the journal, behind a trait so that tests can fail, tear, reorder and lose them.
//!
//! Every operation blocks. The journal calls them from its own threads and from tokio's blocking pool, never from an async task.

use std::any::Any;
use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Held for as long as the journal is open; dropping it releases the lock.
pub type LockGuard = Box<dyn Any + Send + Sync>;

/// A file system as far as a journal needs one.
pub trait JournalIo: Debug + Send + Sync + 'static {
    /// Makes a directory and its parents; one that exists is no error.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>>;
    /// Makes an empty file, emptying one that exists.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>>;
    /// Names of the plain files in a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes created, renamed and removed names durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes an exclusive lock. [`ErrorKind::WouldBlock`] when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<LockGuard>;
}

/// An open file. Reads and writes may be short, as the system's are.
pub trait JournalFile: Debug + Send + Sync {
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Asks for `bytes` of space up front, so that a full disk shows before anything is written. A file system that cannot
    /// promise space answers `Ok`.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
    /// Data, and what is needed to read it back (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
}

/// Writes all of `bytes`, however short the single writes are.
pub(super) fn write_all_at(file: &dyn JournalFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::Error::new(ErrorKind::WriteZero, "the disk took none of a write")),
            Ok(n) => {
                let n = n.min(bytes.len());
                bytes = &bytes[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends; the number of bytes read.
pub(super) fn read_full_at(file: &dyn JournalFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// A disk reports an unreadable place by the block.
const BLOCK: usize = 4096;

/// Like [`read_full_at`], but a place that the disk cannot read comes back as zeros (hence as damage that the checksums find)
/// and does not hide what lies around it. An error only when nothing at all can be read. Answers the number of bad blocks.
pub(super) fn read_tolerant(file: &dyn JournalFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    if let Ok(n) = read_full_at(file, buffer, offset) {
        buffer[n..].fill(0);
        return Ok(0);
    }
    let blocks = buffer.len().div_ceil(BLOCK);
    let mut bad = 0;
    let mut last = None;
    for (i, block) in buffer.chunks_mut(BLOCK).enumerate() {
        let at = offset + (i * BLOCK) as u64;
        // The first failure of the whole read may have been a passing one, hence one more try for each block.
        match read_full_at(file, block, at).or_else(|_| read_full_at(file, block, at)) {
            Ok(n) => block[n..].fill(0),
            Err(e) => {
                block.fill(0);
                bad += 1;
                last = Some(e);
            }
        }
    }
    match last {
        Some(e) if bad == blocks => Err(e),
        _ => Ok(bad),
    }
}

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileIo;

#[derive(Debug)]
struct RealFile(File);

impl JournalIo for FileIo {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<_> = dir
            .ancestors()
            .take_while(|d| !d.as_os_str().is_empty() && !d.exists())
            .collect();
        std::fs::create_dir_all(dir)?;
        // The name of a new directory lies in its parent.
        for made in missing {
            match made.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent)?,
                _ => self.sync_dir(Path::new("."))?,
            }
        }
        Ok(())
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(RealFile(
            OpenOptions::new().read(true).write(true).open(path)?,
        )))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn JournalFile>> {
        Ok(Arc::new(RealFile(
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)?,
        )))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if let (true, Ok(name)) = (entry.file_type()?.is_file(), entry.file_name().into_string()) {
                names.push(name);
            }
        }
        Ok(names)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
    fn lock(&self, path: &Path) -> io::Result<LockGuard> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

impl JournalFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }
    fn allocate(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
