//! Walks a body chunk by chunk and packs what it finds.

use andon_engine::batch::BatchBuilder;
use andon_engine::intake::Rejected;
use andon_engine::limits::{BATCH_RECORDS_MAX, RECORD_BYTES_MAX};
use andon_engine::record::Flags;
use simd_json::{Buffers, Node, StaticNode, Tape};
use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use super::record::{self, Fault, Refusal, Workspace};
use super::split::{self, Elements};
use super::{
    CHUNK_BYTES, CHUNK_RECORDS, DecodeError, DecodeOptions, Decoded, EXCERPTS_BYTES_MAX, Format, REJECTED_MAX, excerpt,
    latin1, nan, value,
};

/// How records are laid out in the body.
#[derive(Debug)]
enum Layout {
    /// One object in this range, or an array small enough to parse whole.
    Whole {
        range: Range<usize>,
        array: bool,
    },
    Elements(Elements),
    Lines {
        next: usize,
    },
    /// Objects one after another, over as many lines as they like.
    Stream {
        next: usize,
    },
    Done,
}

/// Decodes a body chunk by chunk.
#[derive(Debug)]
pub struct Decoder<'a> {
    body: &'a [u8],
    options: &'a DecodeOptions<'a>,
    layout: Layout,
    batch: BatchBuilder,
    out: Decoded,
    excerpts_bytes: usize,
    /// Refusals beyond [`REJECTED_MAX`], and the index of the first.
    untold: Option<(u32, u32)>,
    /// Line breaks counted up to a place, so that many faults of one body cost one count.
    counted: (usize, usize),
}

/// Memory of one thread, used again for each chunk.
struct Scratch {
    json: Vec<u8>,
    buffers: Buffers,
    tape: Option<Tape<'static>>,
    items: Vec<Range<usize>>,
    work: Workspace,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        json: Vec::new(), buffers: Buffers::default(), tape: None, items: Vec::new(), work: Workspace::default(),
    });
}

impl<'a> Decoder<'a> {
    /// Looks at the beginning of the body.
    pub fn new(body: &'a [u8], options: &'a DecodeOptions<'a>) -> Result<Self, DecodeError> {
        if is_utf16(body) {
            return Err(DecodeError::Malformed {
                offset: 0,
                line: 1,
                reason: "this is UTF-16: send UTF-8".into(),
            });
        }
        let whole = split::trimmed(body, 0..body.len());
        let layout = match body.get(whole.start) {
            _ if whole.is_empty() => return Err(DecodeError::Empty),
            Some(b'[') if whole.len() <= CHUNK_BYTES => Layout::Whole {
                range: whole,
                array: true,
            },
            Some(b'[') => Layout::Elements(Elements::new(whole.start)),
            Some(b'{') if options.format == Format::Json => match split::object_end(body, whole.start) {
                Ok(end) if end < whole.end && split::is_line(body, whole.start..end) => {
                    Layout::Lines { next: whole.start }
                }
                Ok(end) if end < whole.end => Layout::Stream { next: whole.start },
                Ok(_) => Layout::Whole {
                    range: whole,
                    array: false,
                },
                Err(broken) => return Err(malformed(body, &whole, broken)),
            },
            _ if options.format == Format::Ndjson => Layout::Lines { next: whole.start },
            _ => {
                return Err(DecodeError::Malformed {
                    offset: whole.start,
                    line: line_of(body, whole.start),
                    reason: "expected `{` or `[`".into(),
                });
            }
        };
        let lines = matches!(layout, Layout::Lines { .. } | Layout::Stream { .. });
        let out = Decoded {
            lines,
            ..Decoded::default()
        };
        Ok(Self {
            body,
            options,
            layout,
            batch: BatchBuilder::new(),
            out,
            excerpts_bytes: 0,
            untold: None,
            counted: (0, 0),
        })
    }

    /// Decodes the next chunk; false when there is none. Takes about a millisecond at most.
    pub fn step(&mut self) -> Result<bool, DecodeError> {
        SCRATCH.with_borrow_mut(|scratch| self.step_with(scratch))
    }

    /// The result, once [`Decoder::step`] has returned false.
    pub fn finish(mut self) -> Decoded {
        self.out.records = self.batch.len() as u32;
        self.out.batch = self.batch.finish();
        if let Some((index, n)) = self.untold {
            let reason = format!("{n} records from here on were refused as well; their reasons are not kept");
            self.out.rejected.push(Rejected {
                index,
                reason,
                ..Rejected::default()
            });
        }
        self.out
    }

