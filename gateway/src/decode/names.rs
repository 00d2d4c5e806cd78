//! Which member of a record fills which field: our own names, and those that common log shippers write.
//!
//! Of several members that could fill a field the first of this order does, and the others stay in `fields`:
//!
//! | field | members |
//! |---|---|
//! | `timestamp` | `timestamp`, `@timestamp`, `time`, `ts`, `date` from September 2001 on |
//! | `level` | `level`, `severity`, `log.level`, `log{level}`, `log{syslog{severity{code}}}` |
//! | `message` | `message`, `msg`, `log` when it is a text, `event.original`, `event{original}` |
//! | `device_id` | `device_id`, `host.name`, `host{name}`, `host{hostname}`, `host` when it is a text, `hostname`, `kubernetes{host}`, `kubernetes{node{name}}` |
//! | `application` | `application`, `service.name`, `service{name}`, `kubernetes{container_name}`, `kubernetes{container{name}}`, `container{name}` |
//! | `source` | `source` unless it is an object, `log.file.path`, `log{file{path}}`, `kubernetes{pod_name}`, `kubernetes{pod{name}}` |
//!
//! An alias of a type that cannot fill the field (a `log` that is a number, an empty `host.name`) is an ordinary member, and so is a guess
//! that would break a limit (a path longer than a source may be). A time or a level that cannot be read, such as the `timestamp` of a web
//! server's log beside Logstash's `@timestamp`, gives way to a later one of its list that can; when there is none it is at fault. An object
//! from which a name was taken stays in `fields` too, unless that name was all it held. `null` under one of our names, or an alias that is
//! `null`, is as if it were not there.

use andon_engine::intake::OWN_APPLICATION;
use andon_engine::limits::KEY_BYTES_MAX;
use andon_engine::time::Timestamp;
use simd_json::{Node, StaticNode};
use std::cmp::Ordering;

use super::{read, value};

/// A field that several members may fill.
#[derive(Clone, Copy)]
pub(super) enum Field {
    Timestamp,
    Level,
    Message,
    DeviceId,
    Application,
    Source,
}

const FIELDS: usize = 6;

/// Added to the rank of a member that cannot be read: any other is better.
const UNREADABLE: u8 = 16;

/// Numbers below are no times under a name that many use for something else, such as 20261123: September 2001 in seconds.
const DATE_MIN: Timestamp = Timestamp(1_000_000_000_000_000);

/// A member that may fill a field: the lower its rank, the better; the index of its value.
#[derive(Clone, Copy)]
struct Found {
    rank: u8,
    value: usize,
    /// It lies in an object, which stays in `fields` whole.
    inside: bool,
}

/// Objects of the Elastic Common Schema, and what shippers put into objects of that name.
const OBJECTS: [(&str, &[Inside]); 6] = [
    (
        "host",
        &[
            Inside(&["name"], Field::DeviceId, 2, is_text),
            Inside(&["hostname"], Field::DeviceId, 3, is_key),
        ],
    ),
    ("service", &[Inside(&["name"], Field::Application, 2, is_text)]),
    (
        "log",
        &[
            Inside(&["level"], Field::Level, 3, is_text_or_number),
            Inside(&["syslog", "severity", "code"], Field::Level, 4, is_level),
            Inside(&["file", "path"], Field::Source, 2, is_key),
        ],
    ),
    ("event", &[Inside(&["original"], Field::Message, 4, is_text)]),
    (
        "kubernetes",
        &[
            Inside(&["host"], Field::DeviceId, 6, is_key),
            Inside(&["node", "name"], Field::DeviceId, 7, is_key),
            Inside(&["container_name"], Field::Application, 3, is_other_application),
            Inside(&["container", "name"], Field::Application, 4, is_other_application),
            Inside(&["pod_name"], Field::Source, 3, is_key),
            Inside(&["pod", "name"], Field::Source, 4, is_key),
        ],
    ),
    (
        "container",
        &[Inside(&["name"], Field::Application, 5, is_other_application)],
    ),
];

