//! Times as senders write them.
//!
//! A number is told apart by its size, so that each unit covers March 1973 to beyond 2261:
//!
//! | from | below | unit |
//! |---|---|---|
//! | 0 | 10^11 | seconds |
//! | 10^11 | 10^14 | milliseconds |
//! | 10^14 | 10^17 | microseconds |
//! | 10^17 | 2^64 | nanoseconds |
//!
//! Seconds and milliseconds may have a fraction. A text of digits is read as a number. Anything below a microsecond is cut off.

use andon_engine::time::Timestamp;

const MILLIS_FROM: u64 = 100_000_000_000;
const MICROS_FROM: u64 = 100_000_000_000_000;
const NANOS_FROM: u64 = 100_000_000_000_000_000;
const DAY_SECS: i64 = 86_400;

/// A whole number of s, ms, µs or ns since 1970.
pub(super) fn from_integer(n: u64) -> Timestamp {
    Timestamp(match n {
        0..MILLIS_FROM => n as i64 * 1_000_000,
        MILLIS_FROM..MICROS_FROM => n as i64 * 1_000,
        MICROS_FROM..NANOS_FROM => n as i64,
        NANOS_FROM.. => (n / 1_000) as i64,
    })
}

/// A number with a fraction.
pub(super) fn from_float(n: f64) -> Result<Timestamp, String> {
    if !n.is_finite() || n < 0.0 {
        return Err(BEFORE_1970.into());
    }
    // Exact limits do not matter to a float of this size; a double holds today's microseconds exactly.
    let micros = if n < MILLIS_FROM as f64 {
        n * 1e6
    } else if n < MICROS_FROM as f64 {
        n * 1e3
    } else if n < NANOS_FROM as f64 {
        n
    } else if n < u64::MAX as f64 {
        n / 1e3
    } else {
        return Err("is a number too large to be a time".into());
    };
    Ok(Timestamp(micros.round() as i64))
}

pub(super) const BEFORE_1970: &str = "lies before 1970";

/// RFC 3339 and its usual relatives: `T`, `t`, `_` or a space between date and time, `Z`, `z`, `UTC`, `+hh:mm`, `+hhmm`, `+hh`, a comma
/// before the fraction. A time without an offset is refused: its meaning depends on where the sender stands.
pub(super) fn from_text(text: &str) -> Result<Timestamp, String> {
    let b = text.trim_ascii().as_bytes();
    if !b.is_empty() && b.iter().all(|c| c.is_ascii_digit() || *c == b'.') {
        return from_digits(text.trim_ascii());
    }
    match fixed(b) {
        Fixed::At(t) if t.0 < 0 => Err(BEFORE_1970.into()),
        Fixed::At(t) => Ok(t),
        Fixed::NoOffset => Err(format!(
            "{:?} has no offset from UTC: add \"Z\" when it is UTC or the offset, as in \"2026-01-31T06:00:00+01:00\" (`andon send --time-zone` does it for files)",
            shortened(text)
        )),
        Fixed::Other => match text.trim_ascii().parse::<jiff::Timestamp>() {
            Ok(t) if t.as_microsecond() >= 0 => Ok(t.into()),
            Ok(_) => Err(BEFORE_1970.into()),
            Err(_) => Err(format!(
                "{:?} is not a time: write RFC 3339, as in \"2026-01-31T06:00:00.250Z\", or a number of seconds, milliseconds, microseconds or nanoseconds since 1970",
                shortened(text)
            )),
        },
    }
}

fn from_digits(text: &str) -> Result<Timestamp, String> {
    match (text.parse::<u64>(), text.parse::<f64>()) {
        (Ok(n), _) => Ok(from_integer(n)),
        (Err(_), Ok(n)) => from_float(n),
        _ => Err(format!("{:?} is not a time", shortened(text))),
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=text.len().min(64))
        .rev()
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0);
    &text[..end]
}

enum Fixed {
    At(Timestamp),
    NoOffset,
    Other,
}

/// The layouts that nearly everybody writes, read without a general parser.
fn fixed(b: &[u8]) -> Fixed {
    let Some(head) = b.first_chunk::<19>() else {
        return Fixed::Other;
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|(i, c)| head[*i] != *c) || !matches!(head[10], b'T' | b't' | b' ' | b'_') {
        return Fixed::Other;
    }
    let two = |i: usize| digits(&head[i..i + 2]);
    let (Some(year), Some(month), Some(day)) = (digits(&head[..4]), two(5), two(8)) else {
        return Fixed::Other;
    };
    let (Some(hour), Some(minute), Some(second)) = (two(11), two(14), two(17)) else {
        return Fixed::Other;
    };
    // A leap second goes to the general parser.
    if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 || second > 59
    {
        return Fixed::Other;
    }
    let mut rest = &b[19..];
    let mut micros = 0i64;
    if let [b'.' | b',', tail @ ..] = rest {
        let n = tail.iter().take_while(|c| c.is_ascii_digit()).count();
        if n == 0 {
            return Fixed::Other;
        }
        for i in 0..6 {
            micros = micros * 10 + tail[..n].get(i).map_or(0, |c| i64::from(c - b'0'));
        }
        rest = &tail[n..];
    }
    if let [b' ', tail @ ..] = rest {
        rest = tail;
    }
    let offset = match rest {
        b"" => return Fixed::NoOffset,
        b"Z" | b"z" | b"UTC" | b"GMT" => 0,
        [sign @ (b'+' | b'-'), tail @ ..] => {
            let (h, m) = match tail {
                [a, b, b':', c, d] | [a, b, c, d] => (digits(&[*a, *b]), digits(&[*c, *d])),
                [a, b] => (digits(&[*a, *b]), Some(0)),
                _ => return Fixed::Other,
            };
            match (h, m) {
                (Some(h @ 0..=23), Some(m @ 0..=59)) => (h * 3_600 + m * 60) * if *sign == b'-' { -1 } else { 1 },
                _ => return Fixed::Other,
            }
        }
        _ => return Fixed::Other,
    };
    let secs = days_since_1970(year, month, day) * DAY_SECS + hour * 3_600 + minute * 60 + second - offset;
    Fixed::At(Timestamp(secs * 1_000_000 + micros))
}

