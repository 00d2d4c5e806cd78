//! Finding the records of a body without understanding them.

use std::ops::Range;

/// A body whose frame is broken: where, counted in bytes from 0, and what was expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

/// The next line of `body` from `from` that is not blank, without its end; then where the line after it begins.
pub(super) fn next_line(body: &[u8], mut from: usize) -> Option<(Range<usize>, usize)> {
    while from < body.len() {
        let end = memchr::memchr(b'\n', &body[from..]).map_or(body.len(), |n| from + n);
        let line = trimmed(body, from..end);
        from = (end + 1).min(body.len());
        if !line.is_empty() {
            return Some((line, from));
        }
    }
    None
}

/// Stands where a file of UTF-8 begins, hence also where one was joined to another.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// The range without JSON's white space at its ends, and without byte order marks before it.
pub(super) fn trimmed(body: &[u8], mut range: Range<usize>) -> Range<usize> {
    while range.start < range.end {
        range.start += match body[range.start] {
            b if is_space(b) => 1,
            0xEF if body[range.clone()].starts_with(MARK) => MARK.len(),
            _ => break,
        };
    }
    while range.start < range.end && is_space(body[range.end - 1]) {
        range.end -= 1;
    }
    range
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r')
}

/// Walks the elements of an array that begins at `start` with `[`. It follows strings and counts brackets; whether an element is JSON
/// is for the parser to say.
#[derive(Debug)]
pub(super) struct Elements {
    at: usize,
    done: bool,
    first: bool,
}

impl Elements {
    pub(super) fn new(start: usize) -> Self {
        Self {
            at: start + 1,
            done: false,
            first: true,
        }
    }

    pub(super) fn next(&mut self, body: &[u8]) -> Result<Option<Range<usize>>, Broken> {
        if self.done {
            return Ok(None);
        }
        let start = self.at;
        let stop = scan(body, start, |b| matches!(b, b',' | b']' | b'}'))?;
        let item = trimmed(body, start..stop);
        match body.get(stop) {
            None => {
                return Err(Broken {
                    at: body.len(),
                    expected: "`,` or `]`, but the body ends here",
                });
            }
            Some(b'}') => {
                return Err(Broken {
                    at: stop,
                    expected: "`,` or `]` instead of `}`",
                });
            }
            Some(b']') => {
                self.done = true;
                let rest = trimmed(body, stop + 1..body.len());
                if !rest.is_empty() {
                    return Err(Broken {
                        at: rest.start,
                        expected: "nothing after the array",
                    });
                }
                if item.is_empty() && self.first {
                    return Ok(None);
                }
            }
            Some(_) => {}
        }
        if item.is_empty() {
            return Err(Broken {
                at: stop,
                expected: "a record",
            });
        }
        self.first = false;
        self.at = stop + 1;
        Ok(Some(item))
    }
}

/// Whether the object there is a line by itself.
pub(super) fn is_line(body: &[u8], object: Range<usize>) -> bool {
    let after = body[object.end..].iter().find(|b| !matches!(b, b' ' | b'\t' | b'\r'));
    after.is_none_or(|b| *b == b'\n') && memchr::memchr(b'\n', &body[object]).is_none()
}

/// The next object of `body` from `from`; what is none is taken to the end of its line, and an object that does not end to the end.
pub(super) fn next_object(body: &[u8], from: usize) -> Option<Range<usize>> {
    let start = trimmed(body, from..body.len()).start;
    if *body.get(start)? != b'{' {
        return next_line(body, start).map(|(line, _)| line);
    }
    Some(match object_end(body, start) {
        Ok(end) => start..end,
        Err(_) => trimmed(body, start..body.len()),
    })
}

/// Where the value that begins at `start` with `{` ends.
pub(super) fn object_end(body: &[u8], start: usize) -> Result<usize, Broken> {
    let mut first = true;
    // Any byte right after the closing brace stops the scan at depth 0.
    let end = scan(body, start, |_| !std::mem::take(&mut first))?;
    Ok(end)
}

