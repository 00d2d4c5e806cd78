//! The place that a run of `andon send` has reached, kept beside the input.

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u32,
    /// The input's name, for people.
    input: String,
    /// How many of the input's first bytes `head_hash` is of. A file that grows keeps its beginning.
    head_bytes: usize,
    head_hash: String,
    line: u64,
    offset: u64,
}

/// A state file, open for the input that it belongs to.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    saved: Saved,
}

fn hash(bytes: &[u8]) -> String {
    // crc32 would do against a mix-up; a longer hash leaves no room for doubt.
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}

impl State {
    /// Reads the file, or begins at the start when there is none. Refuses one that belongs to another input.
    pub(super) fn open(path: &Path, head: &[u8], input: &str) -> anyhow::Result<Self> {
        let saved = match std::fs::read(path) {
            Ok(bytes) => {
                let saved: Saved = serde_json::from_slice(&bytes)
                    .with_context(|| format!("{} is not a state file of `andon send`", path.display()))?;
                ensure!(
                    saved.version == VERSION,
                    "{} is of version {}, this program reads {VERSION}",
                    path.display(),
                    saved.version
                );
                let same = head.len() >= saved.head_bytes && hash(&head[..saved.head_bytes]) == saved.head_hash;
                ensure!(
                    same,
                    "{} was kept for {}, which began with other bytes than {input}: give another --state file, or delete this one to \
                     send all of it",
                    path.display(),
                    saved.input
                );
                saved
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Saved {
                version: VERSION,
                input: input.to_owned(),
                head_bytes: head.len(),
                head_hash: hash(head),
                line: 0,
                offset: 0,
            },
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self {
            path: path.to_owned(),
            saved,
        })
    }

    /// The last line that is done; 0: none.
    pub(super) fn line(&self) -> u64 {
        self.saved.line
    }

    /// Everything up to this line is answered for. On disk, whole, before this returns.
    pub(super) fn advance(&mut self, line: u64, offset: u64) -> anyhow::Result<()> {
        if line <= self.saved.line {
            return Ok(());
        }
        (self.saved.line, self.saved.offset) = (line, offset);
        let part = self.path.with_extension("part");
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::create(&part)?;
            file.write_all(&serde_json::to_vec(&self.saved)?)?;
            file.sync_data()?;
            std::fs::rename(&part, &self.path)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_kept_and_belongs_to_its_input_even_when_that_has_grown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.json");
        let mut s = State::open(&path, b"time,value\n1,2\n", "a.csv").unwrap();
        assert_eq!(s.line(), 0);
        s.advance(2, 15).unwrap();
        assert_eq!(
            State::open(&path, b"time,value\n1,2\n3,4\n", "a.csv").unwrap().line(),
            2
        );
        let other = State::open(&path, b"another file", "b.csv").unwrap_err().to_string();
        assert!(other.contains("a.csv") && other.contains("b.csv"), "{other}");
    }

    #[test]
    fn what_is_no_state_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "my notes").unwrap();
        assert!(State::open(&path, b"", "x").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"my notes");
    }
}
