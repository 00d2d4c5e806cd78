//! The names of members that fill our fields: our own, and those that common loggers and log shippers write. `docs/INGEST.md` has the same
//! table for people, and a test compares the two.
//!
//! `a.b` is one member with a dot in its name, `a{b}` a member within an object.

use andon_engine::intake::OWN_APPLICATION;
use andon_engine::limits::KEY_BYTES_MAX;
use andon_engine::time::Timestamp;
use simd_json::{Node, StaticNode};
use std::sync::LazyLock;

use super::{read, value};

/// A field that several members may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Timestamp,
    Level,
    Message,
    DeviceId,
    Application,
    Source,
}

pub(super) const FIELDS: usize = 6;

/// Which values of a member may fill its field; others leave it an ordinary member.
pub(super) type Fits = fn(&[Node<'_>], usize) -> bool;

/// The names of each field, best first. The first is our own and is not asked whether it fits.
pub(super) const NAMES: [(Field, &[(&str, Fits)]); FIELDS] = [
    (
        Field::Timestamp,
        &[
            ("timestamp", anything),
            ("@timestamp", is_text_or_number),
            ("time", is_text_or_number),
            ("ts", is_text_or_number),
            ("@t", is_time),
            ("Timestamp", is_time),
            ("datetime", is_time),
            ("instant", is_time),
            ("timeMillis", is_time),
            ("__REALTIME_TIMESTAMP", is_time),
            ("TimeCreated", is_time),
            ("EventTime", is_time),
            ("asctime", is_time),
            ("timeUnixNano", is_time),
            ("date", is_date),
        ],
    ),
    (
        Field::Level,
        &[
            ("level", anything),
            ("severity", is_text_or_number),
            ("log.level", is_text_or_number),
            ("log{level}", is_text_or_number),
            ("levelname", is_text),
            ("level_name", is_text),
            ("LevelDisplayName", is_level),
            ("Level", is_text_or_number),
            ("LogLevel", is_text_or_number),
            ("@l", is_text),
            ("lvl", is_text_or_number),
            ("loglevel", is_text_or_number),
            ("log_level", is_text_or_number),
            ("logLevel", is_text_or_number),
            ("Severity", is_level),
            ("severity_text", is_level),
            ("severityText", is_level),
            ("SeverityText", is_level),
            ("severity_number", is_level),
            ("severityNumber", is_level),
            ("SeverityNumber", is_level),
            ("levelno", is_level),
            ("PRIORITY", is_level),
            ("log{syslog{severity{code}}}", is_level),
            ("_level_name", is_level),
            ("EventType", is_level),
            ("detected_level", is_level),
        ],
    ),
    (
        Field::Message,
        &[
            ("message", anything),
            ("msg", is_text),
            ("@m", is_text),
            ("RenderedMessage", is_text),
            ("Message", is_text),
            ("MESSAGE", is_text_or_bytes),
            ("short_message", is_text),
            ("formattedMessage", is_text),
            ("log", is_text),
            ("event.original", is_text),
            ("event{original}", is_text),
            ("@mt", is_text),
            ("MessageTemplate", is_text),
            ("event", is_text),
            ("fields{message}", is_text),
        ],
    ),
    (
        Field::DeviceId,
        &[
            ("device_id", anything),
            ("host.name", is_text),
            ("host{name}", is_text),
            ("host{hostname}", is_key),
            ("host", is_key),
            ("hostname", is_key),
            ("_HOSTNAME", is_key),
            ("MachineName", is_key),
            ("Computer", is_key),
            ("ComputerName", is_key),
            ("Hostname", is_key),
            ("winlog{computer_name}", is_key),
            ("Properties{MachineName}", is_key),
            ("extra{hostname}", is_key),
            ("kubernetes{host}", is_key),
            ("kubernetes{node{name}}", is_key),
        ],
    ),
    (
        Field::Application,
        &[
            ("application", anything),
            ("service.name", is_text),
            ("service{name}", is_text),
            ("Application", is_other_application),
            ("ApplicationName", is_other_application),
            ("app", is_other_application),
            ("app_name", is_other_application),
            ("appName", is_other_application),
            ("Properties{Application}", is_other_application),
            ("_application", is_other_application),
            ("SYSLOG_IDENTIFIER", is_other_application),
            ("programname", is_other_application),
            ("kubernetes{container_name}", is_other_application),
            ("kubernetes{container{name}}", is_other_application),
            ("container{name}", is_other_application),
            ("_COMM", is_other_application),
        ],
    ),
    (
        Field::Source,
        &[
            ("source", anything),
            ("log.file.path", is_key),
            ("log{file{path}}", is_key),
            ("kubernetes{pod_name}", is_key),
            ("kubernetes{pod{name}}", is_key),
            ("logger", is_key),
            ("logger_name", is_key),
            ("loggerName", is_key),
            ("log.logger", is_key),
            ("log{logger}", is_key),
            ("SourceContext", is_key),
            ("Properties{SourceContext}", is_key),
            ("_logger", is_key),
            ("_logger_name", is_key),
            ("_log_logger", is_key),
            ("_SYSTEMD_UNIT", is_key),
            ("ProviderName", is_key),
            ("winlog{provider_name}", is_key),
            ("SourceName", is_key),
        ],
    ),
];

/// What a member says about the logger that wrote the record, a bit each: some names and numbers mean different things to two loggers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u16);

impl Marks {
    pub(super) const PID: Marks = Marks(1);
    pub(super) const HOSTNAME: Marks = Marks(1 << 1);
    pub(super) const VERSION: Marks = Marks(1 << 2);
    pub(super) const TIME_MS: Marks = Marks(1 << 3);
    pub(super) const MSG: Marks = Marks(1 << 4);
    pub(super) const LEVELNAME: Marks = Marks(1 << 5);
    pub(super) const LEVEL_NAME: Marks = Marks(1 << 6);
    pub(super) const LOG_LEVEL: Marks = Marks(1 << 7);
    pub(super) const WINDOWS: Marks = Marks(1 << 8);

    pub(super) fn insert(&mut self, other: Marks) {
        self.0 |= other.0;
    }
    pub(super) fn has(self, all: Marks) -> bool {
        self.0 & all.0 == all.0
    }
    /// pino or bunyan: two of process, host, version and a time in ms, or one of the last two with `msg`.
    pub(super) fn is_pino(self) -> bool {
        let two = [Self::PID, Self::HOSTNAME, Self::VERSION, Self::TIME_MS];
        let of_two = two.into_iter().filter(|m| self.has(*m)).count();
        of_two >= 2 || self.has(Self::MSG) && (self.has(Self::VERSION) || self.has(Self::TIME_MS))
    }
}

const MARKS: [(&str, Marks, Fits); 11] = [
    ("pid", Marks::PID, is_number),
    ("hostname", Marks::HOSTNAME, is_text),
    ("v", Marks::VERSION, is_number),
    ("time", Marks::TIME_MS, is_millis),
    ("msg", Marks::MSG, is_text),
    ("levelname", Marks::LEVELNAME, is_text),
    ("level_name", Marks::LEVEL_NAME, is_text),
    ("LogLevel", Marks::LOG_LEVEL, is_text),
    ("EventID", Marks::WINDOWS, anything),
    ("ProviderName", Marks::WINDOWS, is_text),
    ("Channel", Marks::WINDOWS, is_text),
];

/// Names that fill a field only beside a mark, in the order of [`Deferred`].
pub(super) const DEFERRED: [&str; 3] = ["name", "channel", "Category"];

/// A top-level name that is not ours.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: &'static str,
    /// The field, how good the name is for it (0 is best), and which values fill it.
    pub(super) fills: Option<(Field, u8, Fits)>,
    pub(super) mark: Option<(Marks, Fits)>,
    /// Its place in [`DEFERRED`].
    pub(super) deferred: Option<usize>,
}

/// A path into an object.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) path: Vec<&'static str>,
    pub(super) field: Field,
    pub(super) rank: u8,
    pub(super) fits: Fits,
}

