//! One JSON object to one record: names and their aliases, types, limits.
//!
//! Where several members could fill a field, the first of this order does, and the others stay in `fields`:
//!
//! | field | members |
//! |---|---|
//! | `timestamp` | `timestamp`, `@timestamp`, `time`, `ts` |
//! | `level` | `level`, `severity`, `log.level`, `{"log": {"level": …}}` |
//! | `message` | `message`, `msg`, `log` when it is a string |
//! | `device_id` | `device_id`, `host.name`, `{"host": {"name": …}}` |
//! | `application` | `application`, `service.name`, `{"service": {"name": …}}` |
//!
//! An alias of a type that cannot fill the field (a `log` that is a number, an empty `host.name`) is an ordinary member. An object from
//! which a name was taken stays in `fields` too, unless that name was all it held. `null` under one of our names, or an alias that is `null`,
//! is as if it were not there.
//!
//! Any other member goes into `fields`. Of two members with one name the last counts, and a member inside `fields` counts before a top-level
//! one of the same name. An integer beyond 64 bits is kept as the nearest double.

use andon_engine::batch::BatchBuilder;
use andon_engine::fingerprint::fingerprint;
use andon_engine::intake::OWN_APPLICATION;
use andon_engine::level::Level;
use andon_engine::limits::{FIELDS_BYTES_MAX, FUTURE_MAX, KEY_BYTES_MAX, READINGS_MAX, TYPE_BYTES_MAX};
use andon_engine::record::{Flags, Record};
use andon_engine::time::Timestamp;
use simd_json::{Node, StaticNode};
use std::borrow::Cow;

use super::value::{self, FIELDS_DEPTH_MAX, Unwritable, Writer};
use super::{DecodeOptions, stamp};

/// A trace or span id: OpenTelemetry's have 32 and 16 digits, others up to 32.
const TRACE_DIGITS_MAX: usize = 32;
/// How much of a value a message repeats.
const QUOTED_CHARS_MAX: usize = 40;

/// What is wrong with one record.
#[derive(Debug)]
pub(super) struct Fault {
    /// The member at fault; empty when the record as a whole is.
    pub(super) field: String,
    pub(super) reason: String,
}

/// Why a record was not packed.
#[derive(Debug)]
pub(super) enum Refusal {
    Fault(Fault),
    /// It names an application or a device that the key may not use.
    Forbidden {
        application: Option<String>,
        device_id: Option<String>,
    },
    /// The batch holds no more.
    Full,
}

impl From<Fault> for Refusal {
    fn from(f: Fault) -> Self {
        Refusal::Fault(f)
    }
}

fn fault<T>(field: impl Into<String>, reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        field: field.into(),
        reason: reason.into(),
    })
}

/// A member that may fill a field: the lower its rank, the better; the index of its value.
#[derive(Clone, Copy)]
struct Found {
    rank: u8,
    value: usize,
}

/// Fields that several members may fill.
#[derive(Default)]
struct Slots {
    timestamp: Option<Found>,
    level: Option<Found>,
    message: Option<Found>,
    device_id: Option<Found>,
    application: Option<Found>,
}

/// Memory that is used again for each record.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// Values of top-level members that go into `fields`.
    rest: Vec<usize>,
    fields: Vec<u8>,
}

/// Fills the slot, or sends the worse of the two members to the rest. One of the same rank, hence the same name, replaces the former.
fn offer(slot: &mut Option<Found>, rank: u8, value: usize, rest: &mut Vec<usize>) {
    match slot {
        Some(old) if old.rank < rank => rest.push(value),
        Some(old) if old.rank > rank => {
            rest.push(old.value);
            *slot = Some(Found { rank, value });
        }
        _ => *slot = Some(Found { rank, value }),
    }
}

fn is_text(node: &Node<'_>) -> bool {
    matches!(node, Node::String(s) if !s.is_empty())
}

fn is_text_or_number(node: &Node<'_>) -> bool {
    is_text(node)
        || matches!(
            node,
            Node::Static(StaticNode::I64(_) | StaticNode::U64(_) | StaticNode::F64(_))
        )
}

