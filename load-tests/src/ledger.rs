//! What was sent and what the server acknowledged: the obligations that the oracle collects on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// What is known of one record id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Sent, and no 202 seen: it may be stored or not, but not twice.
    Sent,
    /// A 202 covered it: it must be stored exactly once.
    Acknowledged,
    /// The server named it among the rejected: it must not be stored.
    Rejected,
}

#[derive(Serialize, Deserialize)]
struct Line {
    fate: Fate,
    ids: Vec<String>,
}

/// Records and their fate, in memory, and line by line in a file where one is given.
#[derive(Debug, Default)]
pub struct Ledger {
    fates: BTreeMap<String, Fate>,
    file: Option<File>,
}

impl Ledger {
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// A ledger that also appends to `path`; each line is on disk before the call that wrote it returns.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            fates: BTreeMap::new(),
            file: Some(File::create(path)?),
        })
    }

    /// Reads a ledger back. A line that a crash cut short is the last one, and is left out.
    pub fn load(path: &Path) -> io::Result<Self> {
        let mut ledger = Self::default();
        for line in BufReader::new(File::open(path)?).lines() {
            let Ok(line) = serde_json::from_str::<Line>(&line?) else {
                break;
            };
            line.ids.into_iter().for_each(|id| ledger.set(id, line.fate));
        }
        Ok(ledger)
    }

    /// Must be called before the bytes leave, so that a stored record is never one that the ledger does not know.
    pub fn sending(&mut self, ids: &[String]) -> io::Result<()> {
        self.note(Fate::Sent, ids)
    }
    pub fn acknowledged(&mut self, ids: &[String]) -> io::Result<()> {
        self.note(Fate::Acknowledged, ids)
    }
    pub fn rejected(&mut self, ids: &[String]) -> io::Result<()> {
        self.note(Fate::Rejected, ids)
    }

    fn note(&mut self, fate: Fate, ids: &[String]) -> io::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            let mut text = serde_json::to_vec(&Line {
                fate,
                ids: ids.to_vec(),
            })?;
            text.push(b'\n');
            file.write_all(&text)?;
            file.sync_data()?;
        }
        ids.iter().for_each(|id| self.set(id.clone(), fate));
        Ok(())
    }

    fn set(&mut self, id: String, fate: Fate) {
        // Sent again after an acknowledgement is still acknowledged: an obligation does not go away.
        let slot = self.fates.entry(id).or_insert(fate);
        if fate != Fate::Sent {
            *slot = fate;
        }
    }

    pub fn fates(&self) -> &BTreeMap<String, Fate> {
        &self.fates
    }
    pub fn count(&self, fate: Fate) -> usize {
        self.fates.values().filter(|f| **f == fate).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn an_obligation_stays_when_the_record_is_sent_again() {
        let mut l = Ledger::in_memory();
        l.sending(&ids(&["a", "b"])).unwrap();
        l.acknowledged(&ids(&["a"])).unwrap();
        l.sending(&ids(&["a"])).unwrap();
        assert_eq!((l.count(Fate::Acknowledged), l.count(Fate::Sent)), (1, 1));
    }

    #[test]
    fn a_file_gives_back_what_was_noted_and_leaves_out_a_torn_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger");
        let mut l = Ledger::create(&path).unwrap();
        l.sending(&ids(&["a", "b"])).unwrap();
        l.acknowledged(&ids(&["b"])).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(br#"{"fate":"acknowledged","ids":["a"#);
        std::fs::write(&path, bytes).unwrap();
        let back = Ledger::load(&path).unwrap();
        assert_eq!(back.fates(), l.fates());
    }
}