/// A path into an object, the field that its value may fill, its rank, and which values may.
struct Inside(&'static [&'static str], Field, u8, fn(&Node<'_>) -> bool);

/// What the members of one record may fill.
#[derive(Default)]
pub(super) struct Members {
    slots: [Option<Found>; FIELDS],
    objects: [Option<usize>; OBJECTS.len()],
    any_object: bool,
}

impl Members {
    /// The index of the value that fills the field.
    pub(super) fn get(&self, field: Field) -> Option<usize> {
        self.slots[field as usize].map(|found| found.value)
    }

    /// A member under our own name.
    pub(super) fn own(&mut self, nodes: &[Node<'_>], field: Field, value: usize, rest: &mut Vec<usize>) {
        if !value::is_null(&nodes[value]) {
            self.offer(
                nodes,
                field,
                Found {
                    rank: 0,
                    value,
                    inside: false,
                },
                rest,
            );
        }
    }

    /// A member under a name that is not ours.
    pub(super) fn alias(&mut self, nodes: &[Node<'_>], name: &str, value: usize, rest: &mut Vec<usize>) {
        let node = &nodes[value];
        let (field, rank, fits): (_, _, fn(&Node<'_>) -> bool) = match name {
            "@timestamp" => (Field::Timestamp, 1, is_text_or_number),
            "time" => (Field::Timestamp, 2, is_text_or_number),
            "ts" => (Field::Timestamp, 3, is_text_or_number),
            "date" => (Field::Timestamp, 4, is_date),
            "severity" => (Field::Level, 1, is_text_or_number),
            "log.level" => (Field::Level, 2, is_text_or_number),
            "msg" => (Field::Message, 1, is_text),
            "log" => (Field::Message, 2, is_text),
            "event.original" => (Field::Message, 3, is_text),
            "host.name" => (Field::DeviceId, 1, is_text),
            "host" => (Field::DeviceId, 4, is_key),
            "hostname" => (Field::DeviceId, 5, is_key),
            "service.name" => (Field::Application, 1, is_text),
            "service" => (Field::Application, u8::MAX, |_| false),
            "log.file.path" => (Field::Source, 1, is_key),
            _ => return self.other(node, name, value, rest),
        };
        if value::is_null(node) {
            return;
        }
        if !fits(node) {
            return self.other(node, name, value, rest);
        }
        self.offer(
            nodes,
            field,
            Found {
                rank,
                value,
                inside: false,
            },
            rest,
        );
    }

    /// An object to look into later, or an ordinary member.
    fn other(&mut self, node: &Node<'_>, name: &str, value: usize, rest: &mut Vec<usize>) {
        let object = match node {
            Node::Object { .. } => OBJECTS.iter().position(|(object, _)| *object == name),
            _ => None,
        };
        match object {
            Some(i) => {
                self.objects[i] = Some(value);
                self.any_object = true;
            }
            None => rest.push(value),
        }
    }

    /// Looks into the objects for what fields still want, once all members are known.
    pub(super) fn look_inside(&mut self, nodes: &[Node<'_>], rest: &mut Vec<usize>) {
        if !self.any_object {
            return;
        }
        for (i, (_, insides)) in OBJECTS.iter().enumerate() {
            let Some(object) = self.objects[i] else { continue };
            let mut emptied = false;
            for Inside(path, field, rank, fits) in *insides {
                let taken = self.slots[*field as usize];
                if taken.is_some_and(|found| found.rank_read(nodes, *field) < *rank) {
                    continue;
                }
                let Some(value) = at_path(nodes, object, path, *fits) else {
                    continue;
                };
                self.offer(
                    nodes,
                    *field,
                    Found {
                        rank: *rank,
                        value,
                        inside: true,
                    },
                    rest,
                );
                emptied = path.len() == 1 && matches!(nodes[object], Node::Object { len: 1, .. });
            }
            if !emptied {
                rest.push(object);
            }
        }
    }

    /// Fills the field, or sends the worse of the two members to the rest. One of the same rank, hence the same name, replaces the former.
    fn offer(&mut self, nodes: &[Node<'_>], field: Field, new: Found, rest: &mut Vec<usize>) {
        let slot = &mut self.slots[field as usize];
        let Some(old) = *slot else {
            *slot = Some(new);
            return;
        };
        let worse = match old.rank_read(nodes, field).cmp(&new.rank_read(nodes, field)) {
            Ordering::Less => Some(new),
            Ordering::Greater => slot.replace(new),
            Ordering::Equal => {
                *slot = Some(new);
                None
            }
        };
        rest.extend(worse.filter(|w| !w.inside).map(|w| w.value));
    }
}

impl Found {
    /// The rank with regard to whether the value can be read. Asked only where two members compete, so that no time is read twice
    /// otherwise.
    fn rank_read(&self, nodes: &[Node<'_>], field: Field) -> u8 {
        let node = &nodes[self.value];
        let unreadable = match field {
            Field::Timestamp => read::time_of(node).is_err(),
            Field::Level => read::level_of(node).is_none(),
            _ => false,
        };
        if unreadable { self.rank + UNREADABLE } else { self.rank }
    }
}

/// The value at the end of the path. Of members of one name the last counts.
fn at_path(nodes: &[Node<'_>], object: usize, path: &[&str], fits: fn(&Node<'_>) -> bool) -> Option<usize> {
    let value = path.iter().try_fold(object, |object, name| {
        value::members(nodes, object)
            .filter(|(n, _)| n == name)
            .last()
            .map(|(_, value)| value)
    })?;
    fits(&nodes[value]).then_some(value)
}

fn is_text(node: &Node<'_>) -> bool {
    matches!(node, Node::String(s) if !s.is_empty())
}

fn is_key(node: &Node<'_>) -> bool {
    matches!(node, Node::String(s) if (1..=KEY_BYTES_MAX).contains(&s.len()))
}

/// A container may have the name that we keep for ourselves; its records are told by their host then.
fn is_other_application(node: &Node<'_>) -> bool {
    is_key(node) && !matches!(node, Node::String(s) if *s == OWN_APPLICATION)
}

fn is_text_or_number(node: &Node<'_>) -> bool {
    is_text(node)
        || matches!(
            node,
            Node::Static(StaticNode::I64(_) | StaticNode::U64(_) | StaticNode::F64(_))
        )
}

fn is_level(node: &Node<'_>) -> bool {
    read::level_of(node).is_some()
}

fn is_date(node: &Node<'_>) -> bool {
    read::time_of(node).is_ok_and(|t| t >= DATE_MIN)
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    fn checks(cases: &[(&str, &str)]) {
        for (body, expect) in cases {
            check(body, expect);
        }
    }

    #[test]
    fn a_host_is_known_by_the_best_of_its_names() {
        checks(&[
            (r#"{"hostname":"h","message":"m"}"#, "INFO msg=m dev=h"),
            (
                r#"{"hostname":"a","host":"b","message":"m"}"#,
                r#"INFO msg=m dev=b {"hostname":"a"}"#,
            ),
            (r#"{"host":{"hostname":"h"},"message":"m"}"#, "INFO msg=m dev=h"),
            (
                r#"{"host":{"hostname":"a","name":"b"},"message":"m"}"#,
                r#"INFO msg=m dev=b {"host":{"hostname":"a","name":"b"}}"#,
            ),
            (
                r#"{"hostname":"a","host":{"name":"b"},"message":"m"}"#,
                r#"INFO msg=m dev=b {"hostname":"a"}"#,
            ),
            (
                r#"{"kubernetes":{"host":"n"},"hostname":"a","message":"m"}"#,
                r#"INFO msg=m dev=a {"kubernetes":{"host":"n"}}"#,
            ),
            (
                r#"{"host":7,"kubernetes":{"node":{"name":"n"}},"message":"m"}"#,
                r#"INFO msg=m dev=n {"host":7,"kubernetes":{"node":{"name":"n"}}}"#,
            ),
            (r#"{"host":["a"],"message":"m"}"#, "~neither application nor device_id"),
            (r#"{"host":"","message":"m"}"#, "~neither application nor device_id"),
            (r#"{"host":null,"hostname":"h","message":"m"}"#, "INFO msg=m dev=h"),
            (
                r#"{"device_id":"d","host":"a","host":{"name":"b"},"message":"m"}"#,
                r#"INFO msg=m dev=d {"host":{"name":"b"}}"#,
            ),
        ]);
    }

    #[test]
    fn an_application_is_a_service_or_else_a_container() {
        checks(&[
            (
                r#"{"container":{"name":"c"},"service":{"name":"s"},"message":"m"}"#,
                r#"INFO msg=m app=s {"container":{"name":"c"}}"#,
            ),
            (r#"{"container":{"name":"c"},"message":"m"}"#, "INFO msg=m app=c"),
            (
                r#"{"container":{"name":"c"},"kubernetes":{"container":{"name":"k"}},"message":"m"}"#,
                r#"INFO msg=m app=k {"kubernetes":{"container":{"name":"k"}},"container":{"name":"c"}}"#,
            ),
            // Our own name is not taken from a container that happens to have it.
            (
                r#"{"kubernetes":{"container_name":"andon","host":"n"},"message":"m"}"#,
                r#"INFO msg=m dev=n {"kubernetes":{"container_name":"andon","host":"n"}}"#,
            ),
            (r#"{"service.name":"andon","message":"m"}"#, "~is reserved"),
            (r#"{"service":"s","message":"m"}"#, "~neither application nor device_id"),
        ]);
    }

    #[test]
    fn a_source_is_a_file_or_else_a_pod() {
        let long = format!("/{}", "x".repeat(128));
        checks(&[
            (
                r#"{"device_id":"d","log":{"file":{"path":"/a"}},"message":"m"}"#,
                r#"INFO msg=m dev=d src=/a {"log":{"file":{"path":"/a"}}}"#,
            ),
            (
                r#"{"device_id":"d","source":"s","log.file.path":"/a","message":"m"}"#,
                r#"INFO msg=m dev=d src=s {"log.file.path":"/a"}"#,
            ),
            (
                r#"{"device_id":"d","source":{"ip":"10.0.0.1"},"log.file.path":"/a","message":"m"}"#,
                r#"INFO msg=m dev=d src=/a {"source":{"ip":"10.0.0.1"}}"#,
            ),
            (
                r#"{"device_id":"d","source":7,"message":"m"}"#,
                "source: must be a string, not a number",
            ),
            (
                r#"{"device_id":"d","log":{"file":"x"},"kubernetes":{"pod":"p"},"message":"m"}"#,
                r#"INFO msg=m dev=d {"log":{"file":"x"},"kubernetes":{"pod":"p"}}"#,
            ),
        ]);
        check(
            &format!(r#"{{"device_id":"d","log.file.path":"{long}","message":"m"}}"#),
            &format!(r#"INFO msg=m dev=d {{"log.file.path":"{long}"}}"#),
        );
        check(
            &format!(r#"{{"device_id":"d","source":"{long}","message":"m"}}"#),
            "source: has 129 bytes, more than the 128 allowed",
        );
    }

    #[test]
    fn what_cannot_be_read_gives_way_to_what_can_and_is_at_fault_alone() {
        checks(&[
            (
                r#"{"device_id":"d","message":"m","timestamp":"Nov 23 02:30:55","@timestamp":"2026-11-23T02:30:57Z"}"#,
                r#"INFO msg=m dev=d at=-2 {"timestamp":"Nov 23 02:30:55"}"#,
            ),
            (
                r#"{"@timestamp":"2026-11-23T02:30:57Z","timestamp":"Nov 23 02:30:55","device_id":"d","message":"m"}"#,
                r#"INFO msg=m dev=d at=-2 {"timestamp":"Nov 23 02:30:55"}"#,
            ),
            (
                r#"{"device_id":"d","message":"m","time":"02:30","ts":"x","date":1795401057}"#,
                r#"INFO msg=m dev=d at=-2 {"ts":"x","time":"02:30"}"#,
            ),
            (
                r#"{"device_id":"d","message":"m","ts":"x","time":"02:30"}"#,
                "~time: \"02:30\" is not a time",
            ),
            (
                r#"{"device_id":"d","message":"m","level":"core:error","log":{"level":"error"}}"#,
                r#"ERROR msg=m dev=d {"level":"core:error"}"#,
            ),
            (
                r#"{"device_id":"d","message":"m","log":{"level":"odd","syslog":{"severity":{"code":4}}}}"#,
                r#"WARN msg=m dev=d {"log":{"level":"odd","syslog":{"severity":{"code":4}}}}"#,
            ),
            (
                r#"{"device_id":"d","message":"m","log":{"level":"odd"}}"#,
                "~\"odd\" is no level",
            ),
            (
                r#"{"device_id":"d","message":"m","log":{"syslog":{"severity":{"code":99}}}}"#,
                r#"INFO msg=m dev=d {"log":{"syslog":{"severity":{"code":99}}}}"#,
            ),
        ]);
    }

    #[test]
    fn a_date_is_a_time_only_when_it_can_be_nothing_else() {
        checks(&[
            (
                r#"{"device_id":"d","message":"m","date":1795401058.5}"#,
                "INFO msg=m dev=d at=-0.5",
            ),
            (
                r#"{"device_id":"d","message":"m","date":20261123}"#,
                r#"INFO msg=m dev=d {"date":20261123}"#,
            ),
            (
                r#"{"device_id":"d","message":"m","date":"2026-11-23"}"#,
                r#"INFO msg=m dev=d {"date":"2026-11-23"}"#,
            ),
            // Fluent Bit's java_sql_timestamp: UTC, but it does not say so.
            (
                r#"{"device_id":"d","message":"m","date":"2026-11-23 02:30:57.000000"}"#,
                r#"INFO msg=m dev=d {"date":"2026-11-23 02:30:57.000000"}"#,
            ),
            (
                r#"{"device_id":"d","message":"m","date":1795401000,"ts":1795401057}"#,
                r#"INFO msg=m dev=d at=-2 {"date":1795401000}"#,
            ),
        ]);
    }

    #[test]
    fn a_message_is_found_in_the_event_and_without_its_line_end_under_log() {
        checks(&[
            (r#"{"device_id":"d","event":{"original":"raw"}}"#, "INFO msg=raw dev=d"),
            (
                r#"{"device_id":"d","event":{"original":"raw","dataset":"x"},"message":"m"}"#,
                r#"INFO msg=m dev=d {"event":{"original":"raw","dataset":"x"}}"#,
            ),
            (r#"{"device_id":"d","event.original":"raw"}"#, "INFO msg=raw dev=d"),
            (
                r#"{"device_id":"d","event":"boot","message":"m"}"#,
                r#"INFO msg=m dev=d {"event":"boot"}"#,
            ),
            (
                r#"{"device_id":"d","log":"two\nlines\r\n"}"#,
                "INFO msg=two\nlines dev=d",
            ),
            (
                r#"{"device_id":"d","message":"as it is\n"}"#,
                "INFO msg=as it is\n dev=d",
            ),
            (r#"{"device_id":"d","log":"\n"}"#, "~message is missing"),
        ]);
    }
}
