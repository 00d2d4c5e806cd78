//! The words of a message as tantivy's tokenizer.

use crate::words::{lower, words};
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer};

/// Name of the tokenizer within the index.
pub(super) const WORDS: &str = "andon_words";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_at_places_one_apart() {
        let mut analyzer = words_tokenizer();
        let mut stream = analyzer.token_stream("Belt TORN — CNV-03!");
        let mut out = Vec::new();
        stream.process(&mut |t: &Token| out.push((t.position, t.text.clone())));
        let want = ["belt", "torn", "cnv", "03"].map(str::to_owned);
        assert_eq!(out, want.into_iter().enumerate().collect::<Vec<_>>());
    }
}
