//! One JSON object to one record.
//!
//! Where several members could fill a field, [`super::names`] says which does.
//!
//! Any other member goes into `fields`. Of two members with one name the last counts, and a member inside `fields` counts before a top-level
//! one of the same name. An integer beyond 64 bits is kept as the nearest double.

use andon_engine::batch::BatchBuilder;
use andon_engine::fingerprint::fingerprint;
use andon_engine::intake::OWN_APPLICATION;
use andon_engine::level::Level;
use andon_engine::limits::{FIELDS_BYTES_MAX, FUTURE_MAX, KEY_BYTES_MAX, TYPE_BYTES_MAX};
use andon_engine::record::{Flags, Record};
use andon_engine::sources::is_unset_clock;
use simd_json::Node;
use std::borrow::Cow;

use super::aliases::Field;
use super::names::{Members, own_field};
use super::value::{self, FIELDS_DEPTH_MAX, Unwritable, Writer};
use super::{DecodeOptions, read};

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

pub(super) fn fault<T>(field: impl Into<String>, reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        field: field.into(),
        reason: reason.into(),
    })
}

/// Memory that is used again for each record.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// Values of top-level members that go into `fields`.
    rest: Vec<usize>,
    fields: Vec<u8>,
    /// The level of the record just packed, when it meant none that is known.
    pub(super) unknown_level: Option<String>,
    /// Readings of the record just packed that are no numbers.
    pub(super) left_out: Vec<read::Left>,
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
    let Workspace {
        rest,
        fields: text,
        unknown_level,
        left_out,
    } = work;
    rest.clear();
    text.clear();
    *unknown_level = None;
    left_out.clear();

    let mut members = Members::default();
    let (mut kind, mut user_id, mut id, mut item_id, mut order_id) = (None, None, None, None, None);
    let (mut location, mut step, mut trace_id, mut span_id, mut readings, mut fields) =
        (None, None, None, None, None, None);
    for (name, value) in value::members(nodes, at) {
        let node = &nodes[value];
        if let Some(field) = own_field(name, node) {
            members.own(nodes, field, value, rest);
            continue;
        }
        let plain = match name {
            "type" => &mut kind,
            "user_id" => &mut user_id,
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
                members.alias(nodes, name, value, rest);
                continue;
            }
        };
        // `null` takes nothing back.
        if !value::is_null(node) {
            *plain = Some(value);
        }
    }
    members.settle(nodes, fields, rest);

    let nul = &mut flags;
    let mut optional = |value: Option<usize>, bytes_max| value.map(|v| read::key(nodes, v, bytes_max, nul)).transpose();
    let application = optional(members.get(Field::Application), KEY_BYTES_MAX)?;
    let device_id = optional(members.get(Field::DeviceId), KEY_BYTES_MAX)?;
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
    let message = members
        .get(Field::Message)
        .map(|v| read::message(nodes, v, nul))
        .transpose()?
        .filter(|m| !m.is_empty());
    let readings = readings
        .map(|v| read::readings(nodes, v, nul, left_out))
        .transpose()?
        .unwrap_or_default();
    if message.is_none() && readings.is_empty() {
        if !left_out.is_empty() {
            return Err(left_out.swap_remove(0).fault.into());
        }
        return Err(Fault {
            field: "message".into(),
            reason: "message is missing: a record needs a message or readings".into(),
        }
        .into());
    }
    let level = match members.level(nodes, rest) {
        Some((v, known)) => {
            let said = options.levels.and_then(|words| words.get(&read::shown(nodes, v)));
            said.or(known).or_else(|| {
                // Nobody's record is lost for a name of its own: WARN is seen, and alarms nobody at night.
                nul.insert(Flags::LEVEL_UNKNOWN);
                *unknown_level = Some(read::shown(nodes, v));
                Some(Level::Warn)
            })
        }
        None => message.as_ref().map(|_| Level::Info),
    };
    let timestamp = match members.get(Field::Timestamp) {
        Some(v) => read::timestamp(nodes, v)?,
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
    if !options.history && is_unset_clock(timestamp) {
        nul.insert(Flags::CLOCK_UNSET);
    }
    let mut optional = |value: Option<usize>, bytes_max| value.map(|v| read::key(nodes, v, bytes_max, nul)).transpose();
    let kind = optional(kind, TYPE_BYTES_MAX)?;
    let user_id = optional(user_id, KEY_BYTES_MAX)?;
    let source = optional(members.get(Field::Source), KEY_BYTES_MAX)?;
    let item_id = optional(item_id, KEY_BYTES_MAX)?;
    let order_id = optional(order_id, KEY_BYTES_MAX)?;
    let location = optional(location, KEY_BYTES_MAX)?;
    let step = optional(step, KEY_BYTES_MAX)?;
    let id = id.map(|v| read::sender_id(nodes, v, nul)).transpose()?;
    let trace_id = trace_id.map(|v| read::hex(nodes, v)).transpose()?;
    let span_id = span_id.map(|v| read::hex(nodes, v)).transpose()?;
    // Before the others, which count more.
    if !left_out.is_empty() {
        rest.splice(0..0, left_out.iter().filter_map(|left| left.kept));
    }
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
    let mut members: Vec<(&str, usize)> = rest.iter().map(|v| (read::name(nodes, *v), *v)).collect();
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
