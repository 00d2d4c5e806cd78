//! What an e-mail says, to the letter, and what hostile text cannot make it say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod notifier_world;

use andon_engine::effect::AlertReason;
use andon_engine::incident::{Incident, Occurrence};
use andon_engine::rule::{Condition, Direction, Limit};
use andon_engine::subject::SubjectKind::{Application, Area, Device, User};
use andon_engine::time::{Span, Timestamp};
use notifier_world::{World, configuration};
use std::sync::Arc;

async fn world(language: &str) -> World {
    let mut c = configuration();
    c.recipients[0].language = Arc::from(language);
    c.rules[3].runbook = Some(Arc::from("Cabinet K7, lock-out step 3"));
    World::new(c).await
}

fn conveyor(w: &World) -> Incident {
    let mut i = w.incident("fatal-per-device", Device, "CNV-03");
    i.title = Arc::from("Motor overload: drive tripped at 14.2 A");
    i.error_type = Some(Arc::from("EQ.elec.overload"));
    i.application = Some(Arc::from("plc-gateway"));
    i.source = Some(Arc::from("PLC-12"));
    i.count = 1;
    i.first_at = i.opened_at;
    i.occurrence = Occurrence {
        first_at: i.opened_at,
        opened_at: i.opened_at,
        count: 1,
    };
    i
}

/// With what differs from run to run replaced.
fn text(w: &World, i: &Incident) -> String {
    let text = w.last_mail().text;
    let token = text
        .split("?token=")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    text.replace(&token, "TOKEN").replace(&i.id.to_string(), "INCIDENT")
}

/// Two FATALs with 14 quiet minutes between are no fault that goes on for 14 minutes.
#[tokio::test]
async fn what_came_back_says_since_when_and_how_often_of_this_time_and_in_all() {
    for (language, since, count) in [
        (
            "en",
            "Since: 2026-11-23 02:09:55",
            "Count: 3 errors; 1 error since it came back",
        ),
        (
            "de",
            "Seit: 2026-11-23 02:09:55",
            "Anzahl: 3 Fehler; 1 Fehler seit der Wiederkehr",
        ),
    ] {
        let w = world(language).await;
        let mut i = conveyor(&w);
        i.first_at = i.opened_at.minus(Span::mins(14));
        i.occurrence.first_at = i.opened_at.minus(Span::secs(10));
        (i.count, i.reopened) = (3, 1);
        w.raise(&i, AlertReason::Reopened).await;
        w.step().await;
        let text = w.last_mail().text;
        assert!(text.contains(since) && text.contains(count), "{text}");
    }
}

#[tokio::test]
async fn in_english() {
    let w = world("en-GB").await;
    let i = conveyor(&w);
    w.raise(&i, AlertReason::Opened).await;
    w.step().await;
    assert_eq!(w.last_mail().subject(), "[P1 critical] CNV-03: Fatal error");
    let want = "\
P1 critical · Device CNV-03 · Fatal error

| Motor overload: drive tripped at 14.2 A

When: 2026-11-23 02:10:05 CET (2026-11-23 01:10:05 UTC)
Why now: new incident
State: active, not acknowledged
Count: 1 error
Error type: EQ.elec.overload
Application: plc-gateway
Area: Hall 2
Line: Line 3
Source: PLC-12

Open the incident:
https://andon.example.com/incidents/INCIDENT?token=TOKEN

Show the log:
https://andon.example.com/live?device_id=CNV-03&from=2026-11-23T01%3A05%3A05.000000Z

Runbook:
Cabinet K7, lock-out step 3

Last lines:
  2026-11-23 02:10:04.250 CET ERROR deadlock detected
  2026-11-23 02:10:05.000 CET ERROR <b>retry</b> failed

-- 
The link is yours alone, shows this incident only, and works for 12 hours.
Sent by Andon by the route “Shift lead”.
";
    assert_eq!(
        text(&w, &i),
        want.replace("(2026-11-23 01:10:05 UTC)", "(01:10:05 UTC)")
    );
}