/// Objects into which some path leads, at most.
pub(super) const OBJECTS_MAX: usize = 10;
const SLOTS: usize = 512;

/// [`NAMES`], [`MARKS`] and [`DEFERRED`], laid out for looking up.
#[derive(Debug)]
pub(super) struct Table {
    /// Place in `aliases` plus 1, and the length of the name, by [`slot`]; in the next free one when that is taken.
    slots: [[u8; 2]; SLOTS],
    aliases: Vec<Alias>,
    pub(super) objects: Vec<(&'static str, Vec<Inside>)>,
}

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

impl Table {
    fn new() -> Self {
        let mut table = Table {
            slots: [[0; 2]; SLOTS],
            aliases: Vec::new(),
            objects: Vec::new(),
        };
        for (field, names) in NAMES {
            for (rank, (notation, fits)) in names.iter().enumerate().skip(1) {
                match notation.split_once('{') {
                    Some((object, path)) => table.object(object).push(Inside {
                        path: path.trim_end_matches('}').split('{').collect(),
                        field,
                        rank: rank as u8,
                        fits: *fits,
                    }),
                    None => table.alias(notation).fills = Some((field, rank as u8, *fits)),
                }
            }
        }
        for (name, mark, fits) in MARKS {
            table.alias(name).mark = Some((mark, fits));
        }
        for (i, name) in DEFERRED.into_iter().enumerate() {
            table.alias(name).deferred = Some(i);
        }
        assert!(table.objects.len() <= OBJECTS_MAX && table.aliases.len() < SLOTS / 2);
        for (i, alias) in table.aliases.iter().enumerate() {
            let mut at = slot(alias.name.as_bytes());
            while table.slots[at][0] != 0 {
                at = (at + 1) % SLOTS;
            }
            table.slots[at] = [i as u8 + 1, alias.name.len() as u8];
        }
        table
    }