    fn step_with(&mut self, scratch: &mut Scratch) -> Result<bool, DecodeError> {
        scratch.items.clear();
        let mut alone = false;
        match &mut self.layout {
            Layout::Done => return Ok(false),
            Layout::Whole { range, array } => {
                let (range, array) = (range.clone(), *array);
                self.layout = Layout::Done;
                if array {
                    if self.whole_array(range.clone(), scratch)? {
                        return Ok(true);
                    }
                    self.layout = Layout::Elements(Elements::new(range.start));
                    return Ok(true);
                }
                scratch.items.push(range);
                alone = true;
            }
            Layout::Elements(walk) => {
                let mut bytes = 0;
                while bytes < CHUNK_BYTES && scratch.items.len() < CHUNK_RECORDS {
                    let next = walk.next(self.body).map_err(|b| broken_frame(self.body, &b))?;
                    let Some(item) = next else {
                        self.layout = Layout::Done;
                        break;
                    };
                    bytes += item.len();
                    scratch.items.push(item);
                }
            }
            Layout::Lines { next } => {
                let mut bytes = 0;
                while bytes < CHUNK_BYTES && scratch.items.len() < CHUNK_RECORDS {
                    let Some((line, after)) = split::next_line(self.body, *next) else {
                        self.layout = Layout::Done;
                        break;
                    };
                    *next = after;
                    bytes += line.len();
                    scratch.items.push(line);
                }
            }
            Layout::Stream { next } => {
                let mut bytes = 0;
                while bytes < CHUNK_BYTES && scratch.items.len() < CHUNK_RECORDS {
                    let Some(item) = split::next_object(self.body, *next) else {
                        self.layout = Layout::Done;
                        break;
                    };
                    *next = item.end;
                    bytes += item.len();
                    scratch.items.push(item);
                }
            }
        }
        if self.out.found as usize + scratch.items.len() > BATCH_RECORDS_MAX {
            return Err(DecodeError::TooMany);
        }
        if alone || !self.items_joined(scratch)? {
            for i in 0..scratch.items.len() {
                let item = scratch.items[i].clone();
                self.item_alone(item, alone, scratch)?;
            }
        }
        Ok(true)
    }

    /// A small array in one run of the parser. False when it does not parse.
    fn whole_array(&mut self, range: Range<usize>, scratch: &mut Scratch) -> Result<bool, DecodeError> {
        let Scratch {
            json,
            buffers,
            tape,
            items,
            work,
        } = scratch;
        json.clear();
        json.extend_from_slice(&self.body[range.clone()]);
        with_tape(json, buffers, tape, |nodes| {
            let Node::Array { len, .. } = nodes[0] else {
                return Ok(());
            };
            if len > BATCH_RECORDS_MAX {
                return Err(DecodeError::TooMany);
            }
            let mut at = 1;
            for i in 0..len {
                if let Some(fault) = self.take(nodes, at, Flags::default(), work)? {
                    // Only now is it worth finding where each element lies.
                    if items.is_empty() {
                        let mut walk = Elements::new(range.start);
                        while let Ok(Some(item)) = walk.next(self.body) {
                            items.push(item);
                        }
                    }
                    let item = items.get(i).cloned().unwrap_or(range.clone());
                    self.reject(fault, &item);
                }
                at = value::end(nodes, at);
            }
            Ok(())
        })
        .map_or(Ok(false), |done| done.map(|()| true))
    }