/// Packs the record at `at`. Returns the hash of its id, when it has one.
pub(super) fn pack(
    nodes: &[Node<'_>],
    at: usize,
    mut flags: Flags,
    options: &DecodeOptions<'_>,
    work: &mut Workspace,
    batch: &mut BatchBuilder,
) -> Result<Option<u128>, Refusal> {
    let Node::Object { .. } = nodes[at] else {
        return Err(Fault {
            field: String::new(),
            reason: format!("a record must be a JSON object, not {}", value::kind(&nodes[at])),
        }
        .into());
    };
    let Workspace { rest, fields: text } = work;
    rest.clear();
    text.clear();

    let mut slots = Slots::default();
    let (mut host, mut service, mut log) = (None, None, None);
    let (mut kind, mut user_id, mut source, mut id, mut item_id, mut order_id) = (None, None, None, None, None, None);
    let (mut location, mut step, mut trace_id, mut span_id, mut readings, mut fields) =
        (None, None, None, None, None, None);
    for (name, value) in value::members(nodes, at) {
        let node = &nodes[value];
        let plain = match name {
            "timestamp" | "level" | "message" | "device_id" | "application" => {
                let slot = match name {
                    "timestamp" => &mut slots.timestamp,
                    "level" => &mut slots.level,
                    "message" => &mut slots.message,
                    "device_id" => &mut slots.device_id,
                    _ => &mut slots.application,
                };
                if !value::is_null(node) {
                    offer(slot, 0, value, rest);
                }
                continue;
            }
            "type" => &mut kind,
            "user_id" => &mut user_id,
            "source" => &mut source,
            "id" => &mut id,
            "item_id" => &mut item_id,
            "order_id" => &mut order_id,
            "location" => &mut location,
            "step" => &mut step,
            "trace_id" => &mut trace_id,
            "span_id" => &mut span_id,
            "readings" => &mut readings,
            "fields" => &mut fields,
            _ => {
                let alias = match name {
                    "@timestamp" if is_text_or_number(node) => Some((&mut slots.timestamp, 1)),
                    "time" if is_text_or_number(node) => Some((&mut slots.timestamp, 2)),
                    "ts" if is_text_or_number(node) => Some((&mut slots.timestamp, 3)),
                    "severity" if is_text_or_number(node) => Some((&mut slots.level, 1)),
                    "log.level" if is_text_or_number(node) => Some((&mut slots.level, 2)),
                    "msg" if is_text(node) => Some((&mut slots.message, 1)),
                    "log" if is_text(node) => Some((&mut slots.message, 2)),
                    "host.name" if is_text(node) => Some((&mut slots.device_id, 1)),
                    "service.name" if is_text(node) => Some((&mut slots.application, 1)),
                    "@timestamp" | "time" | "ts" | "severity" | "log.level" | "msg" | "log" | "host.name"
                    | "service.name" | "host" | "service"
                        if value::is_null(node) =>
                    {
                        continue;
                    }
                    _ => None,
                };
                match (alias, name, node) {
                    (Some((slot, rank)), ..) => offer(slot, rank, value, rest),
                    (None, "host", Node::Object { .. }) => host = Some(value),
                    (None, "service", Node::Object { .. }) => service = Some(value),
                    (None, "log", Node::Object { .. }) => log = Some(value),
                    _ => rest.push(value),
                }
                continue;
            }
        };
        *plain = if value::is_null(node) { None } else { Some(value) };
    }
    nested(nodes, host, "name", is_text, &mut slots.device_id, rest);
    nested(nodes, service, "name", is_text, &mut slots.application, rest);
    nested(nodes, log, "level", is_text_or_number, &mut slots.level, rest);

    let nul = &mut flags;
    let application = slots
        .application
        .map(|f| key(nodes, f.value, KEY_BYTES_MAX, nul))
        .transpose()?;
    let device_id = slots
        .device_id
        .map(|f| key(nodes, f.value, KEY_BYTES_MAX, nul))
        .transpose()?;
    if application.is_none() && device_id.is_none() {
        return Err(Fault {
            field: "application".into(),
            reason: "neither application nor device_id is given: a record needs at least one of them".into(),
        }
        .into());
    }
    if application.as_deref() == Some(OWN_APPLICATION) {
        return Err(Fault {
            field: "application".into(),
            reason: "application \"andon\" is reserved for what this service says of itself: name the sender otherwise"
                .into(),
        }
        .into());
    }
    let message = slots
        .message
        .map(|f| string(nodes, f.value, nul))
        .transpose()?
        .filter(|m| !m.is_empty());
    let readings = readings
        .map(|v| self::readings(nodes, v, nul))
        .transpose()?
        .unwrap_or_default();
    if message.is_none() && readings.is_empty() {
        return Err(Fault {
            field: "message".into(),
            reason: "message is missing: a record needs a message or readings".into(),
        }
        .into());
    }
    let level = match slots.level {
        Some(f) => Some(level(nodes, f.value)?),
        None => message.as_ref().map(|_| Level::Info),
    };
    let timestamp = match slots.timestamp {
        Some(f) => timestamp(nodes, f.value)?,
        None => {
            nul.insert(Flags::TIME_MISSING);
            options.received_at
        }
    };
    let timestamp = if timestamp.since(options.received_at) > FUTURE_MAX {
        nul.insert(Flags::CLOCK_SKEW);
        options.received_at
    } else {
        timestamp
    };
    let mut optional = |value: Option<usize>, bytes_max| value.map(|v| key(nodes, v, bytes_max, nul)).transpose();
    let kind = optional(kind, TYPE_BYTES_MAX)?;
    let user_id = optional(user_id, KEY_BYTES_MAX)?;
    let source = optional(source, KEY_BYTES_MAX)?;
    let item_id = optional(item_id, KEY_BYTES_MAX)?;
    let order_id = optional(order_id, KEY_BYTES_MAX)?;
    let location = optional(location, KEY_BYTES_MAX)?;
    let step = optional(step, KEY_BYTES_MAX)?;
    let id = id.map(|v| sender_id(nodes, v, nul)).transpose()?;
    let trace_id = trace_id.map(|v| hex(nodes, v)).transpose()?;
    let span_id = span_id.map(|v| hex(nodes, v)).transpose()?;
    write_fields(nodes, fields, rest, text, nul)?;

    if let Some(grant) = options.grant
        && !grant.allows(application.as_deref(), device_id.as_deref())
    {
        let owned = |s: Option<Cow<'_, str>>| s.map(Cow::into_owned);
        return Err(Refusal::Forbidden {
            application: owned(application),
            device_id: owned(device_id),
        });
    }
    let hash = id.as_deref().map(|id| options.retry_hash(id));
    let record = Record {
        timestamp,
        received_at: options.received_at,
        level,
        message: message.as_deref(),
        kind: kind.as_deref(),
        application: application.as_deref(),
        device_id: device_id.as_deref(),
        user_id: user_id.as_deref(),
        source: source.as_deref(),
        readings: readings.iter().map(|(name, v)| (name.as_ref(), *v)).collect(),
        fields: std::str::from_utf8(text).expect("JSON written from strings is UTF-8"),
        id: id.as_deref(),
        item_id: item_id.as_deref(),
        order_id: order_id.as_deref(),
        location: location.as_deref(),
        step: step.as_deref(),
        trace_id,
        span_id,
        fingerprint: message
            .as_deref()
            .map_or(0, |m| fingerprint(application.as_deref(), kind.as_deref(), m)),
        flags,
        ..Record::default()
    };
    if batch.push(&record) {
        Ok(hash)
    } else {
        Err(Refusal::Full)
    }
}

/// Takes `name` out of an object such as `host`, when nothing better fills the slot.
fn nested(
    nodes: &[Node<'_>],
    object: Option<usize>,
    name: &str,
    fits: fn(&Node<'_>) -> bool,
    slot: &mut Option<Found>,
    rest: &mut Vec<usize>,
) {
    let Some(object) = object else { return };
    let inner = value::members(nodes, object)
        .filter(|(n, v)| *n == name && fits(&nodes[*v]))
        .last();
    let only = matches!(nodes[object], Node::Object { len: 1, .. });
    match (inner, &slot) {
        (Some((_, value)), None) => {
            *slot = Some(Found { rank: u8::MAX, value });
            if !only {
                rest.push(object);
            }
        }
        _ => rest.push(object),
    }
}

/// The sender's name of the member with this value.
fn name<'i>(nodes: &[Node<'i>], value: usize) -> &'i str {
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

fn without_nul<'i>(s: &'i str, flags: &mut Flags) -> Cow<'i, str> {
    if s.as_bytes().contains(&0) {
        flags.insert(Flags::NUL_REPLACED);
        Cow::Owned(s.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(s)
    }
}

