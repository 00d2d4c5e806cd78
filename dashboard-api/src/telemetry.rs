//! Names of what the dashboard service counts; `docs/TELEMETRY.md` lists them with their meaning.

/// Gauge: open Socket.IO sockets.
const SOCKETS: &str = "andon_dashboard_sockets";
/// Counter: records and readings that a live frame left out, over all sockets.
const LIVE_DROPPED: &str = "andon_dashboard_live_dropped_total";
/// Counter: reads of the journal that failed on their way to the live feed.
const LIVE_READ_FAILURES: &str = "andon_dashboard_live_read_failures_total";
/// Counter: frames that waited because a socket's reader was slow.
const FRAMES_DELAYED: &str = "andon_dashboard_frames_delayed_total";
/// Counter, label `action`: what operators did to incidents.
const OPERATIONS: &str = "andon_dashboard_operations_total";

pub(crate) fn sockets(open: usize) {
    metrics::gauge!(SOCKETS).set(open as f64);
}

pub(crate) fn live_dropped(records: u64) {
    if records > 0 {
        metrics::counter!(LIVE_DROPPED).increment(records);
    }
}

pub(crate) fn live_read_failed() {
    metrics::counter!(LIVE_READ_FAILURES).increment(1);
}

pub(crate) fn frame_delayed() {
    metrics::counter!(FRAMES_DELAYED).increment(1);
}

pub(crate) fn operated(action: &'static str) {
    metrics::counter!(OPERATIONS, "action" => action).increment(1);
}
