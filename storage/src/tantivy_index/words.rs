//! The words of a message, and of what a person looks for.
//!
//! A word is a run of letters and digits of any script, in lower case, cut after [`WORD_CHARS_MAX`] characters on both sides. So
//! `CNV-03` is two words, `cnv` and `03`; looked for as one piece they must stand side by side.

use crate::ports::{Result, StoreError};
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer};

/// Name of the tokenizer within the index.
pub(super) const WORDS: &str = "andon_words";
/// Longer words are base64 and the like. Their start tells enough.
const WORD_CHARS_MAX: usize = 64;
/// Words of one search.
const QUERY_WORDS_MAX: usize = 64;

/// The words of a text with their places in it, in bytes.
fn words(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        while chars.next_if(|(_, c)| !c.is_alphanumeric()).is_some() {}
        let (from, _) = *chars.peek()?;
        while chars.next_if(|(_, c)| c.is_alphanumeric()).is_some() {}
        Some((from, chars.peek().map_or(text.len(), |(i, _)| *i)))
    })
}

fn lower(word: &str, into: &mut String) {
    into.clear();
    into.extend(word.chars().take(WORD_CHARS_MAX).flat_map(char::to_lowercase));
}

pub(super) fn words_tokenizer() -> TextAnalyzer {
    TextAnalyzer::from(WordTokenizer::default())
}

#[derive(Clone, Default)]
struct WordTokenizer {
    token: Token,
}

struct WordStream<'a> {
    text: &'a str,
    words: Box<dyn Iterator<Item = (usize, usize)> + 'a>,
    token: &'a mut Token,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream<'a>;
    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream {
            text,
            words: Box::new(words(text)),
            token: &mut self.token,
        }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some((from, to)) = self.words.next() else {
            return false;
        };
        self.token.position = self.token.position.wrapping_add(1);
        self.token.offset_from = from;
        self.token.offset_to = to;
        lower(&self.text[from..to], &mut self.token.text);
        true
    }
    fn token(&self) -> &Token {
        self.token
    }
    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// What a search text asks for: each of these runs of words must stand in the message. A piece between blanks, or between double
/// quotes, is one run; a quote that is not closed reaches to the end.
pub(super) fn runs(store: &'static str, text: &str) -> Result<Vec<Vec<String>>> {
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

    fn tokens(text: &str) -> Vec<(usize, String)> {
        let mut analyzer = words_tokenizer();
        let mut stream = analyzer.token_stream(text);
        let mut out = Vec::new();
        stream.process(&mut |t: &Token| out.push((t.position, t.text.clone())));
        out
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let check = |text: &str, want: &[&str]| {
            let want: Vec<_> = want.iter().enumerate().map(|(i, s)| (i, s.to_string())).collect();
            assert_eq!(tokens(text), want, "{text:?}");
        };
        check("Belt TORN at CNV-03!", &["belt", "torn", "at", "cnv", "03"]);
        check("", &[]);
        check("…—\0\"'", &[]);
        check("Überlast ΣΊΣΥΦΟΣ", &["überlast", "σίσυφοσ"]);
        check(&"x".repeat(500), &[&"x".repeat(64)]);
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
