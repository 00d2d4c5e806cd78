//! GraphQL: the schema, its limits, and the endpoint.

pub mod error;
mod filter;
mod incident;
mod mutation;
mod query;

pub use filter::check as check_filter;
pub use mutation::{Mutation, OperationResult};
pub use query::Query;

use crate::live::LiveFeed;
use crate::system::System;
use crate::viewer::Viewer;
use andon_engine::rule::Configuration;
use andon_engine::time::Clock;
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
/// Entries of a page.
pub const PAGE_MAX: u32 = 1_000;
/// Records shown with one incident.
pub const INCIDENT_RECORDS_MAX: u32 = 100;
/// Directives of one field.
const DIRECTIVES_MAX: usize = 8;
/// Nesting of the text before it is a query: keeps the parser's stack small.
const RECURSION_MAX: usize = 32;

/// What resolvers work with.
pub struct Services {
    pub incidents: Arc<dyn IncidentStore>,
    pub rows: Arc<dyn RowStore>,
    pub logs: Arc<dyn LogIndex>,
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
        let introspects = request.parsed_query().is_ok_and(asks_only_for_the_schema);
        let schema = if introspects { &self.introspection } else { &self.root };
        error::with_codes(schema.execute(request.data(viewer)).await)
    }
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
