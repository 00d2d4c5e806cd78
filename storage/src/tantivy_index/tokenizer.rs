//! The words of a message as tantivy's tokenizer.

use crate::words::Words;
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer};

/// Name of the tokenizer within the index. Its number is that of the rule of words: an index by another rule is another schema.
pub(super) const WORDS: &str = "andon_words_2";

pub(super) fn words_tokenizer() -> TextAnalyzer {
    TextAnalyzer::from(WordTokenizer::default())
}

#[derive(Clone, Default)]
struct WordTokenizer {
    token: Token,
}

struct WordStream<'a> {
    words: Words<'a>,
    token: &'a mut Token,
}

impl Tokenizer for WordTokenizer {
    type TokenStream<'a> = WordStream<'a>;
    fn token_stream<'a>(&'a mut self, text: &'a str) -> WordStream<'a> {
        self.token.reset();
        WordStream {
            words: Words::of(text),
            token: &mut self.token,
        }
    }
}

impl TokenStream for WordStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(word) = self.words.next() else {
            return false;
        };
        // Places in bytes are for marking what was found, which nobody asks for.
        self.token.position = self.token.position.wrapping_add(1);
        self.token.text.clear();
        self.token.text.push_str(word);
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
