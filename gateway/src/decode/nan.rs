//! NaN and Infinity, which Python, C and others write where JSON has no number. A record with nothing else wrong has a clear end, so it
//! can be refused without its neighbours.

use std::ops::Range;

use super::KEY_BYTES_MAX;

/// The first such number of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotANumber {
    /// Names of the members that lead to it, joined by dots.
    pub(super) path: String,
    pub(super) token: String,
}

/// Spellings, in lower case and without a sign.
const TOKENS: [&[u8]; 3] = [b"infinity", b"nan", b"inf"];

/// Finds out whether such numbers are all that keeps `text` from being JSON.
pub(super) fn find(text: &[u8]) -> Option<NotANumber> {
    let mut plain = text.to_vec();
    let mut walk = Walk::default();
    let mut found = None;
    let mut at = 0;
    while let Some(&b) = text.get(at) {
        if b == b'"' {
            let end = string_end(text, at)?;
            walk.last = at + 1..end;
            at = end + 1;
            continue;
        }
        if let Some(len) = walk.wants_value.then(|| token(&text[at..])).flatten() {
            found.get_or_insert_with(|| NotANumber {
                path: walk.path(text),
                token: String::from_utf8_lossy(&text[at..at + len]).into_owned(),
            });
            plain[at..at + len].fill(b' ');
            plain[at] = b'0';
            at += len;
            walk.wants_value = false;
            continue;
        }
        walk.see(b);
        at += 1;
    }
    let found = found?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&plain).ok()?;
    Some(found)
}

/// Where in a record the walk is.
struct Walk {
    /// The contents of the string before.
    last: Range<usize>,
    /// That string is the name of the member that comes.
    named: bool,
    wants_value: bool,
    /// The name under which each open bracket stands, if it has one.
    open: Vec<Option<Range<usize>>>,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            last: 0..0,
            named: false,
            wants_value: true,
            open: Vec::new(),
        }
    }
}

impl Walk {
    /// Takes note of a byte outside of strings and tokens.
    fn see(&mut self, b: u8) {
        match b {
            b' ' | b'\t' | b'\r' | b'\n' => return,
            b'{' | b'[' => {
                self.open.push(self.named.then(|| self.last.clone()));
                self.named = false;
            }
            b'}' | b']' => {
                self.open.pop();
                self.named = false;
            }
            b':' => self.named = true,
            b',' => self.named = false,
            _ => {}
        }
        self.wants_value = matches!(b, b':' | b',' | b'[');
    }

    fn path(&self, text: &[u8]) -> String {
        let last = self.named.then_some(&self.last);
        let names = self.open.iter().flatten().chain(last);
        let mut path = String::new();
        for name in names {
            if !path.is_empty() {
                path.push('.');
            }
            path += &String::from_utf8_lossy(text.get(name.clone()).unwrap_or_default());
            if path.len() > KEY_BYTES_MAX {
                break;
            }
        }
        path.chars().take(KEY_BYTES_MAX).collect()
    }
}

/// The length of the token at the start of `rest`, if it is one and ends there.
fn token(rest: &[u8]) -> Option<usize> {
    let sign = usize::from(matches!(rest.first(), Some(b'-' | b'+')));
    let word = TOKENS.iter().find(|t| {
        rest.get(sign..sign + t.len())
            .is_some_and(|r| r.eq_ignore_ascii_case(t))
    })?;
    let end = sign + word.len();
    let ends = rest
        .get(end)
        .is_none_or(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'));
    ends.then_some(end)
}

/// The closing quote of the string that opens at `open`.
fn string_end(text: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_found_by_its_path_and_only_where_nothing_else_is_wrong() {
        for (text, want) in [
            (r#"{"t":NaN}"#, Some(("t", "NaN"))),
            (r#"{"a":{"b":[1,{"c":-Inf}]},"d":NaN}"#, Some(("a.b.c", "-Inf"))),
            (r#"{"a":{"b":1},"c":+infinity}"#, Some(("c", "+infinity"))),
            (r#"[1,nan]"#, Some(("", "nan"))),
            (r#"{"a":"NaN"}"#, None),
            (r#"{"a":NaN"#, None),
            (r#"{"a":NaN,"b":x}"#, None),
            (r#"{"a":NaNs}"#, None),
            (r#"{"a":1}"#, None),
            (r#"{"a":"x"#, None),
            ("", None),
        ] {
            let got = find(text.as_bytes());
            let got = got.as_ref().map(|n| (n.path.as_str(), n.token.as_str()));
            assert_eq!(got, want, "{text}");
        }
        let long = format!("{}NaN{}", r#"{"name":"#.repeat(2_000), "}".repeat(2_000));
        assert!(find(long.as_bytes()).is_none_or(|n| n.path.len() <= KEY_BYTES_MAX));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "NaN", "-", "inf", "\"a\"", " ", "1", "\u{e9}",
        ]), 0..30)) {
            let _ = find(parts.concat().as_bytes());
        }
    }
}
