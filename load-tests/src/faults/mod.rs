//! Every fault of every store, one after another, under load.

pub mod overload;
pub mod proxy;
