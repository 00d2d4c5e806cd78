//! The fingerprint of a message: what makes two records repeats of the same fault.
//!
//! It is the 64-bit xxh3 of application, type and the message with its variable parts masked. Masking is one pass over the
//! bytes without look-back, linear in the length of the message whatever the message is, and allocates nothing: [`template`]
//! and [`fingerprint`] listen to the same scanner, so that the hash is always the hash of the template that people see.
//!
//! What is masked, and where the line is drawn:
//!
//! | placeholder | what |
//! |---|---|
//! | `<num>` | digits with sign, decimal point or comma, thousands, exponent, and a unit or suffix glued to them (`-12.5`, `1,234`, `3e-7`, `12ms`, `1m30s`, `4x`), so that a program that prints `950ms` and then `1.2s` says the same thing twice. A list without spaces (`1,2,3`) is one number |
//! | `<id>` | a run in which letters and digits alternate (`8a3fz`, `A1B2`) |
//! | `<hex>` | `0x…`, a run of 8 or more hex digits of which one is a digit, a MAC address |
//! | `<uuid>` `<ip>` `<time>` | UUIDs; IPv4 and IPv6; RFC 3339 dates and stamps, and times of day |
//! | `<str>` | text in `"…"`, `'…'` or `` `…` `` closed on the same line (an apostrophe within a word is none), quotes included |
//! | `<path>` | `/var/log/x`, `C:\x\y`, `\\server\share`, and the path and query of a URL (scheme and host stay: they say what was called) |
//!
//! Letters before a number stay (`AGV12` is `AGV<num>`). Three things that look variable stay because they name the fault:
//! - a fault code that opens the message: one or two capitals glued to `0x…` or 2 to 5 digits (`F0x0021 MTR_OVL`, `E42: door`);
//! - a whole number (up to 5 digits, or `0x` and up to 8) right after the word `code`, `status`, `errno`, `fault` or `alarm`;
//! - the keys of JSON, and values of JSON that are constants (`{"errorType":"LOCALIZATION_ERROR"}`).
//!
//! Colour codes of a terminal are no part of a message.
//!
//! Splitting one fault in two costs a line in a digest; taking two for one hides the second. Where in doubt it is split.

use crate::text::without_escapes;
use std::ops::Range;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The template of a message, and the byte ranges of the message, without its colour codes, that a placeholder stands for, ascending
/// and disjoint.
pub fn template(message: &str) -> (String, Vec<Range<usize>>) {
    let message = &*without_escapes(message);
    let mut text = String::with_capacity(message.len());
    let mut masked = Vec::new();
    scan(message, |piece| match piece {
        Piece::Text(range) => text.push_str(&message[range]),
        Piece::Masked(mask, range) => {
            text.push_str(mask.placeholder());
            masked.push(range);
        }
    });
    (text, masked)
}

/// Equal for records of the same application, type and message template. Never 0, which says "no message".
pub fn fingerprint(application: Option<&str>, kind: Option<&str>, message: &str) -> u64 {
    let mut h = Hasher::new(application, kind);
    let message = &*without_escapes(message);
    scan(message, |piece| match piece {
        Piece::Text(range) => h.update(&message.as_bytes()[range]),
        Piece::Masked(mask, _) => h.update(mask.placeholder().as_bytes()),
    });
    h.finish()
}

/// The fingerprint of a message of which only the template is known.
pub fn fingerprint_of_template(application: Option<&str>, kind: Option<&str>, template: &str) -> u64 {
    let mut h = Hasher::new(application, kind);
    h.update(template.as_bytes());
    h.finish()
}

/// Gathers on the stack what most messages come to, and hashes it in one go: setting up a stream costs more than hashing 200 bytes.
struct Hasher {
    gathered: [u8; 256],
    len: usize,
    stream: Option<Xxh3>,
}