    /// Many records as one array, a `0` between each two: a record that is not one by itself (`{"a":[1` and `2]}` on two lines) would
    /// swallow a `0`, and is found out. False when the array does not parse or its parts are not the records.
    fn items_joined(&mut self, scratch: &mut Scratch) -> Result<bool, DecodeError> {
        let Scratch {
            json,
            buffers,
            tape,
            items,
            work,
        } = scratch;
        if items.len() < 2 || items.iter().any(|i| i.len() > RECORD_BYTES_MAX) {
            return Ok(false);
        }
        json.clear();
        json.push(b'[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                // The line break keeps a string from running on into the next record: none may hold one.
                json.extend_from_slice(b"\n,0,");
            }
            json.extend_from_slice(&self.body[item.clone()]);
        }
        json.extend_from_slice(b"\n]");
        with_tape(json, buffers, tape, |nodes| {
            if !is_separated(nodes, items.len()) {
                return Ok(false);
            }
            let mut at = 1;
            for item in items.iter() {
                if let Some(fault) = self.take(nodes, at, Flags::default(), work)? {
                    self.reject(fault, item);
                }
                at = value::end(nodes, at) + 1;
            }
            Ok(true)
        })
        .unwrap_or(Ok(false))
    }

    /// A record by itself; `whole` when it is all of the body.
    fn item_alone(&mut self, item: Range<usize>, whole: bool, scratch: &mut Scratch) -> Result<(), DecodeError> {
        if item.len() > RECORD_BYTES_MAX {
            let reason = format!(
                "the record has {} bytes, more than the {RECORD_BYTES_MAX} allowed",
                item.len()
            );
            self.reject(
                Fault {
                    field: String::new(),
                    reason,
                },
                &item,
            );
            return Ok(());
        }
        let Scratch {
            json,
            buffers,
            tape,
            work,
            ..
        } = scratch;
        let bytes = &self.body[item.clone()];
        let (text, flags) = match latin1(bytes) {
            Cow::Borrowed(_) => (Cow::Borrowed(bytes), Flags::default()),
            Cow::Owned(text) => (Cow::Owned(text.into_bytes()), Flags::LATIN1),
        };
        json.clear();
        json.extend_from_slice(&text);
        let parsed = with_tape(json, buffers, tape, |nodes| self.take(nodes, 0, flags, work));
        let fault = match parsed {
            Some(Ok(None)) => return Ok(()),
            Some(Ok(Some(fault))) => {
                self.reject(fault, &item);
                return Ok(());
            }
            Some(Err(e)) => return Err(e),
            None if self.out.lines && self.out.rejected.len() >= REJECTED_MAX => {
                Fault { field: String::new(), reason: String::new() }
            }
            // JSON has no zero byte; every second one of UTF-16 is one.
            None if memchr::memchr(0, bytes).is_some() && self.out.lines => Fault {
                field: String::new(),
                reason: format!("line {} is not JSON: it holds zero bytes, as UTF-16 does: send UTF-8", self.line(item.start)),
            },
            None if !whole && let Some(found) = nan::find(&text) => Fault {
                field: found.path,
                reason: format!("is {}, which JSON does not have: send null, or leave it out", found.token),
            },
            None => match syntax_fault(&text) {
                // A line may be broken; an array or object as a whole may not.
                Some((at, reason)) if self.out.lines => Fault {
                    field: String::new(),
                    reason: format!("line {} is not JSON: byte {at} of the record: {reason}", self.line(item.start)),
                },
                Some((at, reason)) => {
                    let offset = item.start + at.min(bytes.len());
                    return Err(DecodeError::Malformed { offset, line: self.line(offset), reason });
                }
                None => Fault {
                    field: String::new(),
                    reason: "holds a number beyond the range of 64-bit floats, a lone surrogate, or nests deeper than 1,024 levels".into(),
                },
            },
        };
        self.reject(fault, &item);
        Ok(())
    }

    /// Packs a record. `Some` says why it was refused.
    fn take(
        &mut self,
        nodes: &[Node<'_>],
        at: usize,
        mut flags: Flags,
        work: &mut Workspace,
    ) -> Result<Option<Fault>, DecodeError> {
        if self.options.history {
            flags.insert(Flags::HISTORY);
        }
        let place = self.batch.len() as u32;
        match record::pack(nodes, at, flags, self.options, work, &mut self.batch) {
            Ok(hash) => {
                let index = self.out.found;
                self.out.found += 1;
                self.out.ids.extend(hash.map(|h| (place, h)));
                for left in work.left_out.drain(..) {
                    self.out.left_out.add(index, left.fault);
                }
                if let Some(word) = work.unknown_level.take() {
                    self.out.unknown_levels.add(word);
                }
                Ok(None)
            }
            Err(Refusal::Fault(fault)) => Ok(Some(fault)),
            Err(Refusal::Forbidden { application, device_id }) => Err(DecodeError::Forbidden {
                index: self.out.found,
                application,
                device_id,
            }),
            Err(Refusal::Full) => Err(DecodeError::TooMany),
        }
    }

    /// The number of the line, from 1, that holds the byte at `at`. Places come in order.
    fn line(&mut self, at: usize) -> usize {
        let (counted, breaks) = self.counted;
        let more = memchr::memchr_iter(b'\n', self.body.get(counted..at).unwrap_or_default()).count();
        self.counted = (at.max(counted), breaks + more);
        self.counted.1 + 1
    }

    fn reject(&mut self, fault: Fault, item: &Range<usize>) {
        let index = self.out.found;
        self.out.found += 1;
        if self.out.rejected.len() >= REJECTED_MAX {
            self.untold.get_or_insert((index, 0)).1 += 1;
            return;
        }
        let excerpt = if self.excerpts_bytes < EXCERPTS_BYTES_MAX {
            excerpt(&self.body[item.clone()])
        } else {
            String::new()
        };
        self.excerpts_bytes += excerpt.len();
        self.out.rejected.push(Rejected {
            index,
            field: fault.field,
            reason: fault.reason,
            excerpt,
        });
    }
}

