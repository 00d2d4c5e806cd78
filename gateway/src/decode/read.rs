//! Values of one record as types of ours: what each may be, its limits, and what is said when it is something else.

use andon_engine::level::Level;
use andon_engine::limits::{KEY_BYTES_MAX, READINGS_MAX};
use andon_engine::record::Flags;
use andon_engine::time::Timestamp;
use simd_json::{Node, StaticNode};
use std::borrow::Cow;

use super::record::{Fault, fault};
use super::{stamp, value};

/// A trace or span id: OpenTelemetry's have 32 and 16 digits, others up to 32.
const TRACE_DIGITS_MAX: usize = 32;
/// How much of a value a message repeats.
const QUOTED_CHARS_MAX: usize = 40;

/// The sender's name of the member with this value.
pub(super) fn name<'i>(nodes: &[Node<'i>], value: usize) -> &'i str {
    match nodes[value - 1] {
        Node::String(s) => s,
        _ => "",
    }
}

fn string<'i>(nodes: &[Node<'i>], value: usize, flags: &mut Flags) -> Result<Cow<'i, str>, Fault> {
    match nodes[value] {
        Node::String(s) => Ok(without_nul(s, flags)),
        ref other => fault(
            name(nodes, value),
            format!("must be a string, not {}", value::kind(other)),
        ),
    }
}

/// A message. The line end that Docker and its readers leave under `log` is none of it.
pub(super) fn message<'i>(nodes: &[Node<'i>], value: usize, flags: &mut Flags) -> Result<Cow<'i, str>, Fault> {
    match nodes[value] {
        Node::Array { .. } if name(nodes, value) == "MESSAGE" => {
            let text = super::latin1(&bytes(nodes, value).unwrap_or_default()).into_owned();
            flags.insert(Flags::LATIN1);
            Ok(Cow::Owned(without_nul(&text, flags).into_owned()))
        }
        Node::String(s) if name(nodes, value) == "log" => Ok(without_nul(s.trim_end_matches(['\r', '\n']), flags)),
        _ => string(nodes, value, flags),
    }
}

fn without_nul<'i>(s: &'i str, flags: &mut Flags) -> Cow<'i, str> {
    if s.as_bytes().contains(&0) {
        flags.insert(Flags::NUL_REPLACED);
        Cow::Owned(s.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(s)
    }
}

/// An array of bytes, each a number.
pub(super) fn bytes(nodes: &[Node<'_>], value: usize) -> Option<Vec<u8>> {
    let Node::Array { len, .. } = nodes[value] else {
        return None;
    };
    let items = nodes.get(value + 1..value + 1 + len)?;
    let byte = |node: &Node<'_>| match *node {
        Node::Static(StaticNode::U64(n)) => u8::try_from(n).ok(),
        Node::Static(StaticNode::I64(n)) => u8::try_from(n).ok(),
        _ => None,
    };
    items.iter().map(byte).collect()
}

/// A text of 1 to `bytes_max` bytes.
pub(super) fn key<'i>(
    nodes: &[Node<'i>],
    value: usize,
    bytes_max: usize,
    flags: &mut Flags,
) -> Result<Cow<'i, str>, Fault> {
    let s = string(nodes, value, flags)?;
    check_key(s, bytes_max).or_else(|reason| fault(name(nodes, value), reason))
}

fn check_key(s: Cow<'_, str>, bytes_max: usize) -> Result<Cow<'_, str>, String> {
    match s.len() {
        0 => Err(format!("is empty: leave it out or give 1 to {bytes_max} bytes")),
        n if n > bytes_max => Err(format!("has {n} bytes, more than the {bytes_max} allowed")),
        _ => Ok(s),
    }
}

/// The sender's own id: a text, or an integer, which is as good a name.
pub(super) fn sender_id<'i>(nodes: &[Node<'i>], value: usize, flags: &mut Flags) -> Result<Cow<'i, str>, Fault> {
    match nodes[value] {
        Node::Static(StaticNode::I64(n)) => Ok(Cow::Owned(n.to_string())),
        Node::Static(StaticNode::U64(n)) => Ok(Cow::Owned(n.to_string())),
        _ => key(nodes, value, KEY_BYTES_MAX, flags),
    }
}

pub(super) fn hex<'i>(nodes: &[Node<'i>], value: usize) -> Result<&'i str, Fault> {
    match nodes[value] {
        Node::String(s) if (1..=TRACE_DIGITS_MAX).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(s)
        }
        _ => fault(
            name(nodes, value),
            format!("must be 1 to {TRACE_DIGITS_MAX} hexadecimal digits"),
        ),
    }
}

