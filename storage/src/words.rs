//! The words of a message, and of what a person looks for: one rule for every index, the live feed and `andon tail`.
//!
//! A word is a run of letters and digits, cut after [`WORD_CHARS_MAX`] characters on both sides. So `CNV-03` is two words, `cnv` and `03`;
//! looked for as one piece they must stand side by side. Each character of a script that puts no blanks between words (Chinese, Japanese,
//! Thai and their like, and Korean, which glues its particles on) is a word by itself, and so is each symbol beyond ASCII (🔥, °, →). So
//! any part of such a text is found as a piece.
//!
//! Two spellings of one word are one: compatibility forms are unified (NFKC: `Ü` in two characters, `ＡＢＣ`, `ﬁ`), case is folded
//! (`STRASSE` is `straße`), marks that no letter takes up are passed over, and colour codes of a terminal are no text.
//!
//! The same terms of keys are made here, too.

use crate::ports::{Result, StoreError};
use andon_engine::text::without_escapes;
use std::borrow::Cow;
use std::ops::RangeInclusive;
use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfkc_quick};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};
use xxhash_rust::xxh3::xxh3_128;

/// A key longer than this is indexed by its start and its hash. Validated ones are shorter.
pub(crate) const KEY_TERM_MAX: usize = 512;
/// Longer words are base64 and the like. Their start tells enough.
const WORD_CHARS_MAX: usize = 64;
/// Words of one search: a few sentences of Chinese.
const QUERY_WORDS_MAX: usize = 256;

/// Scripts without blanks between words, as ranges of their blocks.
const UNSPACED: [RangeInclusive<char>; 16] = [
    '\u{0E00}'..='\u{0EFF}',
    '\u{1000}'..='\u{109F}',
    '\u{1100}'..='\u{11FF}',
    '\u{1780}'..='\u{17FF}',
    '\u{1950}'..='\u{19FF}',
    '\u{1A20}'..='\u{1AAF}',
    '\u{2E80}'..='\u{2FDF}',
    '\u{3005}'..='\u{4DBF}',
    '\u{4E00}'..='\u{A4CF}',
    '\u{A960}'..='\u{A97F}',
    '\u{A9E0}'..='\u{A9FF}',
    '\u{AA60}'..='\u{AA7F}',
    '\u{AC00}'..='\u{D7FF}',
    '\u{F900}'..='\u{FAFF}',
    '\u{1AFF0}'..='\u{1B16F}',
    '\u{20000}'..='\u{3FFFF}',
];

/// What a character is to the words of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Letter,
    /// A word by itself.
    Alone,
    /// As if it were not there.
    Ignored,
    Gap,
}

fn part(c: char) -> Part {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() {
            Part::Letter
        } else {
            Part::Gap
        };
    }
    if c.is_alphanumeric() {
        let alone = UNSPACED.iter().any(|range| range.contains(&c));
        return if alone { Part::Alone } else { Part::Letter };
    }
    match c {
        // A soft hyphen, joiners, and a byte order mark.
        '\u{AD}' | '\u{200C}' | '\u{200D}' | '\u{2060}' | '\u{FEFF}' => Part::Ignored,
        c if is_combining_mark(c) => Part::Ignored,
        c if c.general_category_group() == GeneralCategoryGroup::Symbol => Part::Alone,
        _ => Part::Gap,
    }
}

/// The text in the one spelling that is compared.
fn unified(text: &str) -> Cow<'_, str> {
    let text = without_escapes(text);
    if text.is_ascii() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    match is_nfkc_quick(text.chars()) {
        IsNormalized::Yes => text.chars().for_each(|c| fold(c, &mut out)),
        _ => text.nfkc().for_each(|c| fold(c, &mut out)),
    }
    Cow::Owned(out)
}

/// Appends the character with its case folded. Down, up and down again unifies what one way alone does not: `ß` and `ẞ`, `ς` and `σ`.
fn fold(c: char, out: &mut String) {
    if c.is_ascii() {
        out.push(c.to_ascii_lowercase());
    } else {
        out.extend(
            c.to_lowercase()
                .flat_map(char::to_uppercase)
                .flat_map(char::to_lowercase),
        );
    }
}