    fn alias(&mut self, name: &'static str) -> &mut Alias {
        let i = self.aliases.iter().position(|a| a.name == name).unwrap_or_else(|| {
            self.aliases.push(Alias {
                name,
                fills: None,
                mark: None,
                deferred: None,
            });
            self.aliases.len() - 1
        });
        &mut self.aliases[i]
    }

    fn object(&mut self, name: &'static str) -> &mut Vec<Inside> {
        let i = self.objects.iter().position(|(n, _)| *n == name).unwrap_or_else(|| {
            self.objects.push((name, Vec::new()));
            self.objects.len() - 1
        });
        &mut self.objects[i].1
    }

    pub(super) fn find(&self, name: &str) -> Option<&Alias> {
        let mut at = slot(name.as_bytes());
        loop {
            let [place, len] = self.slots[at];
            let place = usize::from(place).checked_sub(1)?;
            if usize::from(len) == name.len() && self.aliases[place].name == name {
                return Some(&self.aliases[place]);
            }
            at = (at + 1) % SLOTS;
        }
    }
}

/// Where to look for a name: few bytes of it tell nearly all apart.
fn slot(name: &[u8]) -> usize {
    let n = name.len();
    let [first, middle, last] = [0, n / 2, n.saturating_sub(1)].map(|i| name.get(i).map_or(0, |b| usize::from(*b)));
    (n * 67 + first * 31 + middle * 7 + last * 131) % SLOTS
}

fn anything(_: &[Node<'_>], _: usize) -> bool {
    true
}

fn is_text(nodes: &[Node<'_>], value: usize) -> bool {
    matches!(nodes[value], Node::String(s) if !s.is_empty())
}

pub(super) fn is_key(nodes: &[Node<'_>], value: usize) -> bool {
    matches!(nodes[value], Node::String(s) if (1..=KEY_BYTES_MAX).contains(&s.len()))
}

/// A program may have the name that we keep for ourselves; its records are told by their host then.
pub(super) fn is_other_application(nodes: &[Node<'_>], value: usize) -> bool {
    is_key(nodes, value) && !matches!(nodes[value], Node::String(s) if s == OWN_APPLICATION)
}

fn is_number(nodes: &[Node<'_>], value: usize) -> bool {
    matches!(
        nodes[value],
        Node::Static(StaticNode::I64(_) | StaticNode::U64(_) | StaticNode::F64(_))
    )
}

fn is_text_or_number(nodes: &[Node<'_>], value: usize) -> bool {
    is_text(nodes, value) || is_number(nodes, value)
}

/// A text that is not UTF-8 is an array of its bytes to journald.
fn is_text_or_bytes(nodes: &[Node<'_>], value: usize) -> bool {
    is_text(nodes, value) || read::bytes(nodes, value).is_some_and(|b| !b.is_empty())
}

fn is_level(nodes: &[Node<'_>], value: usize) -> bool {
    read::level_of(nodes, value).is_some()
}

fn is_time(nodes: &[Node<'_>], value: usize) -> bool {
    read::time_of(nodes, value).is_ok()
}

/// Smaller numbers are no times under a name that many use for something else, such as 20261123: September 2001 in seconds.
fn is_date(nodes: &[Node<'_>], value: usize) -> bool {
    const DATE_MIN: Timestamp = Timestamp(1_000_000_000_000_000);
    read::time_of(nodes, value).is_ok_and(|t| t >= DATE_MIN)
}

/// A number of milliseconds since 1970, as JavaScript counts.
fn is_millis(nodes: &[Node<'_>], value: usize) -> bool {
    const MILLIS: std::ops::Range<f64> = 1e11..1e14;
    match nodes[value] {
        Node::Static(StaticNode::U64(n)) => MILLIS.contains(&(n as f64)),
        Node::Static(StaticNode::I64(n)) => MILLIS.contains(&(n as f64)),
        Node::Static(StaticNode::F64(n)) => MILLIS.contains(&n),
        _ => false,
    }
}

/// The value at the end of the path. Of members of one name the last counts.
pub(super) fn at_path(nodes: &[Node<'_>], object: usize, path: &[&str], fits: Fits) -> Option<usize> {
    let value = path.iter().try_fold(object, |object, name| {
        value::members(nodes, object)
            .filter(|(n, _)| n == name)
            .last()
            .map(|(_, value)| value)
    })?;
    fits(nodes, value).then_some(value)
}
