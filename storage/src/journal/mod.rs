//! The journal: what is acknowledged lies here, on disk.
