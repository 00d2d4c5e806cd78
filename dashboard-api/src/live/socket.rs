//! Socket.IO: subscriptions of a socket, and the task that feeds it.

use super::event::{EVENT, Refused, RefusedCode, SUBSCRIBE, Subscribe, Subscribed, UNSUBSCRIBE, Unsubscribe};
use super::feed::LiveFeed;
use super::pump::Subscription;
use crate::telemetry;
use andon_engine::rule::Configuration;
use serde_json::json;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::layer::SocketIoLayer;
use socketioxide::{SendError, SocketError, SocketIo};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Subscriptions of one socket.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 16;
/// Sockets of one process. A page holds one.
pub(crate) const SOCKETS_MAX: usize = 1_024;
/// Ten frames a second.
const FRAME_EVERY: Duration = Duration::from_millis(100);
/// Packets waiting for a slow reader. Past it nothing is built for that socket until it has read.
const PACKETS_WAITING_MAX: usize = 16;
/// A request is a filter.
const REQUEST_BYTES_MAX: usize = 32 << 10;

/// What all sockets share.
#[derive(Clone, Debug)]
pub(crate) struct Sockets {
    pub(crate) feed: LiveFeed,
    pub(crate) configuration: watch::Receiver<Arc<Configuration>>,
    pub(crate) open: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Listener {
    subscriptions: Mutex<Vec<Subscription>>,
    wake: Notify,
}

impl Listener {
    fn subscriptions(&self) -> MutexGuard<'_, Vec<Subscription>> {
        // A subscription is replaced whole or not at all, so a panic leaves nothing half done.
        self.subscriptions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The layer that answers `/socket.io`.
pub(crate) fn layer(sockets: Sockets) -> (SocketIoLayer, SocketIo) {
    let (layer, io) = SocketIo::builder()
        .max_buffer_size(PACKETS_WAITING_MAX)
        .max_payload(REQUEST_BYTES_MAX as u64)
        .ws_max_message_size(REQUEST_BYTES_MAX)
        .ws_max_frame_size(REQUEST_BYTES_MAX)
        .build_layer();
    io.ns("/", async move |socket: SocketRef| connected(&socket, sockets));
    (layer, io)
}

fn connected(socket: &SocketRef, sockets: Sockets) {
    let before = sockets.open.fetch_add(1, Ordering::Relaxed);
    if before >= SOCKETS_MAX {
        sockets.open.fetch_sub(1, Ordering::Relaxed);
        tracing::warn!(max = SOCKETS_MAX, "a socket was turned away: too many are open");
        // Already gone is as good.
        let _ = socket.clone().disconnect();
        return;
    }
    telemetry::sockets(before + 1);
    let listener = Arc::new(Listener::default());
    let (l, feed) = (listener.clone(), sockets.feed.clone());
    socket.on(
        SUBSCRIBE,
        async move |TryData(request): TryData<Subscribe>, ack: AckSender| {
            let request = request.map_err(|e| e.to_string());
            // Locked while answering, so that no event of it is sent before the answer.
            let mut subscriptions = l.subscriptions();
            let answer = subscribe(&mut subscriptions, request, &feed);
            // An answer that cannot be sent has no reader left.
            let _ = match answer {
                Ok(position) => ack.send(&Subscribed { ok: true, position }),
                Err((code, message)) => ack.send(&Refused {
                    ok: false,
                    code,
                    message,
                }),
            };
            drop(subscriptions);
            l.wake.notify_one();
        },
    );
    let l = listener.clone();
    socket.on(
        UNSUBSCRIBE,
        async move |TryData(request): TryData<Unsubscribe>, ack: AckSender| {
            let _ = match request {
                Ok(r) => {
                    l.subscriptions().retain(|s| s.name != r.subscription);
                    ack.send(&json!({ "ok": true }))
                }
                Err(e) => ack.send(&Refused {
                    ok: false,
                    code: RefusedCode::BadInput,
                    message: e.to_string(),
                }),
            };
        },
    );
    let l = listener.clone();
    socket.on_disconnect(async move || l.wake.notify_one());
    tokio::spawn(feed_socket(socket.clone(), listener, sockets));
}

fn subscribe(
    subscriptions: &mut Vec<Subscription>,
    request: Result<Subscribe, String>,
    feed: &LiveFeed,
) -> Result<super::event::Position, (RefusedCode, String)> {
    let bad = |message| (RefusedCode::BadInput, message);
    let request = request.map_err(bad)?;
    if subscriptions.iter().any(|s| s.name == request.subscription) {
        return Err(bad(format!(
            "there is a subscription {:?} already",
            request.subscription
        )));
    }
    if subscriptions.len() >= SUBSCRIPTIONS_MAX {
        return Err((
            RefusedCode::TooMany,
            format!("a socket has at most {SUBSCRIPTIONS_MAX} subscriptions"),
        ));
    }
    let new = Subscription::new(request, feed, Instant::now()).map_err(bad)?;
    let position = new.position(feed);
    if matches!(new.room, super::event::Room::Status) {
        feed.want_status();
    }
    subscriptions.push(new);
    Ok(position)
}

/// Sends what there is to say, waits for more, and never oftener than ten times a second.
async fn feed_socket(socket: SocketRef, listener: Arc<Listener>, sockets: Sockets) {
    let mut changes = sockets.feed.changes();
    let mut turn = 0;
    while socket.connected() {
        changes.mark_unchanged();
        let more = send_round(&socket, &listener, &sockets, &mut turn);
        tokio::time::sleep(FRAME_EVERY).await;
        if !more {
            tokio::select! {
                _ = changes.changed() => {}
                () = listener.wake.notified() => {}
            }
        }
    }
    telemetry::sockets(sockets.open.fetch_sub(1, Ordering::Relaxed) - 1);
}

/// One frame of each subscription to incidents or status, and one of the rationed ones, each in its turn. Says whether something is
/// left to send.
fn send_round(socket: &SocketRef, listener: &Listener, sockets: &Sockets, turn: &mut usize) -> bool {
    let configuration = sockets.configuration.borrow().clone();
    let now = Instant::now();
    let mut subscriptions = listener.subscriptions();
    let count = subscriptions.len();
    let start = *turn % count.max(1);
    let mut ration = 1;
    let mut more = false;
    for n in 0..count {
        let at = (start + n) % count;
        let s = &mut subscriptions[at];
        if s.is_rationed() && ration == 0 {
            // It may have something to say: look again when the next ration is there.
            more = true;
            continue;
        }
        let Some(frame) = s.frame(&sockets.feed, &configuration, now) else {
            continue;
        };
        match socket.emit(EVENT, &frame.event) {
            Ok(()) => {
                telemetry::live_dropped(frame.event.dropped());
                s.sent(&frame, now);
                more |= !s.is_rationed();
                if s.is_rationed() {
                    ration = 0;
                    *turn = at + 1;
                }
            }
            // The reader is slow: what it was not sent stays in the feed, and the place with it.
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                telemetry::frame_delayed();
                return true;
            }
            Err(error) => {
                if socket.connected() {
                    tracing::warn!(%error, "a live frame could not be sent");
                }
                return false;
            }
        }
    }
    more
}
