//! Walking simd-json's tape, and writing parts of it back as JSON.

use simd_json::{Node, StaticNode};
use std::collections::HashMap;

/// How deep `fields` may nest. Readers of JSON commonly stop at 128 levels, and each store wraps `fields` in something of its own.
pub(super) const FIELDS_DEPTH_MAX: usize = 64;

/// Where the value at `at` ends: the index of what follows it.
pub(super) fn end(nodes: &[Node<'_>], at: usize) -> usize {
    at + 1
        + match nodes[at] {
            Node::Object { count, .. } | Node::Array { count, .. } => count,
            _ => 0,
        }
}

/// The members of the object at `at` as (name, index of the value). Empty for anything else.
pub(super) fn members<'t, 'i>(
    nodes: &'t [Node<'i>],
    at: usize,
) -> impl Iterator<Item = (&'i str, usize)> + use<'t, 'i> {
    let mut left = match nodes[at] {
        Node::Object { len, .. } => len,
        _ => 0,
    };
    let mut next = at + 1;
    std::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        let Node::String(name) = *nodes.get(next)? else {
            return None;
        };
        let value = next + 1;
        next = end(nodes, value);
        Some((name, value))
    })
}

/// What a value is, for messages.
pub(super) fn kind(node: &Node<'_>) -> &'static str {
    match node {
        Node::String(_) => "a string",
        Node::Object { .. } => "an object",
        Node::Array { .. } => "an array",
        Node::Static(StaticNode::Null) => "null",
        Node::Static(StaticNode::Bool(_)) => "a boolean",
        Node::Static(_) => "a number",
    }
}

pub(super) fn is_null(node: &Node<'_>) -> bool {
    matches!(node, Node::Static(StaticNode::Null))
}

/// Why values do not go into `fields`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwritable {
    TooLong,
    TooDeep,
    /// A number of so many digits that it became infinite.
    NotFinite,
}

/// Writes JSON text up to a length, noting whether it replaced a U+0000.
#[derive(Debug)]
pub(super) struct Writer<'b> {
    pub(super) out: &'b mut Vec<u8>,
    pub(super) bytes_max: usize,
    pub(super) nul_replaced: bool,
}