/// A text of 1 to `bytes_max` bytes.
fn key<'i>(nodes: &[Node<'i>], value: usize, bytes_max: usize, flags: &mut Flags) -> Result<Cow<'i, str>, Fault> {
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
fn sender_id<'i>(nodes: &[Node<'i>], value: usize, flags: &mut Flags) -> Result<Cow<'i, str>, Fault> {
    match nodes[value] {
        Node::Static(StaticNode::I64(n)) => Ok(Cow::Owned(n.to_string())),
        Node::Static(StaticNode::U64(n)) => Ok(Cow::Owned(n.to_string())),
        _ => key(nodes, value, KEY_BYTES_MAX, flags),
    }
}

fn hex<'i>(nodes: &[Node<'i>], value: usize) -> Result<&'i str, Fault> {
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

fn level(nodes: &[Node<'_>], value: usize) -> Result<Level, Fault> {
    let found = match nodes[value] {
        Node::String(s) => Level::parse(s).or_else(|| s.trim().parse().ok().and_then(Level::from_number)),
        Node::Static(StaticNode::I64(n)) => Level::from_number(n),
        Node::Static(StaticNode::U64(n)) => i64::try_from(n).ok().and_then(Level::from_number),
        Node::Static(StaticNode::F64(n)) if n.fract() == 0.0 && n.abs() < 100.0 => Level::from_number(n as i64),
        _ => None,
    };
    found.map_or_else(
        || {
            let shown = match nodes[value] {
                Node::String(s) => format!("{:?}", s.chars().take(QUOTED_CHARS_MAX).collect::<String>()),
                Node::Static(ref n) => n.to_string(),
                ref other => value::kind(other).into(),
            };
            fault(
                name(nodes, value),
                format!("{shown} is no level: use TRACE, DEBUG, INFO, WARN, ERROR or FATAL, a syslog severity 0 to 7 or an OpenTelemetry number 8 to 24"),
            )
        },
        Ok,
    )
}

fn timestamp(nodes: &[Node<'_>], value: usize) -> Result<Timestamp, Fault> {
    let read = match nodes[value] {
        Node::String(s) => stamp::from_text(s),
        Node::Static(StaticNode::U64(n)) => Ok(stamp::from_integer(n)),
        Node::Static(StaticNode::I64(n)) => u64::try_from(n)
            .map(stamp::from_integer)
            .map_err(|_| stamp::BEFORE_1970.to_string()),
        Node::Static(StaticNode::F64(n)) => stamp::from_float(n),
        ref other => Err(format!(
            "must be a time as RFC 3339 text or a number, not {}",
            value::kind(other)
        )),
    };
    read.or_else(|reason| fault(name(nodes, value), reason))
}

fn readings<'i>(nodes: &[Node<'i>], value: usize, flags: &mut Flags) -> Result<Vec<(Cow<'i, str>, f64)>, Fault> {
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
        let path = || format!("readings.{}", name.chars().take(KEY_BYTES_MAX).collect::<String>());
        let name = check_key(without_nul(name, flags), KEY_BYTES_MAX)
            .or_else(|reason| fault("readings", format!("a name in it {reason}")))?;
        let number = match nodes[value] {
            Node::Static(StaticNode::F64(n)) => n,
            Node::Static(StaticNode::I64(n)) => n as f64,
            Node::Static(StaticNode::U64(n)) => n as f64,
            ref other => {
                return fault(
                    path(),
                    format!(
                        "must be a finite number, not {}: leave it out when there is none",
                        value::kind(other)
                    ),
                );
            }
        };
        if !number.is_finite() {
            return fault(path(), "must be a finite number");
        }
        match out.iter_mut().find(|(n, _)| *n == name) {
            Some(former) => former.1 = number,
            None => out.push((name, number)),
        }
    }
    Ok(out)
}

