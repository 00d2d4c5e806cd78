//! What the outside sees: one shape of each thing for GraphQL and for Socket.IO, so that a page can patch the one with the other.

pub mod incident;
pub mod plant;
pub mod record;
pub mod rule;
pub mod scalar;
pub mod status;
