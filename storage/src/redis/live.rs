//! The live feed between processes.
