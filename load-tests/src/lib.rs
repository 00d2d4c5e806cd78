//! andon-load