impl Hasher {
    fn new(application: Option<&str>, kind: Option<&str>) -> Self {
        let mut h = Self {
            gathered: [0; 256],
            len: 0,
            stream: None,
        };
        for part in [application, kind] {
            match part {
                // 0xFF and 0xFE are no bytes of UTF-8: no text can look like a border, nor `None` like a text.
                Some(text) => {
                    h.update(text.as_bytes());
                    h.update(&[0xFF]);
                }
                None => h.update(&[0xFE]),
            }
        }
        h
    }
    fn update(&mut self, bytes: &[u8]) {
        match (
            &mut self.stream,
            self.gathered.get_mut(self.len..self.len + bytes.len()),
        ) {
            (None, Some(room)) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            (stream, _) => {
                let gathered = &self.gathered[..self.len];
                let stream = stream.get_or_insert_with(|| {
                    let mut stream = Xxh3::new();
                    stream.update(gathered);
                    stream
                });
                stream.update(bytes);
            }
        }
    }
    fn finish(self) -> u64 {
        let hash = match self.stream {
            Some(stream) => stream.digest(),
            None => xxh3_64(&self.gathered[..self.len]),
        };
        hash.max(1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mask {
    Num,
    Id,
    Hex,
    Uuid,
    Ip,
    Time,
    Str,
    Path,
}

impl Mask {
    fn placeholder(self) -> &'static str {
        match self {
            Mask::Num => "<num>",
            Mask::Id => "<id>",
            Mask::Hex => "<hex>",
            Mask::Uuid => "<uuid>",
            Mask::Ip => "<ip>",
            Mask::Time => "<time>",
            Mask::Str => "<str>",
            Mask::Path => "<path>",
        }
    }
}

enum Piece {
    Text(Range<usize>),
    Masked(Mask, Range<usize>),
}

fn scan(message: &str, mut emit: impl FnMut(Piece)) {
    let mut s = Scanner::new(message.as_bytes());
    let mut text_from = 0;
    while let Some((mask, range)) = s.next_masked() {
        if text_from < range.start {
            emit(Piece::Text(text_from..range.start));
        }
        text_from = range.end;
        emit(Piece::Masked(mask, range));
    }
    if text_from < message.len() {
        emit(Piece::Text(text_from..message.len()));
    }
}

/// The longest text form of an IPv6 address is 45 bytes; looking no further keeps the scan linear.
const ADDRESS_BYTES_MAX: usize = 46;
/// What a byte of a word is: a digit, a hex digit, a letter or digit. `DIGIT` is 1, so that digits can be counted by adding.
const DIGIT: u8 = 1;
const HEX: u8 = 2;
const WORD: u8 = 4;
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut c = 0;
    while c < 128 {
        let byte = c as u8;
        classes[c] = DIGIT * byte.is_ascii_digit() as u8
            + HEX * byte.is_ascii_hexdigit() as u8
            + WORD * byte.is_ascii_alphanumeric() as u8;
        c += 1;
    }
    classes
};
const QUOTES: [u8; 3] = [b'"', b'\'', b'`'];

struct Scanner<'a> {
    b: &'a [u8],
    at: usize,
    /// The last byte before `at` that is no space, and the one before that: enough to tell JSON's punctuation.
    before: [u8; 2],
    /// For each of `QUOTES`: up to here it is known that no quote of its kind closes.
    no_close_before: [usize; 3],
    /// A closing quote that belongs to text that stays.
    plain_quote_at: Option<usize>,
    in_url: bool,
    /// The word that ended just before is one that a code follows.
    code_follows: bool,
}

impl<'a> Scanner<'a> {
    fn new(b: &'a [u8]) -> Self {
        Self {
            b,
            at: 0,
            before: [0; 2],
            no_close_before: [0; 3],
            plain_quote_at: None,
            in_url: false,
            code_follows: false,
        }
    }

