//! andon-benches
