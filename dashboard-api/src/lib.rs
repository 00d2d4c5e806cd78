//! andon-dashboard-api