    fn byte(&self, i: usize) -> u8 {
        self.b.get(i).copied().unwrap_or(0)
    }
    fn previous(&self) -> u8 {
        if self.at == 0 { 0 } else { self.byte(self.at - 1) }
    }
    fn run(&self, from: usize, class: impl Fn(u8) -> bool) -> usize {
        self.b
            .get(from..)
            .map_or(from, |rest| from + rest.iter().take_while(|c| class(**c)).count())
    }

    /// Steps over what stays up to the next thing to mask.
    fn next_masked(&mut self) -> Option<(Mask, Range<usize>)> {
        while let Some(&c) = self.b.get(self.at) {
            let from = self.at;
            let masked = if c.is_ascii_alphanumeric() {
                self.word()
            } else {
                self.mark(c)
            };
            match masked {
                Some((mask, end)) => {
                    debug_assert!(end > from);
                    self.step_to(end);
                    self.code_follows = false;
                    return Some((mask, from..end));
                }
                None if self.at == from => self.step_to(from + 1),
                None => {}
            }
        }
        None
    }

    fn step_to(&mut self, end: usize) {
        if let Some(&last) = self.b.get(end.wrapping_sub(1))
            && !last.is_ascii_whitespace()
        {
            self.before = [
                if end - self.at > 1 {
                    self.byte(end - 2)
                } else {
                    self.before[1]
                },
                last,
            ];
        }
        self.at = end;
    }

    /// At a byte that is neither letter nor digit.
    fn mark(&mut self, c: u8) -> Option<(Mask, usize)> {
        match c {
            b'"' | b'\'' | b'`' => return self.quoted(c),
            b'-' | b'+' if self.byte(self.at + 1).is_ascii_digit() => {
                let p = self.previous();
                if !p.is_ascii_alphanumeric() && p != b'-' && p != b'_' && p < 0x80 {
                    return self.number(self.at + 1).map(|(_, end)| (Mask::Num, end));
                }
            }
            b'/' if self.in_url => {
                let end = self.run(self.at, |c| !ends_url(c));
                return Some((Mask::Path, self.trim_path(end)));
            }
            b'/' if starts_path(self.previous()) => {
                let end = self.trim_path(self.run(self.at, in_unix_path));
                let name = self.byte(self.at + 1);
                if end > self.at + 1 && (name.is_ascii_alphanumeric() || matches!(name, b'.' | b'_' | b'~')) {
                    return Some((Mask::Path, end));
                }
            }
            b'\\' if self.byte(self.at + 1) == b'\\' && starts_path(self.previous()) => {
                let end = self.trim_path(self.run(self.at, |c| !ends_windows_path(c)));
                if end > self.at + 2 {
                    return Some((Mask::Path, end));
                }
            }
            b':' if self.b.get(self.at..self.at + 3) == Some(b"://") && self.previous().is_ascii_alphanumeric() => {
                self.in_url = true;
                self.step_to(self.at + 3);
            }
            _ if ends_url(c) => self.in_url = false,
            _ => {}
        }
        if !matches!(c, b' ' | b'=' | b'#' | b':') {
            self.code_follows = false;
        }
        None
    }

    fn trim_path(&self, mut end: usize) -> usize {
        while end > self.at + 1 && matches!(self.byte(end - 1), b'.' | b',' | b':' | b';' | b'!' | b'?' | b')') {
            end -= 1;
        }
        end
    }

    fn quoted(&mut self, quote: u8) -> Option<(Mask, usize)> {
        if self.plain_quote_at == Some(self.at) {
            self.plain_quote_at = None;
            return None;
        }
        if self.previous() == b'\\' {
            return None;
        }
        // An apostrophe: don't, the operator's.
        if quote != b'"' && (self.previous().is_ascii_alphanumeric() || self.previous() >= 0x80) {
            return None;
        }
        let close = self.closing(quote)?;
        let inside = self.b.get(self.at + 1..close)?;
        let next = self.byte(self.run(close + 1, |c| c == b' '));
        let key = quote == b'"' && next == b':' && matches!(self.before[1], b'{' | b',');
        let constant = quote == b'"' && self.before == *b"\":" && is_constant(inside);
        if key || constant {
            self.plain_quote_at = Some(close);
            return None;
        }
        Some((Mask::Str, close + 1))
    }