/// The words of a text, one after another, as they are indexed.
#[derive(Debug)]
pub struct Words<'a> {
    text: Cow<'a, str>,
    at: usize,
    word: String,
}

impl<'a> Words<'a> {
    pub fn of(text: &'a str) -> Self {
        Self {
            text: unified(text),
            at: 0,
            word: String::new(),
        }
    }

    /// The next word; none at the end.
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends its word, which an iterator cannot"
    )]
    pub fn next(&mut self) -> Option<&str> {
        self.word.clear();
        let mut chars = 0;
        for (i, c) in self.text[self.at..].char_indices() {
            match part(c) {
                Part::Letter => {
                    chars += 1;
                    if chars <= WORD_CHARS_MAX {
                        // ASCII has not been folded yet.
                        self.word.push(c.to_ascii_lowercase());
                    }
                }
                Part::Alone if chars == 0 => {
                    self.at += i + c.len_utf8();
                    self.word.push(c);
                    return Some(&self.word);
                }
                Part::Ignored => {}
                Part::Alone | Part::Gap if chars > 0 => {
                    self.at += i;
                    return Some(&self.word);
                }
                Part::Alone | Part::Gap => {}
            }
        }
        self.at = self.text.len();
        (chars > 0).then_some(&*self.word)
    }

    fn collect(mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(word) = self.next() {
            all.push(word.to_owned());
        }
        all
    }
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

/// What a search text asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// It is blank.
    Anything,
    /// Each of these runs of words must stand in the message. A piece between blanks, or between double quotes, is one run; a quote that is
    /// not closed reaches to the end.
    Runs(Vec<Vec<String>>),
    /// There is no word in it: these signs must stand in the message as they are.
    Literal(String),
}

impl Sought {
    pub fn of(text: &str) -> Self {
        let mut runs: Vec<Vec<String>> = Vec::new();
        for (i, quoted) in text.split('"').enumerate() {
            if i % 2 == 1 {
                runs.push(Words::of(quoted).collect());
            } else {
                runs.extend(quoted.split_whitespace().map(|piece| Words::of(piece).collect()));
            }
        }
        runs.retain(|run| !run.is_empty());
        if !runs.is_empty() {
            return Sought::Runs(runs);
        }
        let signs = match text.trim().trim_matches('"').trim() {
            "" => text.trim(),
            unquoted => unquoted,
        };
        match unified(signs) {
            _ if signs.is_empty() => Sought::Anything,
            // Nothing but colour codes: every message would hold what is left.
            nothing if nothing.is_empty() => Sought::Literal(signs.to_owned()),
            unified => Sought::Literal(unified.into_owned()),
        }
    }

    /// An index can look for it.
    pub fn has_words(&self) -> bool {
        !matches!(self, Sought::Literal(_))
    }

    /// Whether a message is what is looked for.
    pub fn is_in(&self, message: &str) -> bool {
        match self {
            Sought::Anything => true,
            Sought::Runs(runs) => {
                let words = Words::of(message).collect();
                runs.iter().all(|run| words.windows(run.len()).any(|w| w == run))
            }
            Sought::Literal(signs) => unified(message).contains(signs.as_str()),
        }
    }
}

