//! andon-gateway