    /// Whether a quote closes depends on its neighbours only, not on where the text began, so a failed search needs no repeating.
    fn closing(&mut self, quote: u8) -> Option<usize> {
        let kind = QUOTES.iter().position(|q| *q == quote)?;
        let from = self.at + 1;
        if from < self.no_close_before[kind] {
            return None;
        }
        let mut i = from;
        while let Some(&c) = self.b.get(i) {
            if c == b'\n' {
                break;
            }
            let within_word = quote != b'"' && self.byte(i + 1).is_ascii_alphanumeric();
            if c == quote && self.byte(i - 1) != b'\\' && !within_word {
                return Some(i);
            }
            i += 1;
        }
        self.no_close_before[kind] = i;
        None
    }

    /// At the start of a run of ASCII letters and digits.
    fn word(&mut self) -> Option<(Mask, usize)> {
        let from = self.at;
        let (mut end, mut digits, mut all) = (from, 0, HEX);
        while let Some(&c) = self.b.get(end) {
            let class = CLASSES[usize::from(c)];
            if class & WORD == 0 {
                break;
            }
            digits += usize::from(class & DIGIT);
            all &= class;
            end += 1;
        }
        let run = self.b.get(from..end)?;
        let next = self.byte(end);
        let hex = all == HEX && (digits > 0 || run.len() <= 8);
        let alone = self.previous() < 0x80;
        if hex && alone {
            if let Some(end) = self.uuid(run.len()) {
                return Some((Mask::Uuid, end));
            }
            if let Some(found) = self.address(run.len(), next) {
                return Some(found);
            }
        }
        if digits == 0 {
            if run.len() == 1 && next == b':' && self.byte(end + 1) == b'\\' {
                let path_end = self.trim_path(self.run(end, |c| !ends_windows_path(c)));
                return Some((Mask::Path, path_end));
            }
            self.code_follows = names_a_code(run);
            self.step_to(end);
            return None;
        }
        if self.keeps_code(run) {
            self.code_follows = false;
            self.step_to(end);
            return None;
        }
        let first = run.first().copied().unwrap_or(0);
        if first.is_ascii_digit() {
            if let Some(end) = self.time() {
                return Some((Mask::Time, end));
            }
            if let Some(end) = self.ipv4() {
                return Some((Mask::Ip, end));
            }
            if run.len() > 2 && run.starts_with(b"0x") && run[2..].iter().all(u8::is_ascii_hexdigit) {
                return Some((Mask::Hex, end));
            }
        }
        if digits == run.len() {
            return self.number(from);
        }
        if hex && run.len() >= 8 {
            return Some((Mask::Hex, end));
        }
        if first.is_ascii_digit() {
            return self.number(from);
        }
        let letters = run.iter().take_while(|c| c.is_ascii_alphabetic()).count();
        if letters + digits == run.len() {
            // AGV12, line3: the letters stay. What follows the digits (12.5) belongs to the number.
            self.step_to(from + letters);
            self.code_follows = false;
            return None;
        }
        let hex_word = run.iter().position(|c| *c == b'0').is_some_and(|z| {
            run[..z].iter().all(u8::is_ascii_alphabetic)
                && run.get(z + 1) == Some(&b'x')
                && run.len() > z + 2
                && run[z + 2..].iter().all(u8::is_ascii_hexdigit)
        });
        if hex_word {
            self.step_to(from + letters);
            return None;
        }
        Some((Mask::Id, end))
    }

