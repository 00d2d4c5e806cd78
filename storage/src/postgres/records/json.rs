//! What of a record JSONB can hold, and in which form.

use serde::de::IgnoredAny;
use std::borrow::Cow;

/// PostgreSQL parses JSON by recursion; a stack that is too deep would refuse the record.
const DEPTH_MAX: usize = 500;
/// No number that a computer sends has more: JSONB keeps every digit, so that `1e9999` comes back as ten kilobytes.
const EXPONENT_MAX: u32 = 400;
/// As it stands in JSON; it takes the place of U+0000, which PostgreSQL has in no text.
const REPLACEMENT: &str = "\\ufffd";

/// The JSON text as JSONB takes it. `None` when it does not: it is kept as text then.
pub(super) fn for_jsonb(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<IgnoredAny>(json).ok()?;
    let b = json.as_bytes();
    let (mut i, mut depth) = (0, 0usize);
    let mut nuls = Vec::new();
    while i < b.len() {
        match b[i] {
            b'"' => i = string(b, i + 1, &mut nuls)?,
            b'-' | b'0'..=b'9' => i = number(json, i)?,
            open @ (b'{' | b'[' | b'}' | b']') => {
                depth = if matches!(open, b'{' | b'[') {
                    depth + 1
                } else {
                    depth.checked_sub(1)?
                };
                if depth > DEPTH_MAX {
                    return None;
                }
                i += 1;
            }
            _ => i += 1,
        }
    }
    if nuls.is_empty() {
        return Some(Cow::Borrowed(json));
    }
    let (mut out, mut from) = (String::with_capacity(json.len()), 0);
    for at in nuls {
        out.push_str(json.get(from..at)?);
        out.push_str(REPLACEMENT);
        from = at + REPLACEMENT.len();
    }
    out.push_str(json.get(from..)?);
    Some(Cow::Owned(out))
}

/// From behind the opening quote to behind the closing one. Notes where U+0000 is written.
fn string(b: &[u8], mut i: usize, nuls: &mut Vec<usize>) -> Option<usize> {
    loop {
        match *b.get(i)? {
            b'"' => return Some(i + 1),
            b'\\' if *b.get(i + 1)? == b'u' => match unit(b, i)? {
                0 => {
                    nuls.push(i);
                    i += 6;
                }
                // Half a character, alone: JSON's grammar lets it pass, JSONB does not.
                0xd800..0xdc00 if matches!(unit(b, i + 6), Some(0xdc00..0xe000)) => i += 12,
                0xd800..0xe000 => return None,
                _ => i += 6,
            },
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
}

/// The number of a `\uXXXX` that stands at `i`.
fn unit(b: &[u8], i: usize) -> Option<u16> {
    let hex = b.get(i..i + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}

fn number(json: &str, i: usize) -> Option<usize> {
    let rest = json.get(i..)?;
    let len = rest
        .bytes()
        .position(|c| !matches!(c, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
        .unwrap_or(rest.len());
    let (digits, exponent) = rest[..len].split_once(['e', 'E']).unwrap_or((&rest[..len], "0"));
    let exponent: i32 = exponent.parse().ok()?;
    // 16,383 digits behind the point is what a numeric has.
    (exponent.unsigned_abs() <= EXPONENT_MAX && digits.len() <= 15_000).then_some(i + len)
}

/// Readings as a JSON object; `None` when there are none. Of two with one name JSONB keeps the last.
pub(super) fn readings(readings: &[(&str, f64)]) -> Option<String> {
    if readings.is_empty() {
        return None;
    }
    let mut out = String::from("{");
    for (i, (name, value)) in readings.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let name = crate::relational::database::clean(name);
        out.push_str(&serde_json::to_string(&name).expect("a text is always JSON"));
        out.push(':');
        // Not finite is `null`: it is kept out at admission.
        out.push_str(&serde_json::to_string(value).expect("a number is always JSON"));
    }
    out.push('}');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jsonb_cannot_hold_is_told_apart() {
        for same in [
            "{}",
            r#"{"a":[1,-2.5,3e10,true,null,"x"],"":{"b.c":"\"\\\/\n"}}"#,
            r#"{"a":"\ud83c\udfed \uD83C\uDFED","n":1.7976931348623157e308,"m":5e-324}"#,
            " [ \"{[\" ] ",
        ] {
            assert_eq!(for_jsonb(same).as_deref(), Some(same));
        }
        assert_eq!(
            for_jsonb(r#"{"\u0000a":"\u0000\\u0000","b":"\u0000"}"#).as_deref(),
            Some(r#"{"\ufffda":"\ufffd\\u0000","b":"\ufffd"}"#)
        );
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(for_jsonb(&deep(DEPTH_MAX)).is_some());
        for not in [
            "",
            "{",
            "{'a':1}",
            r#"{"a":1e401}"#,
            r#"{"a":1e99999999999}"#,
            r#"{"a":1e-401}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00"}"#,
            r#"{"a":"\ud800\ud800"}"#,
            r#"{"a":"\ud800x"}"#,
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\0\"}",
            &deep(DEPTH_MAX + 1),
            &deep(100_000),
            &format!("[0.{}]", "1".repeat(20_000)),
        ] {
            assert_eq!(for_jsonb(not), None, "{not:.40}");
        }
    }

    #[test]
    fn readings_are_an_object() {
        assert_eq!(readings(&[]), None);
        assert_eq!(
            readings(&[("a\"\0", 1.5), ("b", f64::MAX), ("c", f64::NAN)]).unwrap(),
            "{\"a\\\"\u{fffd}\":1.5,\"b\":1.7976931348623157e+308,\"c\":null}"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in "\\PC{0,40}|[\\[\\]{}\",:0-9eE+.\\\\ud-]{0,40}") {
            let _ = for_jsonb(&text);
        }
    }
}
