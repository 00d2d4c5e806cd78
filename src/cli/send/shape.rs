//! From a line or a row to the record that goes out.

use super::SendArgs;
use super::input::{Item, What};
use super::numbers::Decimal;
use super::rows::Row;
use super::stamp::{Stamp, Stamps, Unreadable, short};
use crate::exit;
use andon_gateway::decode::{Named, named};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use xxhash_rust::xxh3::Xxh3;

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, column)) if !name.is_empty() && !column.is_empty() => Ok((name.to_owned(), column.to_owned())),
        None if !text.is_empty() => Ok((text.to_owned(), text.to_owned())),
        _ => Err("must be NAME=COLUMN, or NAME where the column is called the same".into()),
    }
}

pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [b] if b.is_ascii_graphic() && !b.is_ascii_alphanumeric() && *b != b'"' => Ok(*b),
            _ => Err("must be one character such as , ; | or the word tab".into()),
        },
    }
}

/// Where each part of a record is found in a row.
#[derive(Debug, Default)]
struct Columns {
    time: Option<usize>,
    device: Option<usize>,
    level: Option<usize>,
    message: Option<usize>,
    readings: Vec<(String, usize)>,
    fields: Vec<(String, usize)>,
}

/// What the command line says about the records of the input.
#[derive(Debug)]
pub(super) struct Shape {
    csv: bool,
    /// As the command line says.
    delimiter: Option<u8>,
    decimal: Decimal,
    names: Names,
    columns: Columns,
    stamps: Stamps,
    device: Option<String>,
    application: Option<String>,
    namespace: String,
}

