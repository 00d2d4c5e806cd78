//! The words of a message, and of what a person looks for.
//!
//! A word is a run of letters and digits of any script, in lower case, cut after [`WORD_CHARS_MAX`] characters on both sides. So
//! `CNV-03` is two words, `cnv` and `03`; looked for as one piece they must stand side by side. Every log index has the same words, and the
//! same terms of keys, by taking them from here.

use crate::ports::{Result, StoreError};
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_128;

/// A key longer than this is indexed by its start and its hash. Validated ones are shorter.
pub(crate) const KEY_TERM_MAX: usize = 512;
/// Longer words are base64 and the like. Their start tells enough.
const WORD_CHARS_MAX: usize = 64;
/// Words of one search.
const QUERY_WORDS_MAX: usize = 64;

/// The words of a text with their places in it, in bytes.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        while chars.next_if(|(_, c)| !c.is_alphanumeric()).is_some() {}
        let (from, _) = *chars.peek()?;
        while chars.next_if(|(_, c)| c.is_alphanumeric()).is_some() {}
        Some((from, chars.peek().map_or(text.len(), |(i, _)| *i)))
    })
}

/// The word as it is indexed, in place of what `into` held.
pub(crate) fn lower(word: &str, into: &mut String) {
    into.clear();
    into.extend(word.chars().take(WORD_CHARS_MAX).flat_map(char::to_lowercase));
}

/// The term of a key. Tantivy drops terms that are too long without a word, and Elasticsearch refuses their documents.
pub(crate) fn key_term(s: &str) -> Cow<'_, str> {
    if s.len() <= KEY_TERM_MAX {
        return Cow::Borrowed(s);
    }
    Cow::Owned(format!(
        "{}…{:032x}",
        &s[..s.floor_char_boundary(KEY_TERM_MAX)],
        xxh3_128(s.as_bytes())
    ))
}

/// What a search text asks for: each of these runs of words must stand in the message. A piece between blanks, or between double
/// quotes, is one run; a quote that is not closed reaches to the end.
pub(crate) fn runs(store: &'static str, text: &str) -> Result<Vec<Vec<String>>> {
    let mut runs = Vec::new();
    let mut total = 0;
    for (i, part) in text.split('"').enumerate() {
        let pieces: Box<dyn Iterator<Item = &str>> = if i % 2 == 1 {
            Box::new(std::iter::once(part))
        } else {
            Box::new(part.split_whitespace())
        };
        for piece in pieces {
            let mut run = Vec::new();
            for (from, to) in words(piece) {
                let mut word = String::new();
                lower(&piece[from..to], &mut word);
                run.push(word);
                total += 1;
                if total > QUERY_WORDS_MAX {
                    let reason = format!("the search text has more than {QUERY_WORDS_MAX} words: leave some out");
                    return Err(StoreError::Refused { store, reason });
                }
            }
            if !run.is_empty() {
                runs.push(run);
            }
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let check = |text: &str, want: &[&str]| {
            let mut word = String::new();
            let got = words(text).map(|(from, to)| {
                lower(&text[from..to], &mut word);
                word.clone()
            });
            assert_eq!(got.collect::<Vec<_>>(), want, "{text:?}");
        };
        check("Belt TORN at CNV-03!", &["belt", "torn", "at", "cnv", "03"]);
        check("", &[]);
        check("…—\0\"'", &[]);
        check("Überlast ΣΊΣΥΦΟΣ", &["überlast", "σίσυφοσ"]);
        check(&"x".repeat(500), &[&"x".repeat(64)]);
    }

    #[test]
    fn long_keys_with_one_start_stay_apart() {
        let (a, b) = ("k".repeat(600), "k".repeat(601));
        assert_ne!(key_term(&a), key_term(&b));
        assert_eq!(key_term(&a[..KEY_TERM_MAX]), a[..KEY_TERM_MAX]);
        assert!(key_term(&"ü".repeat(600)).len() < 600);
    }

    #[test]
    fn a_search_text_is_runs_of_words() {
        let check = |text: &str, want: &[&[&str]]| assert_eq!(runs("t", text).unwrap(), want, "{text:?}");
        check("belt  torn", &[&["belt"], &["torn"]]);
        check("\"Belt torn\" CNV-03", &[&["belt", "torn"], &["cnv", "03"]]);
        check("open \"to the end", &[&["open"], &["to", "the", "end"]]);
        check("a\"b c\"d", &[&["a"], &["b", "c"], &["d"]]);
        check(
            "AND OR NOT field:x^2 -y *",
            &[&["and"], &["or"], &["not"], &["field", "x", "2"], &["y"]],
        );
        check(" \"\" ?!", &[]);
        assert_eq!(runs("t", &"w ".repeat(64)).unwrap().len(), 64);
        assert!(matches!(runs("t", &"w ".repeat(65)), Err(StoreError::Refused { .. })));
    }
}
