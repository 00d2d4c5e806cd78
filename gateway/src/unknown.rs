//! Levels that nobody knows, so that whoever runs the service hears of each, once an hour.

use andon_engine::time::{Span, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::decode::UnknownLevels;
use crate::metrics::RECORDS_LEVEL_UNKNOWN;
use crate::ports::Notes;

/// Keys that are told apart; those beyond are counted together and not named.
const KEYS_MAX: usize = 1_000;
/// Words of one key that are named. A sender whose levels are free text would fill the log otherwise.
const WORDS_MAX: usize = 20;
/// Stands in the metric for all keys beyond [`KEYS_MAX`].
const OTHER_KEYS: &str = "other";

/// A word is named again after this time.
const NAMED_EVERY: Span = Span::hours(1);

/// The words of each key that were named, and when.
#[derive(Debug, Default)]
pub(crate) struct Unknown {
    named: Mutex<HashMap<Arc<str>, HashMap<String, Timestamp>>>,
}

/// What is new about the levels of a request.
#[derive(Debug, PartialEq, Eq)]
struct News {
    /// The key under which its records are counted.
    counted_as: Arc<str>,
    words: Vec<String>,
    /// No further word of this key will be named.
    last: bool,
}

impl Unknown {
    /// Counts the levels of one request, and names those that were not named within the hour.
    pub(crate) fn report(&self, key: &Arc<str>, levels: &UnknownLevels, now: Timestamp, notes: Option<&dyn Notes>) {
        if levels.records == 0 {
            return;
        }
        let news = self.note(key, levels, now);
        metrics::counter!(RECORDS_LEVEL_UNKNOWN, "key" => news.counted_as.to_string())
            .increment(u64::from(levels.records));
        for word in &news.words {
            tracing::warn!(key = %key, level = ?word, "unknown level stored as WARN");
            if let Some(notes) = notes {
                notes.unknown_level(key, word);
            }
        }
        if news.last {
            tracing::warn!(key = %key, named = WORDS_MAX, "further unknown levels of this key counted only");
        }
    }

    fn note(&self, key: &Arc<str>, levels: &UnknownLevels, now: Timestamp) -> News {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= KEYS_MAX && !named.contains_key(key) {
            return News {
                counted_as: Arc::from(OTHER_KEYS),
                words: Vec::new(),
                last: false,
            };
        }
        let known = named.entry(Arc::clone(key)).or_default();
        let before = known.len();
        let mut words = Vec::new();
        for word in &levels.words {
            let is_due = match known.get(word) {
                Some(at) => now.since(*at) >= NAMED_EVERY,
                None => known.len() < WORDS_MAX,
            };
            if is_due {
                known.insert(word.clone(), now);
                words.push(word.clone());
            }
        }
        News {
            counted_as: Arc::clone(key),
            last: before < WORDS_MAX && known.len() == WORDS_MAX,
            words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_795_401_059_000_000);

    fn levels(words: &[&str]) -> UnknownLevels {
        UnknownLevels {
            records: words.len() as u32,
            words: words.iter().map(|w| w.to_string()).collect(),
        }
    }

    #[test]
    fn each_word_of_a_key_is_named_once_an_hour() {
        let unknown = Unknown::default();
        let key: Arc<str> = "k".into();
        let named = |key: &Arc<str>, words: &[&str], minutes| {
            unknown.note(key, &levels(words), START.plus(Span::mins(minutes))).words
        };
        assert_eq!(named(&key, &["loud", "quiet"], 0), ["loud", "quiet"]);
        assert_eq!(named(&key, &["loud", "new"], 30), ["new"]);
        assert_eq!(named(&"other key".into(), &["loud"], 30), ["loud"]);
        assert_eq!(named(&key, &["loud", "new"], 60), ["loud"]);
        assert!(named(&key, &["loud"], 61).is_empty());
    }

    #[test]
    fn words_and_keys_are_bounded() {
        let unknown = Unknown::default();
        let key: Arc<str> = "k".into();
        let (mut named, mut last) = (0, 0);
        for i in 0..100 {
            let news = unknown.note(&key, &levels(&[&format!("word {i}")]), START);
            named += news.words.len();
            last += usize::from(news.last);
        }
        assert_eq!((named, last), (WORDS_MAX, 1));
        for i in 1..KEYS_MAX {
            unknown.note(&format!("k{i}").into(), &levels(&["loud"]), START);
        }
        let news = unknown.note(&"one more".into(), &levels(&["loud"]), START);
        assert_eq!((&*news.counted_as, news.words.len()), (OTHER_KEYS, 0));
        assert_eq!(
            &*unknown.note(&key, &levels(&["loud"]), START).counted_as,
            "k",
            "a known key stays known"
        );
    }
}