/// The first byte at depth 0, outside of strings, that `stop` wants; the end of `body` when there is none. A closing bracket at depth 0
/// always stops.
fn scan(body: &[u8], start: usize, mut stop: impl FnMut(u8) -> bool) -> Result<usize, Broken> {
    let mut depth = 0usize;
    let mut opened = start;
    let mut at = start;
    while let Some(&b) = body.get(at) {
        if depth == 0 && stop(b) {
            return Ok(at);
        }
        match b {
            b'"' => at = string_end(body, at)?,
            b'{' | b'[' => {
                if depth == 0 {
                    opened = at;
                }
                depth += 1;
            }
            b'}' | b']' if depth == 0 => return Ok(at),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    if depth > 0 {
        return Err(Broken {
            at: opened,
            expected: "a closing bracket for the one that opens here",
        });
    }
    Ok(body.len())
}

/// The closing quote of the string that opens at `open`.
fn string_end(body: &[u8], open: usize) -> Result<usize, Broken> {
    let mut at = open + 1;
    while let Some(n) = body.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += n;
        if body[at] == b'"' {
            return Ok(at);
        }
        at += 2;
    }
    Err(Broken {
        at: open,
        expected: "a closing quote for the string that begins here",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(body: &str) -> Result<Vec<&str>, Broken> {
        let mut walk = Elements::new(0);
        let mut out = Vec::new();
        while let Some(r) = walk.next(body.as_bytes())? {
            out.push(&body[r]);
        }
        Ok(out)
    }

    #[test]
    fn elements_are_found_whatever_they_hold() {
        for (body, want) in [
            ("[]", vec![]),
            ("[ \n ] ", vec![]),
            ("[1]", vec!["1"]),
            (
                r#"[{"a":1}, {"b":[1,{"c":2}]} ]"#,
                vec![r#"{"a":1}"#, r#"{"b":[1,{"c":2}]}"#],
            ),
            (r#"["a,]}","\"]",true]"#, vec![r#""a,]}""#, r#""\"]""#, "true"]),
            (r#"[{"a":"\\"},{"b":NaN}]"#, vec![r#"{"a":"\\"}"#, r#"{"b":NaN}"#]),
        ] {
            assert_eq!(elements(body), Ok(want), "{body}");
        }
    }

    #[test]
    fn a_broken_frame_says_where() {
        for (body, at) in [
            ("[", 1),
            ("[1", 2),
            ("[1,]", 3),
            ("[,1]", 1),
            ("[1,,2]", 3),
            ("[1}", 2),
            ("[1] x", 4),
            (r#"[{"a":1},{"b":2"#, 9),
            (r#"[{"a":"x]"#, 6),
            (r#"["a\"#, 1),
        ] {
            assert_eq!(elements(body).unwrap_err().at, at, "{body}");
        }
    }

    #[test]
    fn an_object_ends_at_its_brace() {
        for (body, want) in [
            (r#"{"a":1}"#, Some(7)),
            (r#"{"a":"}"} {"b":2}"#, Some(9)),
            ("{\"a\":{\n}}\nx", Some(9)),
            (r#"{"a":1"#, None),
        ] {
            assert_eq!(object_end(body.as_bytes(), 0).ok(), want, "{body}");
        }
    }

    #[test]
    fn a_mark_before_a_record_is_none_of_it() {
        let mark = "\u{feff}";
        let body = format!("{mark}a\r\n{mark}b\n {mark}\t{mark}c\n{mark}\n").into_bytes();
        let mut at = 0;
        let mut out = Vec::new();
        while let Some((line, next)) = next_line(&body, at) {
            out.push(&body[line]);
            at = next;
        }
        assert_eq!(out, [b"a", b"b", b"c"]);
        let body = format!("{{}}{mark}{{\"a\":1}}\n{mark}\n");
        let first = next_object(body.as_bytes(), 0).unwrap();
        let second = next_object(body.as_bytes(), first.end).unwrap();
        assert_eq!((&body[first], &body[second.clone()]), ("{}", "{\"a\":1}"));
        assert_eq!(next_object(body.as_bytes(), second.end), None);
    }

    #[test]
    fn lines_are_trimmed_and_blank_ones_skipped() {
        let body = b"\n a \r\n\r\n\tb\nc";
        let mut at = 0;
        let mut out = Vec::new();
        while let Some((line, next)) = next_line(body, at) {
            out.push(&body[line]);
            at = next;
        }
        assert_eq!(out, [b"a", b"b", b"c"]);
    }
}