fn digits(b: &[u8]) -> Option<i64> {
    b.iter()
        .try_fold(0, |n, c| c.is_ascii_digit().then(|| n * 10 + i64::from(c - b'0')))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    // Leap days up to the end of year y.
    let leap_days = |y: i64| y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    years + BEFORE_MONTH[(month - 1) as usize] + i64::from(month > 2 && is_leap(year)) + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_times() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-23T02:30:59Z", 1_795_401_059_000_000),
            ("2026-11-23t02:30:59z", 1_795_401_059_000_000),
            ("2026-11-23 02:30:59.5Z", 1_795_401_059_500_000),
            ("2026-11-23T02:30:59,123456789Z", 1_795_401_059_123_456),
            ("2026-11-23T03:30:59+01:00", 1_795_401_059_000_000),
            ("2026-11-23T03:30:59+0100", 1_795_401_059_000_000),
            ("2026-11-23T03:30:59+01", 1_795_401_059_000_000),
            ("2026-11-22 21:00:59 -05:30", 1_795_401_059_000_000),
            (" 2026-11-23 02:30:59 UTC ", 1_795_401_059_000_000),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000_000),
            ("1795401059", 1_795_401_059_000_000),
            ("1795401059.25", 1_795_401_059_250_000),
            ("1795401059000000123", 1_795_401_059_000_000),
        ] {
            assert_eq!(from_text(text), Ok(Timestamp(micros)), "{text}");
        }
    }

    #[test]
    fn texts_that_are_none_say_what_to_write() {
        for (text, part) in [
            ("2026-11-23T02:30:59", "no offset"),
            ("2026-11-23 02:30:59.250", "no offset"),
            ("2026-11-23", "not a time"),
            ("2026-02-29T00:00:00Z", "not a time"),
            ("2026-13-01T00:00:00Z", "not a time"),
            ("2026-11-23T24:00:00Z", "not a time"),
            ("2026-11-23T02:30:59+99:00", "not a time"),
            ("2026-11-23T02:30:59.Z", "not a time"),
            ("1969-12-31T23:59:59Z", "before 1970"),
            ("yesterday", "not a time"),
            ("", "not a time"),
            ("...", "not a time"),
            (
                "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
                "not a time",
            ),
        ] {
            let error = from_text(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn numbers_are_told_apart_by_size() {
        for (n, micros) in [
            (0, 0),
            (1_795_401_059, 1_795_401_059_000_000),
            (99_999_999_999, 99_999_999_999_000_000),
            (100_000_000_000, 100_000_000_000_000),
            (1_795_401_059_123, 1_795_401_059_123_000),
            (99_999_999_999_999, 99_999_999_999_999_000),
            (100_000_000_000_000, 100_000_000_000_000),
            (1_795_401_059_123_456, 1_795_401_059_123_456),
            (100_000_000_000_000_000, 100_000_000_000_000),
            (1_795_401_059_123_456_789, 1_795_401_059_123_456),
            (u64::MAX, 18_446_744_073_709_551),
        ] {
            assert_eq!(from_integer(n), Timestamp(micros), "{n}");
        }
        assert_eq!(from_float(1_795_401_059.25), Ok(Timestamp(1_795_401_059_250_000)));
        assert_eq!(from_float(1_795_401_059_123.5), Ok(Timestamp(1_795_401_059_123_500)));
        for n in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(from_float(n).is_err(), "{n}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_path_agrees_with_the_calendar(micros in 0i64..9_214_646_400_000_000, minutes in -1_439i64..1_440) {
            // Past the year 2261 and every offset: what jiff prints is read back by our own path.
            let instant = jiff::Timestamp::from_microsecond(micros).unwrap();
            let offset = jiff::tz::Offset::from_seconds(minutes as i32 * 60).unwrap();
            let text = instant.display_with_offset(offset).to_string();
            prop_assert!(matches!(fixed(text.as_bytes()), Fixed::At(t) if t.0 == micros), "{text}");
        }

        #[test]
        fn any_text_is_a_time_or_an_error(text in ".{0,40}") {
            let _ = from_text(&text);
        }

        #[test]
        fn nearly_times_never_panic(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}[.,]?[0-9]{0,9}[Z+-]?[0-9:]{0,6}") {
            let _ = from_text(&text);
        }
    }
}
