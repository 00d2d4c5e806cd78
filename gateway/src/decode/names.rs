//! Which member of a record fills which field.
//!
//! Of several members that could fill a field the best of [`super::aliases::NAMES`] does, and the others stay in `fields`.
//!
//! An alias of a type that cannot fill the field (a `log` that is a number, an empty `host.name`) is an ordinary member, and so is a guess
//! that would break a limit (a path longer than a source may be). A time or a level that cannot be read, such as the `timestamp` of a web
//! server's log beside Logstash's `@timestamp`, gives way to a later one of its list that can. When there is none, the time is at fault, and
//! the level is WARN. An object from which a name was taken stays in `fields` too, unless that name was all it held. `null` under one of our
//! names, or an alias that is `null`, is as if it were not there.

use andon_engine::level::Level;
use simd_json::Node;
use std::cmp::Ordering;

use super::aliases::{self, Alias, DEFERRED, FIELDS, Field, Inside, Marks, OBJECTS_MAX, TABLE};
use super::{read, value};

/// Added to the rank of a member that cannot be read: any other is better.
const UNREADABLE: u8 = 64;

/// Names that only a mark makes ours are worse than any other, and of equal rank among each other.
const DEFERRED_RANK: u8 = 63;

/// The field that a member fills under our own name for it.
#[inline]
pub(super) fn own_field(name: &str, node: &Node<'_>) -> Option<Field> {
    match name {
        "timestamp" => Some(Field::Timestamp),
        "level" => Some(Field::Level),
        "message" => Some(Field::Message),
        "device_id" => Some(Field::DeviceId),
        "application" => Some(Field::Application),
        // The Elastic Common Schema keeps where traffic came from under this name.
        "source" if !matches!(node, Node::Object { .. }) => Some(Field::Source),
        _ => None,
    }
}

/// A member that may fill a field: the lower its rank, the better; the index of its value.
#[derive(Clone, Copy)]
struct Found {
    rank: u8,
    value: usize,
    /// It lies in an object, which stays in `fields` whole.
    inside: bool,
}

/// What the members of one record may fill.
#[derive(Default)]
pub(super) struct Members {
    slots: [Option<Found>; FIELDS],
    /// Index of the value, or 0, of each object of the table.
    objects: [u32; OBJECTS_MAX],
    any_object: bool,
    deferred: [Option<usize>; DEFERRED.len()],
    any_deferred: bool,
    marks: Marks,
}

impl Members {
    /// The index of the value that fills the field.
    pub(super) fn get(&self, field: Field) -> Option<usize> {
        self.slots[field as usize].map(|found| found.value)
    }

