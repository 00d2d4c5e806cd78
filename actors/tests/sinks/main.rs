//! Writers on real journals, archives and stores. What a test has to provoke (a store that is down, emptied, fenced, or refuses a
//! record) is provoked between the writer and the real store.

mod effects;
mod feed;
mod postgres;
mod refused;
mod refused_effects;
mod rewind;
mod rows;
mod start;
mod stop;
mod world;