    /// A fault code: it says what happened, not to whom.
    fn keeps_code(&self, run: &[u8]) -> bool {
        let next = self.byte(self.at + run.len());
        let ends =
            !(matches!(next, b'.' | b',') && self.byte(self.at + run.len() + 1).is_ascii_digit()) && next != b'_';
        if self.at == 0 {
            let capitals = run.iter().take_while(|c| c.is_ascii_uppercase()).count();
            let rest = &run[capitals..];
            let digits = (2..=5).contains(&rest.len()) && rest.iter().all(u8::is_ascii_digit);
            return ends && (1..=2).contains(&capitals) && (digits || is_short_hex(rest)) && next != b'-';
        }
        self.code_follows && ends && (is_short_hex(run) || (run.len() <= 5 && run.iter().all(u8::is_ascii_digit)))
    }

    /// `from` is at a digit. Takes what hangs on: fraction, groups, exponent, unit, further parts of a duration.
    fn number(&self, from: usize) -> Option<(Mask, usize)> {
        let mut at = from;
        loop {
            at = self.run(at, |c| c.is_ascii_digit());
            while matches!(self.byte(at), b'.' | b',') && self.byte(at + 1).is_ascii_digit() {
                at = self.run(at + 1, |c| c.is_ascii_digit());
            }
            if matches!(self.byte(at), b'e' | b'E') {
                let sign = usize::from(matches!(self.byte(at + 1), b'+' | b'-'));
                if self.byte(at + 1 + sign).is_ascii_digit() {
                    at = self.run(at + 1 + sign, |c| c.is_ascii_digit());
                }
            }
            let unit_end = self.run(at, |c| c.is_ascii_alphabetic());
            let unit = self.b.get(at..unit_end).unwrap_or_default();
            if unit.is_empty() {
                // µs and μs: the micro sign and the Greek letter.
                if matches!(self.b.get(at..at + 3), Some([0xC2, 0xB5, b's'] | [0xCE, 0xBC, b's'])) {
                    at += 3;
                }
                return Some((Mask::Num, at));
            }
            if !self.byte(unit_end).is_ascii_digit() {
                return Some((Mask::Num, unit_end));
            }
            if !matches!(unit, b"d" | b"h" | b"m" | b"s" | b"ms" | b"us" | b"ns") {
                return Some((Mask::Id, self.run(unit_end, |c| c.is_ascii_alphanumeric())));
            }
            at = unit_end;
        }
    }

    fn uuid(&self, first: usize) -> Option<usize> {
        if first != 8 {
            return None;
        }
        let b = self.b.get(self.at..self.at + 36)?;
        let fits = b.iter().enumerate().all(|(i, c)| match i {
            8 | 13 | 18 | 23 => *c == b'-',
            _ => c.is_ascii_hexdigit(),
        });
        (fits && !self.byte(self.at + 36).is_ascii_alphanumeric()).then_some(self.at + 36)
    }

    /// A MAC address (six pairs) or an IPv6 address, whose first group is the run just seen.
    fn address(&self, first: usize, separator: u8) -> Option<(Mask, usize)> {
        if first > 4 || !matches!(separator, b':' | b'-') {
            return None;
        }
        let rest = self.b.get(self.at..)?;
        let len = rest
            .iter()
            .take(ADDRESS_BYTES_MAX)
            .take_while(|c| c.is_ascii_hexdigit() || **c == separator)
            .count();
        let after = rest.get(len).copied().unwrap_or(0);
        let text = rest.get(..len)?;
        if len == ADDRESS_BYTES_MAX || after.is_ascii_alphanumeric() || !text.iter().any(u8::is_ascii_digit) {
            return None;
        }
        let (mut groups, mut pairs, mut short, mut empty) = (0, true, true, 0);
        for group in text.split(|c| *c == separator) {
            groups += 1;
            pairs &= group.len() == 2;
            short &= group.len() <= 4;
            empty += usize::from(group.is_empty());
        }
        if pairs && groups == 6 {
            return Some((Mask::Hex, self.at + len));
        }
        let v6 =
            separator == b':' && short && ((groups == 8 && empty == 0) || ((3..=9).contains(&groups) && empty == 1));
        v6.then_some((Mask::Ip, self.at + len))
    }