type LocalStamp = (&'static str, jiff::Timestamp, bool, bool);

/// Columns as the command line names them.
#[derive(Debug)]
struct Names {
    time: Option<String>,
    device: Option<String>,
    level: Option<String>,
    message: Option<String>,
    readings: Vec<(String, String)>,
    fields: Vec<(String, String)>,
}

impl Shape {
    pub(super) fn of(args: &SendArgs) -> Self {
        Self {
            csv: args.csv,
            delimiter: args.delimiter,
            decimal: if args.decimal_comma {
                Decimal::Comma
            } else {
                Decimal::Point
            },
            names: Names {
                time: args.time_column.clone(),
                device: args.device_column.clone(),
                level: args.level_column.clone(),
                message: args.message_column.clone(),
                readings: args.readings.clone(),
                fields: args.fields.clone(),
            },
            columns: Columns::default(),
            stamps: Stamps::new(args.time_format.clone(), args.time_zone.clone()),
            device: args.device.clone(),
            application: args.application.clone(),
            namespace: String::new(),
        }
    }

    pub(super) fn set_namespace(&mut self, namespace: &str) {
        self.namespace = namespace.to_owned();
    }

    pub(super) fn is_csv(&self) -> bool {
        self.csv
    }

    pub(super) fn delimiter(&self) -> Option<u8> {
        self.delimiter
    }

    /// The same input gives the same ids, and the same rows told of another device give others.
    fn id(&self, line: u64, record: &[u8]) -> String {
        let mut hash = Xxh3::new();
        hash.update(self.namespace.as_bytes());
        hash.update(&[0]);
        hash.update(&line.to_le_bytes());
        hash.update(record);
        format!("send-{:032x}", hash.digest128())
    }

    /// A line of NDJSON. What is no JSON object goes out as it is: the server says what is wrong with it.
    pub(super) fn ndjson(&mut self, line: u64, bytes: &[u8]) -> Item {
        let text = decode(bytes);
        let Some(named) = named(text.as_bytes()) else {
            return Item::record(bytes.to_vec());
        };
        let mut item = Item::record(Vec::new());
        let mut more = Map::new();
        let local = match self.local_stamp(&named) {
            Ok(local) => local,
            Err(why) => return Item::unusable(Some("timestamp"), why),
        };
        if let Some((_, at, ambiguous, skipped)) = local {
            (item.ambiguous, item.skipped_stamp) = (ambiguous, skipped);
            more.insert("timestamp".into(), json!(at.to_string()));
        }
        if let Some(device) = self.device.as_ref().filter(|_| !named.device) {
            more.insert("device_id".into(), json!(device));
        }
        if let Some(application) = self.application.as_ref().filter(|_| !named.application) {
            more.insert("application".into(), json!(application));
        }
        if !named.id {
            more.insert("id".into(), json!(self.id(line, bytes)));
        }
        item.what = What::Record(match local {
            // The record has a stamp already, which must give way.
            Some((name, ..)) => match serde_json::from_str::<Map<String, Value>>(&text) {
                Ok(mut record) => {
                    record.remove(name);
                    record.extend(more);
                    Value::Object(record).to_string().into_bytes()
                }
                Err(_) => bytes.to_vec(),
            },
            None => splice(bytes, &more),
        });
        item
    }

    /// The first of the record's stamps that can be read, where it has no offset: the name of its member, the time, whether it occurred
    /// twice and whether the zone skips it. None where the server reads it as well; why, where none can be read.
    fn local_stamp(&mut self, named: &Named) -> Result<Option<LocalStamp>, String> {
        if !self.stamps.reads_local() {
            return Ok(None);
        }
        let mut first_fault = None;
        for time in &named.times {
            match time.text.as_deref().map(|text| self.stamps.read(text)) {
                Some(Ok(Stamp::At { at, ambiguous, skipped })) => return Ok(Some((time.name, at, ambiguous, skipped))),
                // A number, in quotes or not: the server's to judge.
                None | Some(Ok(Stamp::Epoch(_)) | Err(Unreadable::NoZone)) => return Ok(None),
                Some(Err(Unreadable::Because(why))) if time.is_binding => drop(first_fault.get_or_insert(why)),
                Some(Err(Unreadable::Because(_))) => {}
            }
        }
        first_fault.map_or(Ok(None), Err)
    }

    /// Finds the columns that the command line names.
    pub(super) fn header(&mut self, header: &Row, delimiter: u8) -> anyhow::Result<()> {
        if delimiter == b';' && self.decimal == Decimal::Point {
            self.decimal = Decimal::Either { comma_seen: false };
        }
        let names: Vec<Cow<'_, str>> = header.iter().map(decode).collect();
        let hint = match &names[..] {
            [only] if only.contains([';', '\t', '|']) => ": say --delimiter if another character separates the columns",
            _ => "",
        };
        let find = |option: &str, column: &str| {
            names.iter().position(|n| n.trim() == column).ok_or_else(|| {
                let known: Vec<String> = names.iter().map(|n| short(n.trim())).collect();
                exit::usage(format!(
                    "{option}: the input has no column {column:?}; it has {}{hint}",
                    known.join(", ")
                ))
            })
        };
        let one = |option: &str, column: &Option<String>| column.as_deref().map(|c| find(option, c)).transpose();
        let many = |option: &str, pairs: &[(String, String)]| {
            pairs
                .iter()
                .map(|(name, column)| Ok((name.clone(), find(option, column)?)))
                .collect::<anyhow::Result<Vec<_>>>()
        };
        self.columns = Columns {
            time: one("--time-column", &self.names.time)?,
            device: one("--device-column", &self.names.device)?,
            level: one("--level-column", &self.names.level)?,
            message: one("--message-column", &self.names.message)?,
            readings: many("--reading", &self.names.readings)?,
            fields: many("--field", &self.names.fields)?,
        };
        if self.columns.message.is_none() && self.columns.readings.is_empty() {
            return Err(exit::usage(
                "a record needs a message or a reading: say --message-column or --reading",
            ));
        }
        if self.device.is_none() && self.application.is_none() && self.columns.device.is_none() {
            return Err(exit::usage(
                "a record needs a device or an application: say --device, --device-column or --application",
            ));
        }
        Ok(())
    }

    /// A row of CSV. An error is a mistake of the command line, which every row would repeat.
    pub(super) fn row(&mut self, line: u64, row: &Row) -> anyhow::Result<Item> {
        let cell = |i: usize| decode(row.get(i).unwrap_or_default().trim_ascii());
        let mut record = Map::new();
        let mut item = Item::record(Vec::new());
        if let Some(i) = self.columns.time {
            let text = self.number_text(cell(i));
            match self.stamps.read(&text) {
                Ok(Stamp::Epoch(_)) => drop(record.insert("timestamp".into(), number(&text))),
                Ok(Stamp::At { at, ambiguous, skipped }) => {
                    (item.ambiguous, item.skipped_stamp) = (ambiguous, skipped);
                    record.insert("timestamp".into(), json!(at.to_string()));
                }
                Err(Unreadable::NoZone) => {
                    return Err(exit::usage(format!(
                        "line {line}: the stamp {:?} has no offset: say --time-zone, such as --time-zone Europe/Berlin",
                        short(&cell(i))
                    )));
                }
                Err(Unreadable::Because(why)) => return Ok(Item::unusable(Some("timestamp"), why)),
            }
        }
        let mut readings = Map::new();
        for (name, i) in &self.columns.readings {
            let text = cell(*i);
            if text.is_empty() {
                continue;
            }
            match self.decimal.read(&text) {
                Ok(v) => drop(readings.insert(name.clone(), json!(v))),
                Err(why) => return Ok(Item::unusable(Some(name), why)),
            }
        }
        let mut put = |key: &str, text: Cow<'_, str>| {
            if !text.is_empty() {
                record.insert(key.into(), Value::String(text.into_owned()));
            }
        };
        put(
            "device_id",
            self.columns
                .device
                .map(cell)
                .filter(|t| !t.is_empty())
                .or(self.device.as_deref().map(Cow::from))
                .unwrap_or_default(),
        );
        put("application", self.application.as_deref().unwrap_or_default().into());
        put("level", self.columns.level.map(cell).unwrap_or_default());
        put("message", self.columns.message.map(cell).unwrap_or_default());
        if readings.is_empty() && !record.contains_key("message") {
            return Ok(Item::unusable(None, "has neither a message nor a reading"));
        }
        if !readings.is_empty() {
            record.insert("readings".into(), Value::Object(readings));
        }
        let fields: Map<String, Value> = self
            .columns
            .fields
            .iter()
            .map(|(name, i)| (name, cell(*i)))
            .filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (name.clone(), number(&self.number_text(text))))
            .collect();
        if !fields.is_empty() {
            record.insert("fields".into(), Value::Object(fields));
        }
        let text = Value::Object(record).to_string().into_bytes();
        let id = Map::from_iter([("id".to_owned(), json!(self.id(line, &text)))]);
        item.what = What::Record(splice(&text, &id));
        Ok(item)
    }

    /// A cell that may be a number, with a point: where the command line says that numbers have a comma, and the cell is digits and one
    /// comma. Whatever else it is, it stays as it is.
    fn number_text<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        let is_number = || {
            let digits = text.strip_prefix('-').unwrap_or(&text);
            digits.split_once(',').is_some_and(|(whole, fraction)| {
                let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                are_digits(whole) && are_digits(fraction)
            })
        };
        if self.decimal == Decimal::Comma && is_number() {
            return text.replace(',', ".").into();
        }
        text
    }
}

