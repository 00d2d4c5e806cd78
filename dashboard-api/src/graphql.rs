//! GraphQL: the schema, its limits, and the endpoint.

pub mod error;
mod filter;
mod incident;
mod mutation;
mod query;

pub use filter::{check as check_filter, check_area, devices_of};
pub use mutation::{Mutation, OperationResult};
pub use query::Query;

use crate::live::LiveFeed;
use crate::system::System;
use crate::viewer::Viewer;
use andon_engine::rule::Configuration;
use andon_engine::time::Clock;
use andon_storage::ports::deliveries::DeliveryStore;
use andon_storage::ports::fast_state::{FastState, RECENT_MAX, TRACE_POINTS_MAX};
use andon_storage::ports::incidents::IncidentStore;
use andon_storage::ports::log_index::LogIndex;
use andon_storage::ports::rows::RowStore;
use async_graphql::{EmptySubscription, Request, Response, Schema};
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// Nesting of a query. An incident with its rule's selector is 6 deep.
pub const DEPTH_MAX: usize = 12;
/// Nesting of an introspection query: graphql-js asks for types wrapped nine times.
pub const INTROSPECTION_DEPTH_MAX: usize = 24;
/// Fields that a query may come to, a page counted by its size: a full page of whole records, and room beside it.
pub const COMPLEXITY_MAX: usize = 50_000;
/// Searches, other reads at the first level and changes that one query may ask for, under whatever names: reads all run at once.
pub const READS_MAX: usize = 100;
/// What each of them costs at least.
pub(crate) const READ_COMPLEXITY: usize = COMPLEXITY_MAX / READS_MAX;
/// Entries of a page.
pub const PAGE_MAX: u32 = 1_000;
/// Bytes of records in a page: past it the page is shorter than asked, and says that another follows.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Records shown with one incident.
pub const INCIDENT_RECORDS_MAX: u32 = 100;
/// Directives of one field.
const DIRECTIVES_MAX: usize = 8;
/// Nesting of selections that the executor follows.
const RECURSION_MAX: usize = 32;
/// Brackets within brackets of the text of a query. The parser calls itself for each, and has to be kept from the end of its stack.
const NESTING_MAX: usize = 64;

/// What resolvers work with.
pub struct Services {
    pub incidents: Arc<dyn IncidentStore>,
    pub deliveries: Arc<dyn DeliveryStore>,
    pub rows: Arc<dyn RowStore>,
    pub logs: Arc<dyn LogIndex>,
    pub fast: Arc<dyn FastState>,
    pub live: LiveFeed,
    pub system: Arc<dyn System>,
    pub clock: Arc<dyn Clock>,
    pub configuration: watch::Receiver<Arc<Configuration>>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Services")
    }
}

impl Services {
    fn of<'a>(ctx: &async_graphql::Context<'a>) -> async_graphql::Result<&'a Arc<Services>> {
        ctx.data::<Arc<Services>>()
    }
    /// The version of the configuration that holds now.
    pub fn configuration(&self) -> Arc<Configuration> {
        self.configuration.borrow().clone()
    }
}

fn viewer<'a>(ctx: &async_graphql::Context<'a>) -> async_graphql::Result<&'a Viewer> {
    ctx.data::<Viewer>()
}

/// What a page costs; a size out of range is refused by its resolver and must not overflow here.
pub(crate) fn page_complexity(first: i32, child: usize) -> usize {
    usize::try_from(first.clamp(1, PAGE_MAX as i32))
        .unwrap_or(1)
        .saturating_mul(child.max(1))
        .max(READ_COMPLEXITY)
}

/// What it costs to read or change one thing in a store.
pub(crate) fn read_complexity(child: usize) -> usize {
    child.max(READ_COMPLEXITY)
}

/// What a page of records costs: a record is read whole whatever is asked of it, so few fields are not cheap.
pub(crate) fn records_complexity(first: i32, child: usize) -> usize {
    page_complexity(first, child.max(24))
}

/// What recent records cost: as many as there can be, whatever is asked.
pub(crate) fn recent_complexity(first: i32, child: usize) -> usize {
    records_complexity(first.min(RECENT_MAX as i32), child)
}