/// The level that a value means; `None` when it means none. Numbers under some names are in a scale of their own.
pub(super) fn level_of(nodes: &[Node<'_>], value: usize) -> Option<Level> {
    match nodes[value] {
        Node::String(s) => Level::parse(s)
            .or_else(|| s.trim().parse().ok().and_then(|n| level_of_number(nodes, value, n)))
            .or_else(|| Level::from_word(s)),
        _ => level_of_number(nodes, value, integer(nodes, value)?),
    }
}

fn level_of_number(nodes: &[Node<'_>], value: usize, n: i64) -> Option<Level> {
    match name(nodes, value) {
        "levelno" => Level::from_python(n),
        "severity_number" | "severityNumber" | "SeverityNumber" => Level::from_opentelemetry(n),
        _ => Level::from_number(n),
    }
}

/// A whole number of a size that a level may have.
pub(super) fn integer(nodes: &[Node<'_>], value: usize) -> Option<i64> {
    match nodes[value] {
        Node::Static(StaticNode::I64(n)) => Some(n),
        Node::Static(StaticNode::U64(n)) => i64::try_from(n).ok(),
        Node::Static(StaticNode::F64(n)) if n.fract() == 0.0 && n.abs() < 100.0 => Some(n as i64),
        _ => None,
    }
}

/// A value as it is shown to people, shortened.
pub(super) fn shown(nodes: &[Node<'_>], value: usize) -> String {
    match nodes[value] {
        Node::String(s) => s.chars().take(QUOTED_CHARS_MAX).collect(),
        Node::Static(ref n) => n.to_string(),
        ref other => value::kind(other).into(),
    }
}

/// The time that a value means, or why it means none.
pub(super) fn time_of(nodes: &[Node<'_>], value: usize) -> Result<Timestamp, String> {
    match nodes[value] {
        Node::String(s) => stamp::from_text(s),
        Node::Static(StaticNode::U64(n)) => Ok(stamp::from_integer(n)),
        Node::Static(StaticNode::I64(n)) => u64::try_from(n)
            .map(stamp::from_integer)
            .map_err(|_| stamp::BEFORE_1970.to_string()),
        Node::Static(StaticNode::F64(n)) => stamp::from_float(n),
        Node::Object { .. } if let Some(time) = instant(nodes, value) => Ok(time),
        ref other => Err(format!(
            "must be a time as RFC 3339 text or a number, not {}",
            value::kind(other)
        )),
    }
}

/// Log4j 2's `{"epochSecond":…,"nanoOfSecond":…}`.
fn instant(nodes: &[Node<'_>], value: usize) -> Option<Timestamp> {
    let part = |wanted| {
        let (_, at) = value::members(nodes, value)
            .filter(|(name, _)| *name == wanted)
            .last()?;
        match nodes[at] {
            Node::Static(StaticNode::U64(n)) => Some(n),
            Node::Static(StaticNode::I64(n)) => u64::try_from(n).ok(),
            _ => None,
        }
    };
    let nanos = part("nanoOfSecond").unwrap_or(0).min(999_999_999);
    let micros = part("epochSecond")?
        .checked_mul(1_000_000)?
        .checked_add(nanos / 1_000)?;
    i64::try_from(micros).ok().map(Timestamp)
}

pub(super) fn timestamp(nodes: &[Node<'_>], value: usize) -> Result<Timestamp, Fault> {
    time_of(nodes, value).or_else(|reason| fault(name(nodes, value), reason))
}

/// A reading that is no number.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) fault: Fault,
    /// Its value, when that is short enough to be kept in `fields`.
    pub(super) kept: Option<usize>,
}

/// Longer texts are no numbers.
const NUMBER_BYTES_MAX: usize = 64;

/// Readings by name. What is none goes to `left`, and takes nothing else with it.
pub(super) fn readings<'i>(
    nodes: &[Node<'i>],
    value: usize,
    flags: &mut Flags,
    left: &mut Vec<Left>,
) -> Result<Vec<(Cow<'i, str>, f64)>, Fault> {
    let Node::Object { len, .. } = nodes[value] else {
        return fault(
            "readings",
            format!(
                "must be an object of name to number, not {}",
                value::kind(&nodes[value])
            ),
        );
    };
    if len > READINGS_MAX {
        return fault(
            "readings",
            format!("has {len} readings, more than the {READINGS_MAX} allowed"),
        );
    }
    let mut out: Vec<(Cow<'i, str>, f64)> = Vec::with_capacity(len);
    for (name, value) in value::members(nodes, value) {
        if value::is_null(&nodes[value]) {
            continue;
        }
        match reading(nodes, name, value, flags) {
            Ok((name, number)) => match out.iter_mut().find(|(n, _)| *n == name) {
                Some(former) => former.1 = number,
                None => out.push((name, number)),
            },
            Err(l) => left.push(l),
        }
    }
    Ok(out)
}

fn reading<'i>(
    nodes: &[Node<'i>],
    name: &'i str,
    value: usize,
    flags: &mut Flags,
) -> Result<(Cow<'i, str>, f64), Left> {
    let key = check_key(without_nul(name, flags), KEY_BYTES_MAX).map_err(|reason| Left {
        fault: Fault {
            field: "readings".into(),
            reason: format!("a name in it {reason}"),
        },
        kept: None,
    })?;
    let number = match nodes[value] {
        Node::Static(StaticNode::F64(n)) => Some(n),
        Node::Static(StaticNode::I64(n)) => Some(n as f64),
        Node::Static(StaticNode::U64(n)) => Some(n as f64),
        Node::String(s) if s.len() <= NUMBER_BYTES_MAX => s.trim().parse().ok(),
        _ => None,
    };
    match number.filter(|n| n.is_finite()) {
        Some(number) => Ok((key, number)),
        None => Err(Left {
            fault: Fault {
                field: format!("readings.{name}"),
                reason: no_number(&nodes[value]),
            },
            kept: is_small(&nodes[value]).then_some(value),
        }),
    }
}

fn no_number(node: &Node<'_>) -> String {
    match node {
        Node::String(s)
            if s.len() <= NUMBER_BYTES_MAX
                && s.contains(',')
                && s.replacen(',', ".", 1).trim().parse::<f64>().is_ok() =>
        {
            "has a comma: write the decimal point".into()
        }
        Node::Static(StaticNode::F64(_)) => "must be a finite number".into(),
        other => format!(
            "must be a finite number, not {}: leave it out when there is none",
            value::kind(other)
        ),
    }
}

fn is_small(node: &Node<'_>) -> bool {
    match node {
        Node::String(s) => s.len() <= KEY_BYTES_MAX,
        Node::Static(StaticNode::Bool(_)) => true,
        _ => false,
    }
}