/// UTF-16 with a mark, or without one by the zero beside its first character, which JSON has in ASCII.
fn is_utf16(body: &[u8]) -> bool {
    matches!(
        body,
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [1..=0x7F, 0, ..] | [0, 1..=0x7F, ..]
    )
}

/// Shows the tape of a JSON text; `None` when it does not parse.
pub(super) fn look<R>(text: &[u8], read: impl FnOnce(&[Node<'_>]) -> R) -> Option<R> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.json.clear();
        scratch.json.extend_from_slice(text);
        with_tape(&mut scratch.json, &mut scratch.buffers, &mut scratch.tape, read)
    })
}

/// Parses `json` and shows the tape; `None` when it does not parse.
fn with_tape<R>(
    json: &mut Vec<u8>,
    buffers: &mut Buffers,
    tape: &mut Option<Tape<'static>>,
    read: impl FnOnce(&[Node<'_>]) -> R,
) -> Option<R> {
    let len = json.len();
    json.resize(len + simd_json::INPUT_PADDING, 0);
    let mut filled = tape.take().unwrap_or_else(Tape::null).reset();
    let parsed = simd_json::fill_tape_padded(json, len, buffers, &mut filled).is_ok() && !filled.0.is_empty();
    let out = parsed.then(|| read(&filled.0));
    *tape = Some(filled.reset());
    out
}

/// Whether the tape is an array of `n` values with a `0` between each two.
fn is_separated(nodes: &[Node<'_>], n: usize) -> bool {
    if !matches!(nodes[0], Node::Array { len, .. } if len == 2 * n - 1) {
        return false;
    }
    let mut at = 1;
    for i in 0..n {
        at = value::end(nodes, at);
        if i + 1 < n {
            if !matches!(nodes[at], Node::Static(StaticNode::I64(0) | StaticNode::U64(0))) {
                return false;
            }
            at += 1;
        }
    }
    true
}

/// Place and kind of the first fault of grammar, by a parser that tells. `None` when the grammar is right.
fn syntax_fault(bytes: &[u8]) -> Option<(usize, String)> {
    let e = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).err()?;
    let text = e.to_string();
    let reason = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(reason, _)| reason)
        .to_string();
    let start = match e.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', bytes).nth(line - 2).map_or(0, |n| n + 1),
    };
    // Column 0 is the line break before; at the end of the input the column is that of its last byte.
    let at = if e.is_eof() {
        bytes.len()
    } else {
        (start + e.column()).saturating_sub(1)
    };
    Some((at, reason))
}

fn line_of(body: &[u8], at: usize) -> usize {
    1 + memchr::memchr_iter(b'\n', &body[..at.min(body.len())]).count()
}

/// A single object that does not end: the fault that a parser finds first says more than where it opened.
fn malformed(body: &[u8], whole: &Range<usize>, broken: split::Broken) -> DecodeError {
    match syntax_fault(&body[whole.clone()]) {
        Some((at, reason)) => {
            let offset = whole.start + at;
            DecodeError::Malformed {
                offset,
                line: line_of(body, offset),
                reason,
            }
        }
        None => broken_frame(body, &broken),
    }
}

fn broken_frame(body: &[u8], broken: &split::Broken) -> DecodeError {
    DecodeError::Malformed {
        offset: broken.at,
        line: line_of(body, broken.at),
        reason: format!("expected {}", broken.expected),
    }
}