    /// The level's value and what it means, in the scale of the logger that wrote the record; `None` for a level that is not known.
    pub(super) fn level(&self, nodes: &[Node<'_>], rest: &mut Vec<usize>) -> Option<(usize, Option<Level>)> {
        let found = self.slots[Field::Level as usize]?;
        let scale = match read::name(nodes, found.value) {
            "level" if self.marks.is_pino() => read::integer(nodes, found.value).and_then(Level::from_pino),
            "Level" if self.marks.has(Marks::WINDOWS) => {
                read::integer(nodes, found.value).and_then(Level::from_windows)
            }
            _ => None,
        };
        let level = scale.or_else(|| read::level_of(nodes, found.value));
        if level.is_none() && !found.inside {
            rest.push(found.value);
        }
        Some((found.value, level))
    }

    /// A member under our own name.
    pub(super) fn own(&mut self, nodes: &[Node<'_>], field: Field, value: usize, rest: &mut Vec<usize>) {
        let empty = match nodes[value] {
            // No level, said with a text.
            Node::String(s) => matches!(field, Field::Level) && s.trim().is_empty(),
            ref node => value::is_null(node),
        };
        if !empty {
            self.offer(nodes, field, 0, value, rest);
        }
    }

    /// A member under a name that is not ours.
    pub(super) fn alias(&mut self, nodes: &[Node<'_>], name: &str, value: usize, rest: &mut Vec<usize>) {
        let node = &nodes[value];
        let Some(alias) = TABLE.find(name) else {
            return self.other(node, name, value, rest);
        };
        let Alias {
            fills, mark, deferred, ..
        } = alias;
        if let Some((mark, fits)) = mark
            && fits(nodes, value)
        {
            self.marks.insert(*mark);
        }
        match (fills, deferred) {
            (Some(_), _) if value::is_null(node) => {}
            (Some((field, rank, fits)), _) if fits(nodes, value) => self.offer(nodes, *field, *rank, value, rest),
            (_, Some(i)) => {
                // Of two members of one name the last counts.
                self.any_deferred = true;
                rest.extend(self.deferred[*i].replace(value));
            }
            _ => self.other(node, name, value, rest),
        }
    }

    /// An object to look into later, or an ordinary member.
    fn other(&mut self, node: &Node<'_>, name: &str, value: usize, rest: &mut Vec<usize>) {
        let object = match node {
            Node::Object { .. } => TABLE.objects.iter().position(|(object, _)| *object == name),
            _ => None,
        };
        match object {
            Some(i) => {
                self.objects[i] = value as u32;
                self.any_object = true;
            }
            None => rest.push(value),
        }
    }

    /// Looks at what waits until all members are known: names that depend on others, and objects.
    pub(super) fn settle(&mut self, nodes: &[Node<'_>], fields: Option<usize>, rest: &mut Vec<usize>) {
        if self.any_deferred {
            self.settle_deferred(nodes, rest);
        }
        if self.any_object {
            for (i, (_, insides)) in TABLE.objects.iter().enumerate() {
                if let Some(object) = Some(self.objects[i] as usize).filter(|o| *o > 0)
                    && !self.look_inside(nodes, object, insides, rest)
                {
                    rest.push(object);
                }
            }
        }
        // Our own `fields` is an object that some loggers put their message into; it goes on to be `fields`.
        if let Some(fields) = fields
            && self.get(Field::Message).is_none()
            && let Some((_, insides)) = TABLE.objects.iter().find(|(name, _)| *name == "fields")
        {
            self.look_inside(nodes, fields, insides, rest);
        }
    }

    fn settle_deferred(&mut self, nodes: &[Node<'_>], rest: &mut Vec<usize>) {
        for i in 0..DEFERRED.len() {
            if let Some(value) = self.deferred[i] {
                match self.field_of(nodes, i, value) {
                    Some(field) => self.offer(nodes, field, DEFERRED_RANK, value, rest),
                    None => rest.push(value),
                }
            }
        }
    }

    /// Which field a name fills that means something beside another one only.
    fn field_of(&self, nodes: &[Node<'_>], deferred: usize, value: usize) -> Option<Field> {
        let field = match DEFERRED[deferred] {
            "name" if self.marks.has(Marks::LEVELNAME) => Field::Source,
            "name" if self.marks.is_pino() => Field::Application,
            "channel" if self.marks.has(Marks::LEVEL_NAME) => Field::Source,
            "Category" if self.marks.has(Marks::LOG_LEVEL) => Field::Source,
            _ => return None,
        };
        let fits = match field {
            Field::Application => aliases::is_other_application(nodes, value),
            _ => aliases::is_key(nodes, value),
        };
        fits.then_some(field)
    }

    /// Looks into an object for what fields still want. True when what was taken was all that it held.
    fn look_inside(&mut self, nodes: &[Node<'_>], object: usize, insides: &[Inside], rest: &mut Vec<usize>) -> bool {
        let mut emptied = false;
        for Inside {
            path,
            field,
            rank,
            fits,
        } in insides
        {
            let taken = self.slots[*field as usize];
            if taken.is_some_and(|found| found.rank_read(nodes, *field) < *rank) {
                continue;
            }
            let Some(value) = aliases::at_path(nodes, object, path, *fits) else {
                continue;
            };
            let found = Found {
                rank: *rank,
                value,
                inside: true,
            };
            self.put(nodes, *field, found, rest);
            // A level that means nothing is kept where it was.
            let lost = matches!(field, Field::Level) && read::level_of(nodes, value).is_none();
            emptied = !lost && path.len() == 1 && matches!(nodes[object], Node::Object { len: 1, .. });
        }
        emptied
    }

    fn offer(&mut self, nodes: &[Node<'_>], field: Field, rank: u8, value: usize, rest: &mut Vec<usize>) {
        let found = Found {
            rank,
            value,
            inside: false,
        };
        self.put(nodes, field, found, rest);
    }

    /// Fills the field, or sends the worse of the two members to the rest. One of the same rank, hence the same name, replaces the former.
    fn put(&mut self, nodes: &[Node<'_>], field: Field, new: Found, rest: &mut Vec<usize>) {
        let slot = &mut self.slots[field as usize];
        let Some(old) = *slot else {
            *slot = Some(new);
            return;
        };
        let worse = match old.rank_read(nodes, field).cmp(&new.rank_read(nodes, field)) {
            Ordering::Less => Some(new),
            Ordering::Greater => slot.replace(new),
            // Two names that only a mark makes ours are two members.
            Ordering::Equal if new.rank == DEFERRED_RANK => Some(new),
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
        let unreadable = match field {
            Field::Timestamp => read::time_of(nodes, self.value).is_err(),
            Field::Level => read::level_of(nodes, self.value).is_none(),
            _ => false,
        };
        if unreadable { self.rank + UNREADABLE } else { self.rank }
    }
}