/// Writes `fields` and the members that belong there as one object; nothing when there are none.
fn write_fields(
    nodes: &[Node<'_>],
    fields: Option<usize>,
    rest: &[usize],
    out: &mut Vec<u8>,
    flags: &mut Flags,
) -> Result<(), Fault> {
    if let Some(f) = fields
        && !matches!(nodes[f], Node::Object { .. })
    {
        return fault("fields", format!("must be an object, not {}", value::kind(&nodes[f])));
    }
    let mut members: Vec<(&str, usize)> = rest.iter().map(|v| (name(nodes, *v), *v)).collect();
    if let Some(f) = fields {
        members.extend(value::members(nodes, f));
    }
    if members.is_empty() {
        return Ok(());
    }
    let mut writer = Writer {
        out,
        bytes_max: FIELDS_BYTES_MAX,
        nul_replaced: false,
    };
    let written = writer.object(nodes, &members);
    if writer.nul_replaced {
        flags.insert(Flags::NUL_REPLACED);
    }
    written.or_else(|why| {
        let reason = match why {
            Unwritable::TooLong => {
                format!(
                    "with the members that are no field of ours it has more than the {FIELDS_BYTES_MAX} bytes allowed"
                )
            }
            Unwritable::TooDeep => format!("nests deeper than the {FIELDS_DEPTH_MAX} levels allowed"),
            Unwritable::NotFinite => "holds a number too large for a 64-bit float".into(),
        };
        fault("fields", reason)
    })
}