    fn ipv4(&self) -> Option<usize> {
        let mut at = self.at;
        for part in 0..4 {
            let end = self.run(at, |c| c.is_ascii_digit());
            let group = self.b.get(at..end)?;
            if group.is_empty() || group.len() > 3 || group.iter().fold(0u32, |n, c| n * 10 + u32::from(c - b'0')) > 255
            {
                return None;
            }
            at = end;
            if part < 3 {
                if self.byte(at) != b'.' {
                    return None;
                }
                at += 1;
            }
        }
        let next = self.byte(at);
        let goes_on = next.is_ascii_alphanumeric() || (next == b'.' && self.byte(at + 1).is_ascii_digit());
        (!goes_on).then_some(at)
    }

    /// `2026-10-25`, `2026-10-25T02:00:00.123+01:00`, `02:00`, `02:00:00,123`.
    fn time(&self) -> Option<usize> {
        let d = |at: usize, pattern: &[u8]| {
            let b = self.b.get(at..at + pattern.len())?;
            let fits = b
                .iter()
                .zip(pattern)
                .all(|(c, p)| if *p == b'd' { c.is_ascii_digit() } else { c == p });
            fits.then_some(at + pattern.len())
        };
        let clock = |at: usize| {
            let at = d(at, b"dd:dd")?;
            let at = d(at, b":dd").unwrap_or(at);
            let fraction = matches!(self.byte(at), b'.' | b',') && self.byte(at + 1).is_ascii_digit();
            Some(if fraction {
                self.run(at + 1, |c| c.is_ascii_digit())
            } else {
                at
            })
        };
        let end = if let Some(date) = d(self.at, b"dddd-dd-dd") {
            let stamp = matches!(self.byte(date), b'T' | b't' | b' ')
                .then(|| clock(date + 1))
                .flatten();
            match stamp {
                Some(at) if matches!(self.byte(at), b'Z' | b'z') => at + 1,
                Some(at) if matches!(self.byte(at), b'+' | b'-') => {
                    d(at + 1, b"dd:dd").or_else(|| d(at + 1, b"dddd")).unwrap_or(at)
                }
                Some(at) => at,
                None => date,
            }
        } else {
            clock(self.at)?
        };
        let next = self.byte(end);
        (!next.is_ascii_alphanumeric() && next != b':').then_some(end)
    }
}

fn starts_path(previous: u8) -> bool {
    matches!(
        previous,
        0 | b' ' | b'\t' | b'\n' | b'=' | b'(' | b'[' | b'{' | b':' | b',' | b';' | b'<' | b'>' | b'|'
    )
}

fn in_unix_path(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'/' | b'.' | b'_' | b'-' | b'~' | b'%' | b'@' | b'+' | b'=') || c >= 0x80
}

fn ends_windows_path(c: u8) -> bool {
    c.is_ascii_whitespace()
        || matches!(
            c,
            0 | b'"' | b'\'' | b'`' | b'<' | b'>' | b'|' | b'*' | b'?' | b',' | b';'
        )
}

fn ends_url(c: u8) -> bool {
    c.is_ascii_whitespace()
        || matches!(
            c,
            0 | b'"' | b'\'' | b'`' | b'<' | b'>' | b'|' | b'{' | b'}' | b'(' | b')' | b'[' | b']'
        )
}

fn names_a_code(word: &[u8]) -> bool {
    [&b"code"[..], b"status", b"errno", b"fault", b"alarm"]
        .iter()
        .any(|w| word.eq_ignore_ascii_case(w))
}

fn is_short_hex(run: &[u8]) -> bool {
    (3..=10).contains(&run.len()) && run.starts_with(b"0x") && run[2..].iter().all(u8::is_ascii_hexdigit)
}

fn is_constant(text: &[u8]) -> bool {
    (3..=64).contains(&text.len()) && text.iter().all(|c| c.is_ascii_uppercase() || *c == b'_')
}

#[cfg(test)]
mod tests;
