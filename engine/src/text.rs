//! What a person is to see of a text that a program wrote for a terminal.
//!
//! Stores keep the bytes as they came. Whoever shows a record's text, or looks for words in it, takes it from here.

use std::borrow::Cow;

/// How far the end of a window's title or of a link's address is looked for. Without an end it is text.
const STRING_CHARS_MAX: usize = 2_048;

/// The text without the escape sequences that steer a terminal (colours, cursor, window title).
pub fn without_escapes(text: &str) -> Cow<'_, str> {
    // 0xC2 begins the C1 characters in UTF-8, and much else.
    if !some(text, |b| b == 0x1B || b == 0xC2) {
        return Cow::Borrowed(text);
    }
    rebuilt(text, |_, _| true)
}

/// The text without escape sequences and control characters. Tabs and line ends stay; a carriage return by itself, which would let what
/// follows it cover the line, is none.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !some(text, |b| b < 0x20 && b != b'\n' && b != b'\t' || b == 0x7F || b == 0xC2) {
        return Cow::Borrowed(text);
    }
    rebuilt(text, |c, after| match c {
        '\n' | '\t' => true,
        '\r' => after.starts_with('\n'),
        c => !c.is_control(),
    })
}

/// Whether some byte is so. Without an early end the compiler looks at many bytes at once; hardly a message has one.
fn some(text: &str, is: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(false, |found, b| found | is(b))
}

fn rebuilt(text: &str, keeps: fn(char, &str) -> bool) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match after_sequence(c, after) {
            Some(after) => after,
            None => {
                if keeps(c, after) {
                    out.push(c);
                }
                after
            }
        };
    }
    if out.len() == text.len() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(out)
}

/// What follows the sequence that `first` begins, by ECMA-48; `None` when it begins none.
fn after_sequence(first: char, rest: &str) -> Option<&str> {
    let (kind, rest) = match first {
        '\u{1B}' => match rest.chars().next() {
            Some(kind @ ' '..='~') => (kind, &rest[1..]),
            _ => return Some(rest),
        },
        // The 8-bit forms of `ESC [` and its like.
        '\u{90}' | '\u{98}' | '\u{9B}' | '\u{9D}'..='\u{9F}' => (char::from_u32(u32::from(first) - 0x40)?, rest),
        _ => return None,
    };
    let intermediate = |c: char| matches!(c, ' '..='/');
    Some(match kind {
        '[' => {
            let rest = rest.trim_start_matches(|c| matches!(c, '0'..='?'));
            let rest = rest.trim_start_matches(intermediate);
            rest.strip_prefix(|c| matches!(c, '@'..='~')).unwrap_or(rest)
        }
        // A string that is not closed hides nothing of what follows it.
        'P' | 'X' | ']' | '^' | '_' => after_string(rest).unwrap_or(rest),
        ' '..='/' => {
            let rest = rest.trim_start_matches(intermediate);
            rest.strip_prefix(|c| matches!(c, '0'..='~')).unwrap_or(rest)
        }
        _ => rest,
    })
}

/// What follows the end of a string such as a window's title: a bell, or `ESC \`.
fn after_string(rest: &str) -> Option<&str> {
    let mut chars = rest.chars();
    for _ in 0..STRING_CHARS_MAX {
        match chars.next()? {
            '\u{7}' | '\u{9C}' => return Some(chars.as_str()),
            '\u{1B}' => return chars.as_str().strip_prefix('\\'),
            c if c.is_control() => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_go_and_text_stays() {
        for (text, want) in [
            ("belt torn", "belt torn"),
            ("\u{1b}[31mbelt \u{1b}[1mtorn at CNV-03\u{1b}[0m", "belt torn at CNV-03"),
            ("\u{1b}[38;2;255;0;0mred\u{1b}[m", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://a/\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}Pq#0\u{1b}\\x", "x"),
            ("\u{1b}(Bx\u{1b}7y\u{1b}cz", "xyz"),
            ("\u{9b}31mred\u{9d}0;t\u{9c}", "red"),
            // What is not closed takes nothing with it.
            ("\u{1b}]0;no end: belt torn", "0;no end: belt torn"),
            ("a\u{1b}[31", "a"),
            ("a\u{1b}", "a"),
            ("\u{1b}ü", "ü"),
            ("81 °C", "81 °C"),
            ("[31m is text", "[31m is text"),
        ] {
            assert_eq!(without_escapes(text), want, "{text:?}");
            assert_eq!(plain(text), want, "{text:?}");
        }
        assert_eq!(plain("a\r\nb\tc\u{7}\u{8}\u{7f}\u{85}d\re"), "a\r\nb\tcde");
        assert_eq!(without_escapes("a\r\nb\u{7}"), "a\r\nb\u{7}");
    }

    #[test]
    fn many_titles_that_never_end_are_read_once() {
        for begin in ["\u{1b}]", "\u{9d}"] {
            assert_eq!(plain(&begin.repeat(100_000)), "");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_nothing_is_left_that_steers_a_terminal(text in "(\\PC|[\\x00-\\x1f\\x7f-\\u{9f}\\[\\]0;m\\\\]){0,40}") {
            let plain = plain(&text);
            let lines = plain.replace("\r\n", "\n");
            prop_assert!(lines.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{plain:?}");
            let rest = without_escapes(&text);
            prop_assert!(rest.chars().all(|c| c != char::from(0x1B)), "{rest:?}");
        }
    }
}
