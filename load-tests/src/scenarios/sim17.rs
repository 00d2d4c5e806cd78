//! SIM17: malformed, 5 MB and Latin-1 lines among good ones.

use super::{Context, Expect, ExpectedIncident, Label, Scenario, Step};
use crate::draft::{Dialect, Draft, ndjson};
use andon_engine::level::Level;
use andon_engine::subject::SubjectKind::Application;
use andon_engine::time::Span;
use bytes::Bytes;

const HUGE: usize = 5 * 1024 * 1024;

/// A line of a body: a record that must be stored, or what must be refused by name.
enum Line {
    Good(Box<Draft>),
    /// Its id (or what stands for one) and its bytes.
    Bad(String, Bytes),
}

impl Line {
    fn good(draft: Draft) -> Self {
        Line::Good(Box::new(draft))
    }
}

pub(super) fn make(cx: &Context) -> Scenario {
    let (mixed, refused) = (cx.name("mixed"), cx.name("refused"));
    let mut second = 0;
    let mut good = |id: &str, application: &str, level: Level, text: &str| {
        second += 1;
        let mut d =
            Draft::log(cx.name(id), cx.now.minus(Span::secs(40 - second)), level, text).application(application);
        d.source = Some(cx.run.clone());
        d
    };
    let latin1 = Draft {
        dialect: Dialect::Latin1,
        ..good("latin1", &mixed, Level::Error, "Tür offen, Kühlzone überschritten")
    };
    let nul = good("nul", &mixed, Level::Error, "before\u{0}after");
    let labels = vec![
        Label::Stored {
            id: latin1.id.clone(),
            message: "Tür offen, Kühlzone überschritten".into(),
            flags: vec!["latin1".into()],
        },
        Label::Stored {
            id: nul.id.clone(),
            message: "before\u{FFFD}after".into(),
            flags: vec!["nul_replaced".into()],
        },
    ];
    let stamp = cx.now.to_string();
    let bad = |id: &str, rest: &str| {
        let id = cx.name(id);
        let line = format!(r#"{{"id":"{id}","timestamp":"{stamp}","source":"{}",{rest}}}"#, cx.run);
        Line::Bad(id, line.into())
    };
    // Were the refused ones counted, five errors of `refused` would stand within a minute.
    let error = |rest: String| format!(r#""level":"ERROR","application":"{refused}",{rest}"#);
    let steps = vec![
        lines(
            "a line cut short",
            vec![
                Line::good(good("before-cut", &mixed, Level::Error, "good line before a bad one")),
                Line::Bad(
                    cx.name("cut"),
                    format!(r#"{{"id":"{}","message":"cut sho"#, cx.name("cut")).into(),
                ),
                Line::good(good("after-cut", &mixed, Level::Error, "good line after a bad one")),
            ],
        ),
        lines(
            "a 5 MB line",
            vec![
                Line::good(good(
                    "before-huge",
                    &refused,
                    Level::Error,
                    "good line before a huge one",
                )),
                bad("huge", &error(format!(r#""message":"{}""#, "x".repeat(HUGE)))),
                Line::good(good("after-huge", &refused, Level::Error, "good line after a huge one")),
            ],
        ),
        lines(
            "wrong types",
            vec![
                bad("number-as-message", &error(r#""message":["not","text"]"#.into())),
                bad(
                    "long-name",
                    &error(format!(r#""message":"m","item_id":"{}""#, "x".repeat(129))),
                ),
                Line::good(good(
                    "after-types",
                    &refused,
                    Level::Error,
                    "good line after wrong types",
                )),
                bad(
                    "no-name",
                    r#""level":"ERROR","message":"neither device nor application""#,
                ),
                bad("no-message", r#""level":"ERROR","application":"x""#),
            ],
        ),
        lines(
            "Latin-1",
            vec![
                Line::good(latin1),
                Line::good(good(
                    "utf8",
                    &refused,
                    Level::Error,
                    "Störung, kein Fehler der Kodierung",
                )),
            ],
        ),
        lines("U+0000", vec![Line::good(nul)]),
        status("no JSON at all", "application/json", 400, "hello"),
        status(
            "a document cut short",
            "application/json",
            400,
            r#"[{"message":"a","application":"b"},{"mess"#,
        ),
        status("an empty body", "application/json", 400, ""),
        status("nothing acceptable", "application/json", 400, "[1,2,3]"),
        status("an unknown content type", "text/xml", 415, "<record/>"),
        lines(
            "and a fresh one passes",
            vec![Line::good(good("fresh", &mixed, Level::Error, "still here"))],
        ),
    ];
    // The errors of `mixed` that are stored: before and after the cut line, Latin-1, U+0000, the fresh one.
    let of_mixed: Vec<&Draft> = steps
        .iter()
        .flat_map(|s| &s.drafts)
        .filter(|d| d.application.as_deref() == Some(&mixed))
        .collect();
    let opened = of_mixed.iter().map(|d| d.timestamp).max().unwrap_or(cx.now);
    let mut labels = labels;
    labels.push(Label::Incident(ExpectedIncident::new(
        "errors-per-application",
        Application,
        &mixed,
        of_mixed.len() as u64,
        opened,
    )));
    labels.push(Label::NoIncident {
        subject_kind: Application,
        subject: refused,
    });
    Scenario {
        name: "SIM17",
        goal: "A bad line is refused by name and counted, its neighbours are stored, and Latin-1 text stays readable",
        source: String::new(),
        steps,
        labels,
    }
}

fn lines(what: &str, lines: Vec<Line>) -> Step {
    let (mut bytes, mut ids, mut drafts) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        match line {
            Line::Good(d) => {
                bytes.push(d.line());
                ids.push(d.id.clone());
                drafts.push(*d);
            }
            Line::Bad(id, line) => {
                bytes.push(line);
                ids.push(id);
            }
        }
    }
    let accepted = drafts.len() as u64;
    Step {
        expect: Expect {
            status: 202,
            accepted,
            duplicates: 0,
            rejected: ids.len() as u64 - accepted,
        },
        body: ndjson(bytes.iter().map(|b| &b[..])),
        ids,
        drafts,
        ..Step::records(what, Vec::new())
    }
}

fn status(what: &str, content_type: &'static str, status: u16, body: &'static str) -> Step {
    Step {
        content_type,
        body: Bytes::from_static(body.as_bytes()),
        expect: Expect {
            status,
            accepted: 0,
            duplicates: 0,
            rejected: 0,
        },
        ..Step::records(what, Vec::new())
    }
}