/// A cell as a number where it is one and would be written the same way again, else as text: part number 0017 stays 0017.
fn number(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Number(n)) if n.to_string() == text => Value::Number(n),
        _ => match text.parse::<f64>() {
            Ok(v) if v.is_finite() && text.contains('.') && (!text.starts_with('0') || text.starts_with("0.")) => {
                json!(v)
            }
            _ => Value::String(text.to_owned()),
        },
    }
}

/// UTF-8, or else Latin-1, in which every byte is a character.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect::<String>().into(),
    }
}

/// Puts members before the first of an object's own, the rest untouched byte for byte.
fn splice(object: &[u8], members: &Map<String, Value>) -> Vec<u8> {
    let Some(brace) = object.iter().position(|b| *b == b'{').filter(|_| !members.is_empty()) else {
        return object.to_vec();
    };
    let empty = object[brace + 1..].trim_ascii_start().starts_with(b"}");
    let text = Value::Object(members.clone()).to_string();
    let inner = &text.as_bytes()[1..text.len() - 1];
    let mut out = Vec::with_capacity(object.len() + inner.len() + 1);
    out.extend_from_slice(&object[..=brace]);
    out.extend_from_slice(inner);
    if !empty {
        out.push(b',');
    }
    out.extend_from_slice(&object[brace + 1..]);
    out
}
