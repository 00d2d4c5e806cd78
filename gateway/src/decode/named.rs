//! What a record names, for who fills in what it does not.

use simd_json::{Node, StaticNode};

use super::aliases::{Field, NAMES};
use super::names::{Members, own_field};
use super::{decoder, value};

/// Which fields a record fills under any of the names that a server knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub id: bool,
    pub device: bool,
    pub application: bool,
    /// Members that may be its time, best first.
    pub times: Vec<NamedTime>,
}

/// A member that may be a record's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTime {
    pub name: &'static str,
    /// `None` for a number.
    pub text: Option<String>,
    /// It fills the field whatever it says; others do where they can be read.
    pub is_binding: bool,
}

/// What the record names; `None` when it is no JSON object.
pub fn named(record: &[u8]) -> Option<Named> {
    decoder::look(record, |nodes| {
        matches!(nodes.first(), Some(Node::Object { .. })).then(|| of(nodes))
    })?
}

fn of(nodes: &[Node<'_>]) -> Named {
    let mut members = Members::default();
    let mut rest = Vec::new();
    let mut id = false;
    for (name, value) in value::members(nodes, 0) {
        match own_field(name, &nodes[value]) {
            Some(field) => members.own(nodes, field, value, &mut rest),
            None if name == "id" => id |= !value::is_null(&nodes[value]),
            None => members.alias(nodes, name, value, &mut rest),
        }
    }
    members.settle(nodes, None, &mut rest);
    Named {
        id,
        device: members.get(Field::DeviceId).is_some(),
        application: members.get(Field::Application).is_some(),
        times: times(nodes),
    }
}

fn times(nodes: &[Node<'_>]) -> Vec<NamedTime> {
    let names = NAMES
        .iter()
        .filter(|(field, _)| *field == Field::Timestamp)
        .flat_map(|(_, names)| names.iter());
    names
        .filter_map(|(name, fits)| {
            let (_, value) = value::members(nodes, 0).filter(|(n, _)| n == name).last()?;
            let is_binding = fits(nodes, value);
            let text = match nodes[value] {
                // A day by itself is seldom when something was logged.
                Node::String(s) if !s.is_empty() && (is_binding || *name != "date") => Some(s.to_owned()),
                Node::Static(StaticNode::I64(_) | StaticNode::U64(_) | StaticNode::F64(_)) if is_binding => None,
                _ => return None,
            };
            Some(NamedTime { name, text, is_binding })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_table_count() {
        for (record, want) in [
            (r#"{"device_id":"d"}"#, (false, true, false)),
            (r#"{"host.name":"d"}"#, (false, true, false)),
            (r#"{"host":"d"}"#, (false, true, false)),
            (r#"{"host":{"name":"d"}}"#, (false, true, false)),
            (r#"{"hostname":"d","id":"x"}"#, (true, true, false)),
            (r#"{"kubernetes":{"node":{"name":"n"}}}"#, (false, true, false)),
            (r#"{"service":{"name":"s"}}"#, (false, false, true)),
            (r#"{"SYSLOG_IDENTIFIER":"s","_HOSTNAME":"h"}"#, (false, true, true)),
            (
                r#"{"pid":1,"hostname":"h","name":"app","level":30}"#,
                (false, true, true),
            ),
            (r#"{"device_id":null,"host":"","id":null}"#, (false, false, false)),
            (r#"{"host":7,"message":"m"}"#, (false, false, false)),
        ] {
            let n = named(record.as_bytes()).unwrap();
            assert_eq!((n.id, n.device, n.application), want, "{record}");
        }
        assert_eq!(named(b"[1]"), None);
        assert_eq!(named(b"not json"), None);
        assert_eq!(named(b""), None);
    }

    #[test]
    fn times_come_in_the_order_of_the_table() {
        let n = named(br#"{"asctime":"2026-01-15 10:30:00","time":"x","date":"2026-01-15","ts":5,"@t":null}"#).unwrap();
        let got: Vec<_> = n
            .times
            .iter()
            .map(|t| (t.name, t.text.as_deref(), t.is_binding))
            .collect();
        assert_eq!(
            got,
            [
                ("time", Some("x"), true),
                ("ts", None, true),
                ("asctime", Some("2026-01-15 10:30:00"), false)
            ]
        );
    }
}