#[tokio::test]
async fn in_german() {
    let w = world("de").await;
    let mut i = conveyor(&w);
    w.raise(&i, AlertReason::Opened).await;
    w.step().await;
    let first = text(&w, &i);
    w.clock.advance(Span::mins(1));
    w.repeats(&mut i, 1_234).await;
    w.new_fault(&mut i, "Not-Aus am Ausschleuser").await;
    assert_eq!(w.step().await.sent, 0, "only the first alert of a P1 passes");
    assert_eq!(w.after(Span::mins(4)).await.sent, 1);
    assert_eq!(w.last_mail().subject(), "[P1 kritisch] CNV-03: Fatal error");
    let digest = text(&w, &i);
    for line in [
        "P1 kritisch · Gerät CNV-03 · Fatal error\n",
        "Wann: 2026-11-23 02:10:05 CET (01:10:05 UTC)\n",
        "Anlass: neue Störung\n",
        "Zustand: aktiv, nicht quittiert\n",
        "Anzahl: 1 Fehler\n",
        "Störung öffnen:\n",
        "Letzte Zeilen:\n",
        "Der Link gilt nur für Sie, zeigt nur diese Störung und gilt 12 Stunden.\n",
    ] {
        assert!(first.contains(line), "{line:?} in {first}");
    }
    for line in [
        "Was für Sie zurückgehalten wurde: +1 Alarm zurückgehalten, 1 Störung, 1.235 weitere Fehler.\n",
        "Anlass: ein neuer Fehler in einer bekannten Störung\n",
        "| Not-Aus am Ausschleuser\n",
        "Anzahl: 1.236 Fehler: 1.235 weitere Fehler seit der letzten Nachricht\n",
    ] {
        assert!(digest.contains(line), "{line:?} in {digest}");
    }
}

#[tokio::test]
async fn a_limit_shows_its_worst_value_with_its_unit() {
    let w = World::new(configuration()).await;
    w.configure(|c| {
        c.rules[0].condition = Condition::Limit(Limit {
            reading: Arc::from("temperature"),
            unit: Some(Arc::from("°C")),
            direction: Direction::Above,
            bound: 80.0,
            deadband: 1.0,
            on_delay: Span::ZERO,
        });
    });
    let mut i = w.incident("errors-per-application", Area, "Hall 2");
    i.peak = Some(81.4);
    i.max_level = None;
    w.raise(&i, AlertReason::Opened).await;
    w.step().await;
    let mail = w.last_mail();
    assert!(mail.text.contains("Worst value: 81.4 °C\n"), "{}", mail.text);
    assert!(mail.text.contains("Count: 5 records\n"), "{}", mail.text);
}

/// The links are those that the page of the live tail reads: see web/src/lib/record-filter.ts.
#[tokio::test]
async fn the_link_to_the_log_is_to_the_records_of_the_subject_from_five_minutes_before() {
    let w = World::new(configuration()).await;
    for (kind, name) in [
        (Device, "device_id"),
        (Application, "application"),
        (User, "user_id"),
        (Area, "area"),
    ] {
        let mut i = w.incident("errors-per-application", kind, "OVEN 1&x=y#z+ü");
        i.device = Some(Arc::from("CNV-03"));
        i.application = Some(Arc::from("wms"));
        w.raise(&i, AlertReason::Opened).await;
        // One person gets one e-mail in 5 minutes.
        assert_eq!(w.after(Span::mins(6)).await.sent, 1, "{kind:?}");
        let mail = w.last_mail();
        let from = i.first_at.minus(Span::mins(5)).to_string().replace(':', "%3A");
        let want = format!("\nhttps://andon.example.com/live?{name}=OVEN%201%26x%3Dy%23z%2B%C3%BC&from={from}\n");
        assert!(mail.text.contains(&want), "{want} in {}", mail.text);
    }
}

#[tokio::test]
async fn no_line_of_a_record_can_pass_for_one_of_ours() {
    let own = "Open the incident:\nhttps://evil.example/incidents/1?token=x\r\n\r\n-- \nSent by Andon.\n\u{85}\u{2028}Runbook:\u{b}rm -rf /\n";
    let w = World::new(configuration()).await;
    let mut i = conveyor(&w);
    i.title = Arc::from(own);
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    let mail = w.last_mail().text;
    let message = "\n| Open the incident:\n| https://evil.example/incidents/1?token=x\n|\n| -- \n| Sent by Andon.\n";
    assert!(mail.contains(message), "{mail}");
    for line in mail.lines().filter(|l| !l.starts_with("| ")) {
        assert!(
            !line.contains("evil.example") && !line.contains("rm -rf"),
            "{line:?} in {mail}"
        );
    }
    for ours in ["Open the incident:", "-- "] {
        assert_eq!(mail.lines().filter(|l| *l == ours).count(), 1, "{ours:?} in {mail}");
    }
}

#[tokio::test]
async fn one_message_has_one_clock() {
    for (zone, want) in [
        ("America/New_York", "2026-11-22 20:10:04.250 EST"),
        ("Asia/Kolkata", "2026-11-23 06:40:04.250 IST"),
        ("Nowhere/Atall", "2026-11-23 01:10:04.250 UTC"),
    ] {
        let w = World::new(configuration()).await;
        w.configure(|c| c.sites[0].time_zone = Arc::from(zone));
        w.raise(&conveyor(&w), AlertReason::Opened).await;
        w.step().await;
        let mail = w.last_mail();
        let line = format!("{want} ERROR deadlock detected");
        assert!(mail.text.contains(&format!("\n  {line}\n")), "{zone}: {}", mail.text);
        assert!(mail.html.contains(&line), "{zone}: {}", mail.html);
    }
}

