//! andon-actors
