//! Export of a whole search, and the live tail: records as lines, without a cap, in constant memory.

mod csv;
mod formula;
mod ndjson;
mod query;
mod stream;
mod tail;

pub(crate) use stream::{export_csv, export_ndjson};
pub(crate) use tail::tail_ndjson;
