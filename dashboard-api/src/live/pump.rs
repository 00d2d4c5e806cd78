//! Turns news into frames for one subscription.

use super::event::{EventFilter, Position, ResetReason, Room, ServerEvent, Subscribe};
use super::feed::{Gap, LiveFeed, Place};
use super::matcher::Matcher;
use crate::view::incident::Incident as IncidentView;
use crate::view::record::{LiveReading, Record as RecordView};
use crate::view::scalar::{parse_hex, parse_time};
use andon_engine::incident::Incident;
use andon_engine::record::Record;
use andon_engine::rule::Configuration;
use andon_engine::subject::SubjectKind;
use andon_storage::ports::log_index::LogFilter;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Records of one frame: more than a person reads in a tenth of a second.
pub(crate) const FRAME_RECORDS_MAX: usize = 200;
/// Readings of one frame.
pub(crate) const FRAME_READINGS_MAX: usize = 1_000;
/// Incidents of one frame; the next frame goes on where it ended.
pub(crate) const FRAME_INCIDENTS_MAX: usize = 200;
/// Bytes of one frame.
const FRAME_BYTES_MAX: usize = 256 << 10;
/// Records looked at for one frame, newest first: bounds the time that one subscription takes of a core.
const EXAMINE_MAX: usize = 10_000;
/// A subscription that nothing matches is told its position this often, so that it can be resumed.
const POSITION_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) name: String,
    pub(crate) room: Room,
    matcher: Matcher,
    reading: Option<String>,
    area: Option<String>,
    subject_kind: Option<SubjectKind>,
    subject_id: Option<String>,
    place: Place,
    reset: Option<ResetReason>,
    told_at: Instant,
}

/// A frame, and what holds once it is sent.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) event: ServerEvent,
    place: Place,
}

impl Subscription {
    /// Checks a request and takes its place in the feed. The message says what is wrong.
    pub(crate) fn new(request: Subscribe, feed: &LiveFeed, now: Instant) -> Result<Self, String> {
        if request.subscription.is_empty() || request.subscription.chars().count() > 64 {
            return Err("subscription must have 1 to 64 characters".into());
        }
        let f = request.filter.unwrap_or_default();
        let filter = log_filter(&f)?;
        let records = matches!(request.room, Room::Record | Room::Reading);
        let (place, reset) = match request.since.as_ref().filter(|_| request.room != Room::Status) {
            None => (now_of(feed, records), None),
            Some(since) => {
                let resumed = if records {
                    feed.resume_records(since)
                } else {
                    feed.resume_incidents(since)
                };
                match resumed {
                    Ok(place) => (place, None),
                    Err(Gap::Restarted) => (now_of(feed, records), Some(ResetReason::Restarted)),
                    Err(Gap::TooOld) => (now_of(feed, records), Some(ResetReason::TooOld)),
                }
            }
        };
        Ok(Self {
            name: request.subscription,
            room: request.room,
            matcher: Matcher::new(filter, f.area.clone()),
            reading: f.reading,
            area: f.area,
            subject_kind: f.subject_kind.map(Into::into),
            subject_id: f.subject_id,
            place,
            reset,
            told_at: now,
        })
    }

    pub(crate) fn position(&self, feed: &LiveFeed) -> Position {
        feed.position(self.place)
    }

    /// May its frames come ten times a second at most, all of a socket's together?
    pub(crate) fn is_rationed(&self) -> bool {
        matches!(self.room, Room::Record | Room::Reading)
    }

    /// The next frame, if there is something to say. Nothing has happened until [`Subscription::sent`].
    pub(crate) fn frame(&mut self, feed: &LiveFeed, configuration: &Configuration, now: Instant) -> Option<Frame> {
        if let Some(reason) = self.reset {
            let event = ServerEvent::Reset {
                subscription: self.name.clone(),
                position: self.position(feed),
                reason,
            };
            return Some(Frame {
                event,
                place: self.place,
            });
        }
        self.matcher.follow(configuration);
        let quiet_for = now.duration_since(self.told_at);
        let tell_position = quiet_for >= POSITION_EVERY;
        match self.room {
            Room::Record => self.records(feed, tell_position),
            Room::Reading => self.readings(feed, tell_position),
            Room::Incident => self.incidents(feed, configuration, tell_position),
            Room::Status => feed.status_since(self.place).map(|(status, place)| Frame {
                event: ServerEvent::Status {
                    subscription: self.name.clone(),
                    position: feed.position(place),
                    status: Box::new((*status).clone()),
                },
                place,
            }),
        }
    }

    pub(crate) fn sent(&mut self, frame: &Frame, now: Instant) {
        self.place = frame.place;
        self.told_at = now;
        self.reset = None;
    }