impl Writer<'_> {
    /// An object of these members. Of members of one name the last is written.
    pub(super) fn object(&mut self, nodes: &[Node<'_>], members: &[(&str, usize)]) -> Result<(), Unwritable> {
        self.object_at(nodes, members, 1)
    }

    fn object_at(&mut self, nodes: &[Node<'_>], members: &[(&str, usize)], depth: usize) -> Result<(), Unwritable> {
        if depth > FIELDS_DEPTH_MAX {
            return Err(Unwritable::TooDeep);
        }
        self.out.push(b'{');
        let mut first = true;
        let last = Last::of(members);
        for (i, (name, value)) in members.iter().enumerate() {
            if !last.is(members, i) {
                continue;
            }
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.string(name)?;
            self.out.push(b':');
            self.value(nodes, *value, depth)?;
        }
        self.out.push(b'}');
        self.check()
    }

    fn value(&mut self, nodes: &[Node<'_>], at: usize, depth: usize) -> Result<(), Unwritable> {
        match nodes[at] {
            Node::String(s) => return self.string(s),
            Node::Object { len, .. } => {
                // Events of shippers are made of many small objects: no allocation for each.
                let mut few = [("", 0); FEW];
                if len <= FEW {
                    let mut n = 0;
                    for (place, member) in few.iter_mut().zip(members(nodes, at)) {
                        *place = member;
                        n += 1;
                    }
                    return self.object_at(nodes, &few[..n], depth + 1);
                }
                let mut list = Vec::with_capacity(len);
                list.extend(members(nodes, at));
                return self.object_at(nodes, &list, depth + 1);
            }
            Node::Array { len, .. } => {
                if depth >= FIELDS_DEPTH_MAX {
                    return Err(Unwritable::TooDeep);
                }
                self.out.push(b'[');
                let mut item = at + 1;
                for i in 0..len {
                    if i > 0 {
                        self.out.push(b',');
                    }
                    self.value(nodes, item, depth + 1)?;
                    item = end(nodes, item);
                }
                self.out.push(b']');
            }
            Node::Static(StaticNode::Null) => self.out.extend_from_slice(b"null"),
            Node::Static(StaticNode::Bool(b)) => self.out.extend_from_slice(if b { b"true" } else { b"false" }),
            Node::Static(StaticNode::I64(n)) => self.number(&n),
            Node::Static(StaticNode::U64(n)) => self.number(&n),
            Node::Static(StaticNode::F64(n)) if n.is_finite() => self.number(&n),
            Node::Static(StaticNode::F64(_)) => return Err(Unwritable::NotFinite),
        }
        self.check()
    }

    fn number(&mut self, n: &impl serde::Serialize) {
        serde_json::to_writer(&mut *self.out, n).expect("a number goes into a vector");
    }

    fn string(&mut self, s: &str) -> Result<(), Unwritable> {
        if s.len() > self.bytes_max {
            return Err(Unwritable::TooLong);
        }
        let replaced;
        let mut s = s;
        if s.as_bytes().contains(&0) {
            self.nul_replaced = true;
            replaced = s.replace('\0', "\u{fffd}");
            s = &replaced;
        }
        serde_json::to_writer(&mut *self.out, s).expect("a string goes into a vector");
        self.check()
    }

    fn check(&self) -> Result<(), Unwritable> {
        if self.out.len() > self.bytes_max {
            Err(Unwritable::TooLong)
        } else {
            Ok(())
        }
    }
}

/// Which member of a name is the last one.
enum Last<'a> {
    /// Few members are compared with each other.
    Few,
    Many(HashMap<&'a str, usize>),
}

const FEW: usize = 16;

impl<'a> Last<'a> {
    fn of(members: &[(&'a str, usize)]) -> Self {
        if members.len() <= FEW {
            Last::Few
        } else {
            Last::Many(members.iter().enumerate().map(|(i, (name, _))| (*name, i)).collect())
        }
    }
    fn is(&self, members: &[(&str, usize)], i: usize) -> bool {
        match self {
            Last::Few => !members[i + 1..].iter().any(|(name, _)| *name == members[i].0),
            Last::Many(last) => last[members[i].0] == i,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(json: &str, bytes_max: usize) -> Result<(String, bool), Unwritable> {
        let mut bytes = json.as_bytes().to_vec();
        let tape = simd_json::to_tape(&mut bytes).unwrap();
        let list: Vec<_> = members(&tape.0, 0).collect();
        let mut out = Vec::new();
        let mut w = Writer {
            out: &mut out,
            bytes_max,
            nul_replaced: false,
        };
        w.object(&tape.0, &list)?;
        let nul = w.nul_replaced;
        Ok((String::from_utf8(out).unwrap(), nul))
    }

    #[test]
    fn values_are_written_as_they_were_read() {
        for (json, want) in [
            ("{}", "{}"),
            (
                r#"{"a":1,"b":-2,"c":1.5,"d":1e300,"e":0.1}"#,
                r#"{"a":1,"b":-2,"c":1.5,"d":1e+300,"e":0.1}"#,
            ),
            (
                r#"{"n":18446744073709551615,"m":1.0}"#,
                r#"{"n":18446744073709551615,"m":1.0}"#,
            ),
            (
                r#"{"a":[1,[2,{"x":null}],"y"],"b":{"c":{}},"d":[]}"#,
                r#"{"a":[1,[2,{"x":null}],"y"],"b":{"c":{}},"d":[]}"#,
            ),
            (
                r#"{"q\"uote":"tab\t\u00e9 \u2028"}"#,
                "{\"q\\\"uote\":\"tab\\t\u{e9} \u{2028}\"}",
            ),
            (r#"{"a":1,"a":{"b":2,"b":3},"a":true}"#, r#"{"a":true}"#),
            (r#"{"x":{"b":2,"c":1,"b":3}}"#, r#"{"x":{"c":1,"b":3}}"#),
        ] {
            assert_eq!(rewrite(json, 1_000), Ok((want.to_string(), false)), "{json}");
        }
    }

    #[test]
    fn of_many_members_of_one_name_the_last_is_kept() {
        let json = format!(
            "{{{}}}",
            (0..100)
                .map(|i| format!("\"k{}\":{i}", i % 3))
                .collect::<Vec<_>>()
                .join(",")
        );
        assert_eq!(rewrite(&json, 1_000).unwrap().0, r#"{"k1":97,"k2":98,"k0":99}"#);
    }

    #[test]
    fn a_nul_is_replaced_and_noted() {
        assert_eq!(
            rewrite(r#"{"a\u0000":"\u0000"}"#, 100),
            Ok(("{\"a\u{fffd}\":\"\u{fffd}\"}".into(), true))
        );
    }

    #[test]
    fn length_and_depth_have_limits() {
        let nested = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        let arrays = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        for (json, max, want) in [
            (nested(FIELDS_DEPTH_MAX), 10_000, None),
            (nested(FIELDS_DEPTH_MAX + 1), 10_000, Some(Unwritable::TooDeep)),
            (arrays(FIELDS_DEPTH_MAX - 1), 10_000, None),
            (arrays(FIELDS_DEPTH_MAX), 10_000, Some(Unwritable::TooDeep)),
            (r#"{"a":"1234"}"#.into(), 12, None),
            (r#"{"a":"12345"}"#.into(), 12, Some(Unwritable::TooLong)),
        ] {
            assert_eq!(rewrite(&json, max).err(), want, "{json}");
        }
    }
}