/// What a trace costs. A point is two numbers where an entry of a page is a row, so eight count as one; but a store reads all of the
/// stretch to thin it, so few points are not cheap.
pub(crate) fn trace_complexity(points: i32, child: usize) -> usize {
    let points = usize::try_from(points.clamp(1, TRACE_POINTS_MAX as i32)).unwrap_or(1);
    let thinned = (points / 8).max(200).saturating_mul(child.max(2));
    read_complexity(thinned)
}

type Root = Schema<Query, Mutation, EmptySubscription>;

/// The schema as text, for `schema.graphql`.
pub fn sdl() -> String {
    Schema::build(Query, Mutation, EmptySubscription)
        .finish()
        .sdl_with_options(
            async_graphql::SDLExportOptions::new()
                .sorted_fields()
                .sorted_enum_items(),
        )
}

/// Runs requests.
#[derive(Clone)]
pub struct Executor {
    root: Root,
    /// Answers introspection alone, which is deeper than any query needs to be and touches no store.
    introspection: Root,
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Executor")
    }
}

impl Executor {
    pub fn new(context: Arc<Services>) -> Self {
        let build = |depth| {
            Schema::build(Query, Mutation, EmptySubscription)
                .limit_depth(depth)
                .limit_complexity(COMPLEXITY_MAX)
                .limit_directives(DIRECTIVES_MAX)
                .limit_recursive_depth(RECURSION_MAX)
        };
        Self {
            root: build(DEPTH_MAX).data(context).finish(),
            introspection: build(INTROSPECTION_DEPTH_MAX).introspection_only().finish(),
        }
    }

    pub async fn execute(&self, mut request: Request, viewer: Viewer) -> Response {
        if nesting(&request.query) > NESTING_MAX {
            let error = async_graphql::ServerError::new("Query is nested too deep.", None);
            return error::with_codes(Response::from_errors(vec![error]));
        }
        let introspects = request.parsed_query().is_ok_and(asks_only_for_the_schema);
        let schema = if introspects { &self.introspection } else { &self.root };
        error::with_codes(schema.execute(request.data(viewer)).await)
    }
}

/// How deep brackets of any kind lie within one another, strings and comments left out.
fn nesting(query: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut rest = query.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        match b {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => rest = after_comment(rest),
            b'"' => rest = after_string(rest),
            _ => {}
        }
    }
    deepest
}

fn after_comment(rest: &[u8]) -> &[u8] {
    let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r'));
    end.map_or(&[], |e| &rest[e..])
}

/// What follows the string whose first quote has just been read.
fn after_string(rest: &[u8]) -> &[u8] {
    if let Some(mut block) = rest.strip_prefix(b"\"\"") {
        // A block string: it ends at three quotes that no backslash precedes.
        loop {
            if let Some(after) = block.strip_prefix(b"\"\"\"") {
                return after;
            }
            let step = if block.starts_with(b"\\\"\"\"") { 4 } else { 1 };
            match block.get(step..) {
                Some(b) if !b.is_empty() => block = b,
                _ => return &[],
            }
        }
    }
    let mut i = 0;
    while let Some(b) = rest.get(i) {
        match b {
            b'\\' => i += 2,
            // A line end ends a string that was not closed; the parser will say so.
            b'"' | b'\n' | b'\r' => return &rest[i + 1..],
            _ => i += 1,
        }
    }
    &[]
}

/// Is every selection of every operation `__schema` or `__type`?
fn asks_only_for_the_schema(document: &async_graphql::parser::types::ExecutableDocument) -> bool {
    use async_graphql::parser::types::Selection;
    document.operations.iter().all(|(_, op)| {
        op.node.selection_set.node.items.iter().all(|s| match &s.node {
            Selection::Field(f) => f.node.name.node.starts_with("__"),
            _ => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_but_not_those_in_strings_and_comments() {
        for (query, want) in [
            ("", 0),
            ("{ a { b(c: [1]) } d { e } }", 4),
            ("}}}{", 1),
            (r#"{ a(b: "{{{ \" {{{") }"#, 2),
            ("{ a # {{{{ \" \n { b } }", 2),
            ("{ a(b: \"\"\"{{ \"q\" \\\"\"\" {{\"\"\") { c } }", 2),
            ("{ a(b: \"\") { c } }", 2),
            ("\"unclosed {{{{ \n {", 1),
            ("\"\"\"unclosed {{{{ \n {", 0),
        ] {
            assert_eq!(nesting(query), want, "{query}");
        }
    }
}