    /// Runs over the news from the newest back, as far as one frame may; says how many records were not looked at.
    fn examine(&self, feed: &LiveFeed, mut each: impl FnMut(&Record<'_>)) -> Option<(u64, Place)> {
        let news = feed.records_since(self.place);
        if news.items.is_empty() && news.lost == 0 {
            return None;
        }
        let mut unseen = news.lost;
        let mut left = EXAMINE_MAX;
        for batch in news.items.iter().rev() {
            let look = batch.len().min(left);
            left -= look;
            unseen += (batch.len() - look) as u64;
            for i in (batch.len() - look..batch.len()).rev() {
                each(&batch.get(i));
            }
        }
        Some((unseen, news.place))
    }

    fn records(&mut self, feed: &LiveFeed, tell_position: bool) -> Option<Frame> {
        let (mut records, mut bytes, mut over) = (Vec::new(), 0, 0u64);
        let (unseen, place) = self.examine(feed, |r| {
            if !self.matcher.matches(r) {
                return;
            }
            if records.len() < FRAME_RECORDS_MAX && bytes < FRAME_BYTES_MAX {
                let view = RecordView::live(r);
                bytes += view.weight();
                records.push(view);
            } else {
                over += 1;
            }
        })?;
        let dropped = over + unseen;
        if records.is_empty() && dropped == 0 && !tell_position {
            self.place = place;
            return None;
        }
        records.reverse();
        let (subscription, position) = (self.name.clone(), feed.position(place));
        Some(Frame {
            event: ServerEvent::Records {
                subscription,
                position,
                records,
                dropped,
            },
            place,
        })
    }

    fn readings(&mut self, feed: &LiveFeed, tell_position: bool) -> Option<Frame> {
        let (mut readings, mut over) = (Vec::new(), 0u64);
        let (unseen, place) = self.examine(feed, |r| {
            if r.readings.is_empty() || !self.matcher.matches(r) {
                return;
            }
            for (name, value) in r.readings.iter().rev() {
                if self.reading.as_deref().is_some_and(|want| want != *name) {
                    continue;
                }
                if readings.len() < FRAME_READINGS_MAX {
                    readings.push(LiveReading {
                        device_id: r.device_id.map(str::to_owned),
                        application: r.application.map(str::to_owned),
                        name: (*name).to_owned(),
                        value: *value,
                        timestamp: r.timestamp.into(),
                    });
                } else {
                    over += 1;
                }
            }
        })?;
        let dropped = over + unseen;
        if readings.is_empty() && dropped == 0 && !tell_position {
            self.place = place;
            return None;
        }
        readings.reverse();
        let (subscription, position) = (self.name.clone(), feed.position(place));
        Some(Frame {
            event: ServerEvent::Readings {
                subscription,
                position,
                readings,
                dropped,
            },
            place,
        })
    }

    fn incidents(&mut self, feed: &LiveFeed, configuration: &Configuration, tell_position: bool) -> Option<Frame> {
        let news = feed.incidents_since(self.place, FRAME_INCIDENTS_MAX);
        if news.lost > 0 {
            let place = feed.incidents_from_now();
            let event = ServerEvent::Reset {
                subscription: self.name.clone(),
                position: feed.position(place),
                reason: ResetReason::TooOld,
            };
            return Some(Frame { event, place });
        }
        // Of several changes of one incident only the newest is worth a line.
        let mut newest: HashMap<_, usize> = HashMap::new();
        for (n, incident) in news.items.iter().enumerate() {
            let kept = newest.entry(incident.id).or_insert(n);
            let version = |i: &Incident| (i.position, i.revision);
            if version(incident) >= version(&news.items[*kept]) {
                *kept = n;
            }
        }
        let mut chosen: Vec<usize> = newest.into_values().filter(|n| self.takes(&news.items[*n])).collect();
        chosen.sort_unstable();
        if chosen.is_empty() && !(tell_position && news.place != self.place) {
            self.place = news.place;
            return None;
        }
        let incidents = chosen
            .into_iter()
            .map(|n| {
                let i = &news.items[n];
                IncidentView::new(i, configuration.rule(&i.rule).map(|r| &*r.name))
            })
            .collect();
        let (subscription, position) = (self.name.clone(), feed.position(news.place));
        Some(Frame {
            event: ServerEvent::Incidents {
                subscription,
                position,
                incidents,
            },
            place: news.place,
        })
    }

    fn takes(&self, i: &Incident) -> bool {
        self.subject_kind.is_none_or(|k| i.subject.kind == k)
            && self.subject_id.as_deref().is_none_or(|id| &*i.subject.id == id)
            && self.area.as_deref().is_none_or(|a| i.area.as_deref() == Some(a))
    }
}

fn now_of(feed: &LiveFeed, records: bool) -> Place {
    if records {
        feed.records_from_now()
    } else {
        feed.incidents_from_now()
    }
}

fn log_filter(f: &EventFilter) -> Result<LogFilter, String> {
    let filter = LogFilter {
        application: f.application.clone(),
        device_id: f.device_id.clone(),
        user_id: f.user_id.clone(),
        source: f.source.clone(),
        item_id: f.item_id.clone(),
        order_id: f.order_id.clone(),
        location: f.location.clone(),
        step: f.step.clone(),
        trace_id: f.trace_id.clone(),
        type_prefix: f.kind.clone(),
        level: f.level.map(Into::into),
        min_level: f.min_level.map(Into::into),
        fingerprint: f.fingerprint.as_deref().map(parse_hex).transpose()?,
        text: f.text.clone(),
        from: f.from.as_deref().map(parse_time).transpose()?,
        to: f.to.as_deref().map(parse_time).transpose()?,
        device_ids: None,
    };
    crate::graphql::check_area(f.area.as_deref())?;
    crate::graphql::check_filter(&filter)?;
    Ok(filter)
}