#[tokio::test]
async fn the_time_is_the_sites_across_dst_and_utc_where_no_site_says_otherwise() {
    for (zone, at, want) in [
        (
            "Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "2026-10-25 02:30:00 CEST (00:30:00 UTC)",
        ),
        (
            "Europe/Berlin",
            "2026-10-25T01:30:00Z",
            "2026-10-25 02:30:00 CET (01:30:00 UTC)",
        ),
        (
            "America/New_York",
            "2026-11-23T01:10:05Z",
            "2026-11-22 20:10:05 EST (2026-11-23 01:10:05 UTC)",
        ),
        ("Nowhere/Atall", "2026-11-23T01:10:05Z", "2026-11-23 01:10:05 UTC"),
    ] {
        let w = World::new(configuration()).await;
        w.configure(|c| c.sites[0].time_zone = Arc::from(zone));
        w.clock.set(Timestamp::from(at.parse::<jiff::Timestamp>().unwrap()));
        w.raise(&conveyor(&w), AlertReason::Opened).await;
        w.step().await;
        let text = w.last_mail().text;
        assert!(text.contains(&format!("When: {want}\n")), "{zone}: {text}");
    }
}

#[tokio::test]
async fn nothing_of_a_record_becomes_markup_a_header_or_a_control_character() {
    let evil = "</p><script>alert(1)</script><img src=x onerror=\"alert('1')\">&amp;\r\nBcc: v@example.com\r\n\r\n\u{1b}[31m\u{202e}gnp.exe\u{0}";
    let w = World::new(configuration()).await;
    let mut i = w.incident("errors-per-application", Application, evil);
    i.title = Arc::from(evil);
    for field in [
        &mut i.error_type,
        &mut i.device,
        &mut i.user,
        &mut i.source,
        &mut i.area,
    ] {
        *field = Some(Arc::from(evil));
    }
    w.configure(|c| {
        c.rules[0].name = Arc::from(evil);
        c.rules[0].runbook = Some(Arc::from("javascript:alert(1)"));
        c.routes[0].name = Arc::from(evil);
        c.recipients[0].name = Arc::from(evil);
    });
    w.raise(&i, AlertReason::Opened).await;
    assert_eq!(w.step().await.sent, 1);
    let mail = w.last_mail();
    for name in ["Bcc", "Cc"] {
        assert!(mail.all(name).is_empty(), "{:?}", mail.headers);
    }
    assert_eq!(mail.headers.len(), 14, "{:?}", mail.headers);
    for bad in [
        "<script",
        "<img",
        "href=\"javascript",
        "\u{1b}",
        "\u{202e}",
        "\u{0}",
        "<b>retry",
    ] {
        assert!(!mail.html.contains(bad), "{bad:?} in {}", mail.html);
    }
    assert!(mail.html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(mail.html.contains("&lt;b&gt;retry&lt;/b&gt;"));
    for bad in ["\u{1b}", "\u{202e}", "\u{0}", "31mgnp"] {
        assert!(!mail.text.contains(bad), "{bad:?} in {}", mail.text);
    }
    // Nothing is loaded from anywhere, and nothing runs: no other element than these, no attribute but on them.
    for tag in mail
        .html
        .split('<')
        .skip(1)
        .map(|t| t.split([' ', '>']).next().unwrap().trim_start_matches('/'))
    {
        let known = [
            "!DOCTYPE", "html", "head", "meta", "title", "body", "div", "p", "h1", "a", "table", "tr", "td", "pre",
            "b", "br",
        ];
        assert!(known.contains(&tag), "<{tag}> in {}", mail.html);
    }
    assert!(
        !mail.html.contains("url(") && !mail.html.contains("<p onerror"),
        "{}",
        mail.html
    );
    let links = mail.html.matches("href=\"").count();
    assert_eq!(
        mail.html.matches("href=\"https://andon.example.com/").count(),
        links,
        "every link is ours"
    );
}

#[tokio::test]
async fn a_very_long_everything_stays_a_small_message() {
    let w = World::new(configuration()).await;
    let long = "ü".repeat(100_000);
    for n in 0..40 {
        let mut i = w.incident("errors-per-application", Application, &format!("{n}-{long}"));
        i.title = Arc::from(&*long);
        i.error_type = Some(Arc::from(&*long));
        w.raise(&i, AlertReason::Opened).await;
    }
    assert_eq!(w.step().await.sent, 1);
    let mail = w.last_mail();
    assert!(mail.raw.len() < 400_000, "{} bytes", mail.raw.len());
    assert!(mail.raw.lines().all(|l| l.len() <= 998), "RFC 5322's line");
    assert!(mail.text.contains("+20 incidents"), "{}", mail.text);
}