/// The runs of words that an index is asked for. It knows nothing of signs, and a search that it cannot answer must not find every record.
pub(crate) fn runs(store: &'static str, text: &str) -> Result<Vec<Vec<String>>> {
    let refused = |reason| Err(StoreError::Refused { store, reason });
    match Sought::of(text) {
        Sought::Anything => Ok(Vec::new()),
        Sought::Literal(signs) => {
            let signs: String = signs.chars().take(20).collect();
            refused(format!(
                "{signs:?} has no letter, digit or symbol that stored records can be searched for: add a word of the message"
            ))
        }
        Sought::Runs(runs) if runs.iter().map(Vec::len).sum::<usize>() > QUERY_WORDS_MAX => refused(format!(
            "the search text has more than {QUERY_WORDS_MAX} words: leave some out"
        )),
        Sought::Runs(runs) => Ok(runs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        Words::of(text).collect()
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let check = |text: &str, want: &[&str]| assert_eq!(words(text), want, "{text:?}");
        check("Belt TORN at CNV-03!", &["belt", "torn", "at", "cnv", "03"]);
        check("", &[]);
        check("…—\0\"'(---)", &[]);
        check("Überlast ΣΊΣΥΦΟΣ", &["überlast", "σίσυφοσ"]);
        check(&"x".repeat(500), &[&"x".repeat(64)]);
        check(&"ü".repeat(500), &[&"ü".repeat(64)]);
    }

    #[test]
    fn two_spellings_of_one_word_are_one() {
        for (a, b) in [
            ("Überlast", "U\u{308}berlast"),
            ("straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("İstanbul", "istanbul"),
            ("ısı", "ISI"),
            ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
            ("ＣＮＶ－０３", "cnv-03"),
            ("ﬁlter", "Filter"),
            ("ｶﾞｽ", "ガス"),
            ("Über\u{AD}last", "überlast"),
            ("belt\u{1b}[31mtorn\u{1b}[0m", "BeltTorn"),
            ("5 ㎜", "5 mm"),
            ("🏭\u{FE0F}", "🏭"),
        ] {
            assert_eq!(words(a), words(b), "{a:?} {b:?}");
            assert!(!words(a).is_empty());
        }
        assert_ne!(words("Uberlast"), words("Überlast"));
    }

    #[test]
    fn scripts_without_blanks_and_symbols_are_words_by_the_character() {
        let check = |text: &str, want: &[&str]| assert_eq!(words(text), want, "{text:?}");
        check("CNV03堵塞了", &["cnv03", "堵", "塞", "了"]);
        check("コンベアが", &["コ", "ン", "ベ", "ア", "が"]);
        check("หยุด", &["ห", "ย", "ุ", "ด"]);
        check("벨트", &["벨", "트"]);
        check("81 °C 🔥🔥 hot", &["81", "°", "c", "🔥", "🔥", "hot"]);
        check("a、b。", &["a", "b"]);
    }

    #[test]
    fn what_is_looked_for_is_found_in_any_spelling_and_as_a_part_of_a_run() {
        let sentence = "三号传送带的驱动电机温度过高".repeat(6) + "请立即检查堵塞";
        for (message, text, want) in [
            ("传送带堵塞在三号站", "堵塞", true),
            ("传送带堵塞在三号站", "塞堵", false),
            ("コンベアが停止しました", "停止", true),
            ("สายพานหยุดทำงาน", "หยุด", true),
            (&sentence, "堵塞", true),
            (&sentence, &sentence, true),
            ("U\u{308}berlast an CNV-03", "überlast", true),
            ("Überlast", "U\u{308}BERLAST", true),
            ("Straße frei", "STRASSE", true),
            ("Lager brennt 🔥", "🔥", true),
            ("Lager brennt", "🔥", false),
            ("Lager 🚀 brennt", "🔥", false),
            ("\u{1b}[31mbelt \u{1b}[1mtorn\u{1b}[0m", "\"belt torn\"", true),
            ("a (b)", "(", true),
            ("a b", "(", false),
            ("a --- b", "---", true),
            ("a -- b", "---", false),
            ("a -- b", "\"---\"", false),
            ("stop!!", "!!", true),
            ("stop", "!!", false),
            ("say \"x\"", "\"", true),
            ("say x", "\"", false),
            ("anything", "\u{1b}[0m", false),
            ("anything", "  ", true),
            ("belt (torn)", "belt (", true),
        ] {
            assert_eq!(Sought::of(text).is_in(message), want, "{text:?} in {message:?}");
        }
    }

    #[test]
    fn an_index_refuses_what_it_cannot_look_for() {
        for text in ["(", "---", "!!", "\"\"", "\"?!\" *"] {
            let refused = runs("t", text).unwrap_err();
            assert!(
                matches!(&refused, StoreError::Refused { reason, .. } if reason.contains("add a word")),
                "{text}"
            );
        }
        assert_eq!(runs("t", " ").unwrap().len(), 0);
        assert_eq!(runs("t", "🔥").unwrap(), [["🔥"]]);
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
        check("堵塞 -", &[&["堵", "塞"]]);
        assert_eq!(runs("t", &"w ".repeat(256)).unwrap().len(), 256);
        assert!(matches!(runs("t", &"w ".repeat(257)), Err(StoreError::Refused { .. })));
        assert!(matches!(runs("t", &"堵".repeat(257)), Err(StoreError::Refused { .. })));
    }
}
