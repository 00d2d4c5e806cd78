//! Levels that nobody knows, so that whoever runs the service hears of each once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::decode::UnknownLevels;
use crate::metrics::RECORDS_LEVEL_UNKNOWN;

/// Keys that are told apart; those beyond are counted together and not named.
const KEYS_MAX: usize = 1_000;
/// Words of one key that are named. A sender whose levels are free text would fill the log otherwise.
const WORDS_MAX: usize = 20;
/// Stands in the metric for all keys beyond [`KEYS_MAX`].
const OTHER_KEYS: &str = "other";

/// The words of each key that were named.
#[derive(Debug, Default)]
pub(crate) struct Unknown {
    named: Mutex<HashMap<Arc<str>, Vec<String>>>,
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
    /// Counts the levels of one request, and names those that are new.
    pub(crate) fn report(&self, key: &Arc<str>, levels: &UnknownLevels) {
        if levels.records == 0 {
            return;
        }
        let news = self.note(key, levels);
        metrics::counter!(RECORDS_LEVEL_UNKNOWN, "key" => news.counted_as.to_string())
            .increment(u64::from(levels.records));
        for word in &news.words {
            tracing::warn!(key = %key, level = ?word, "unknown level stored as WARN: map it in the sender to TRACE, DEBUG, INFO, WARN, ERROR or FATAL");
        }
        if news.last {
            tracing::warn!(key = %key, named = WORDS_MAX, "further unknown levels of this key counted only");
        }
    }

    fn note(&self, key: &Arc<str>, levels: &UnknownLevels) -> News {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= KEYS_MAX && !named.contains_key(key) {
            return News {
                counted_as: Arc::from(OTHER_KEYS),
                words: Vec::new(),
                last: false,
            };
        }
        let known = named.entry(Arc::clone(key)).or_default();
        let new = levels.words.iter().filter(|w| !known.contains(w));
        let words: Vec<String> = new.take(WORDS_MAX - known.len()).cloned().collect();
        known.extend(words.iter().cloned());
        News {
            counted_as: Arc::clone(key),
            last: !words.is_empty() && known.len() == WORDS_MAX,
            words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(words: &[&str]) -> UnknownLevels {
        UnknownLevels {
            records: words.len() as u32,
            words: words.iter().map(|w| w.to_string()).collect(),
        }
    }

    #[test]
    fn each_word_of_a_key_is_named_once() {
        let unknown = Unknown::default();
        let key: Arc<str> = "k".into();
        assert_eq!(unknown.note(&key, &levels(&["loud", "quiet"])).words, ["loud", "quiet"]);
        assert_eq!(unknown.note(&key, &levels(&["loud", "new"])).words, ["new"]);
        assert_eq!(unknown.note(&"other key".into(), &levels(&["loud"])).words, ["loud"]);
    }

    #[test]
    fn words_and_keys_are_bounded() {
        let unknown = Unknown::default();
        let key: Arc<str> = "k".into();
        let (mut named, mut last) = (0, 0);
        for i in 0..100 {
            let news = unknown.note(&key, &levels(&[&format!("word {i}")]));
            named += news.words.len();
            last += usize::from(news.last);
        }
        assert_eq!((named, last), (WORDS_MAX, 1));
        for i in 1..KEYS_MAX {
            unknown.note(&format!("k{i}").into(), &levels(&["loud"]));
        }
        let news = unknown.note(&"one more".into(), &levels(&["loud"]));
        assert_eq!((&*news.counted_as, news.words.len()), (OTHER_KEYS, 0));
        assert_eq!(
            &*unknown.note(&key, &levels(&["loud"])).counted_as,
            "k",
            "a known key stays known"
        );
    }
}
