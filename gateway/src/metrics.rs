//! Names of the gateway's metrics. They are written here only; `docs/TELEMETRY.md` lists them.

/// Counter, label `format` (`json`, `ndjson`): records accepted and durable.
pub const RECORDS_ACCEPTED: &str = "andon_records_accepted_total";
/// Counter: records refused.
pub const RECORDS_REJECTED: &str = "andon_records_rejected_total";
/// Counter: records recognised as retries.
pub const RECORDS_DUPLICATE: &str = "andon_records_duplicate_total";
/// Counter, label `key`: accepted records whose level meant none of ours.
pub const RECORDS_LEVEL_UNKNOWN: &str = "andon_records_level_unknown_total";
/// Counter: readings of accepted records that were no numbers.
pub const READINGS_LEFT_OUT: &str = "andon_readings_left_out_total";
/// Counter, label `status`: answers.
pub const HTTP_REQUESTS: &str = "andon_http_requests_total";
/// Histogram, seconds: from the end of a request's head to its answer.
pub const HTTP_REQUEST_SECONDS: &str = "andon_http_request_seconds";
/// Gauge, bytes: bodies admitted and not yet answered.
pub const IN_FLIGHT_BYTES: &str = "andon_ingest_in_flight_bytes";
/// Gauge: open connections.
pub const CONNECTIONS: &str = "andon_ingest_connections";
/// Counter, label `reason` (`header`, `idle`, `full`, `peer`): connections that we closed.
pub const CONNECTIONS_CLOSED: &str = "andon_ingest_connections_closed_total";
/// Gauge, seconds: how far back retries are recognised now. Less than the retry window when there were too many.
pub const RETRY_WINDOW_SECONDS: &str = "andon_retry_window_seconds";
/// Counter: times that the rates shared with other gateways did not answer, so that this gateway's own counted for a second.
pub const RATE_FALLBACKS: &str = "andon_rate_limit_fallbacks_total";
