//! The two bodies of an e-mail: plain text, and HTML that stands alone (no script, no remote image, no style sheet).

use super::letter::{Letter, Paragraph};
use super::words::Language;
use std::fmt::Write as _;

const RULER: &str = "----------------------------------------";

/// Begins each line that a record wrote, so that none of them can pass for one of ours.
const RECORD_MARK: &str = "|";

pub(super) fn text(letter: &Letter) -> String {
    let mut out = String::new();
    for line in &letter.intro {
        let _ = writeln!(out, "{line}\n");
    }
    for (i, p) in letter.paragraphs.iter().enumerate() {
        if i > 0 {
            let _ = writeln!(out, "{RULER}\n");
        }
        text_paragraph(&mut out, p, letter.language);
    }
    if letter.more > 0 {
        let _ = writeln!(out, "{RULER}\n\n{}", not_shown(letter));
        out.push('\n');
    }
    let _ = writeln!(out, "-- ");
    for line in &letter.footer {
        let _ = writeln!(out, "{line}");
    }
    out
}

fn text_paragraph(out: &mut String, p: &Paragraph, language: Language) {
    let _ = writeln!(out, "{} · {} · {}\n", p.priority, p.subject, p.rule);
    out.push_str(&marked(&p.message));
    out.push('\n');
    for (label, value) in &p.facts {
        let _ = writeln!(out, "{label}: {value}");
    }
    let _ = writeln!(out, "\n{}:\n{}\n", language.open_incident(), p.link);
    let _ = writeln!(out, "{}:\n{}\n", language.open_log(), p.log_link);
    if let Some(runbook) = &p.runbook {
        let _ = writeln!(out, "{}:\n{runbook}\n", language.runbook());
    }
    if !p.lines.is_empty() {
        let _ = writeln!(out, "{}:", language.last_lines());
        for line in &p.lines {
            let _ = writeln!(out, "  {line}");
        }
        out.push('\n');
    }
}

/// What a record said, each line of it marked.
pub(super) fn marked(message: &str) -> String {
    let mut out = String::with_capacity(message.len() + 16);
    for line in message.lines() {
        let _ = match line {
            "" => writeln!(out, "{RECORD_MARK}"),
            line => writeln!(out, "{RECORD_MARK} {line}"),
        };
    }
    out
}

fn not_shown(letter: &Letter) -> String {
    let l = letter.language;
    format!("+{} {} {}", l.incidents(letter.more), l.more(), l.not_shown())
}

/// Colour and shape of a priority: never colour alone. Light background; the contrasts are those of the dashboard's day theme.
fn mark(priority: u8) -> (&'static str, &'static str) {
    match priority {
        1 => ("■", "#B00020"),
        2 => ("▲", "#9A4A00"),
        3 => ("▼", "#6B5900"),
        _ => ("●", "#005F8A"),
    }
}

pub(super) fn html(letter: &Letter) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "<!DOCTYPE html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light\"><title>{}</title></head>\
         <body style=\"margin:0;padding:12px;background:#E4E6E8;color:#1C1F22;\
         font:16px/1.45 -apple-system,'Segoe UI',Roboto,Arial,sans-serif\">\
         <div style=\"max-width:600px;margin:0 auto\">",
        letter.language.tag(),
        escaped(&letter.subject)
    );
    for line in &letter.intro {
        let _ = write!(out, "<p style=\"margin:0 0 12px\">{}</p>", escaped(line));
    }
    for p in &letter.paragraphs {
        html_paragraph(&mut out, p, letter.language);
    }
    if letter.more > 0 {
        let _ = write!(
            out,
            "<p style=\"margin:0 0 12px;font-weight:bold\">{}</p>",
            escaped(&not_shown(letter))
        );
    }
    out.push_str("<p style=\"margin:0;color:#4A4F55;font-size:14px\">");
    for (i, line) in letter.footer.iter().enumerate() {
        if i > 0 {
            out.push_str("<br>");
        }
        out.push_str(&escaped(line));
    }
    out.push_str("</p></div></body></html>\n");
    out
}

fn html_paragraph(out: &mut String, p: &Paragraph, language: Language) {
    let (shape, colour) = mark(p.priority_number);
    let _ = write!(
        out,
        "<div style=\"background:#FFFFFF;border-left:8px solid {colour};padding:14px;margin:0 0 14px\">\
         <p style=\"margin:0;color:{colour};font-weight:bold\">{shape} {} · {}</p>\
         <h1 style=\"margin:2px 0 8px;font-size:22px;line-height:1.25;overflow-wrap:anywhere\">{}</h1>\
         <p style=\"margin:0 0 12px;padding-left:10px;border-left:3px solid #8A9097;font-size:18px;\
         white-space:pre-wrap;overflow-wrap:anywhere\">{}</p>",
        escaped(&p.priority),
        escaped(&p.rule),
        escaped(&p.subject),
        escaped(&p.message)
    );
    // The way on stands above the details: a thumb reaches it without scrolling.
    let _ = write!(
        out,
        "<a href=\"{}\" style=\"display:block;padding:14px;margin:0 0 12px;background:#1C1F22;color:#FFFFFF;\
         text-align:center;text-decoration:none;font-weight:bold;font-size:18px\">{}</a>",
        escaped(&p.link),
        escaped(language.open_incident())
    );
    out.push_str("<table role=\"presentation\" style=\"width:100%;border-collapse:collapse;table-layout:fixed\">");
    for (label, value) in &p.facts {
        let _ = write!(
            out,
            "<tr><td style=\"width:92px;padding:3px 8px 3px 0;vertical-align:top;color:#4A4F55\">{}</td>\
             <td style=\"padding:3px 0;vertical-align:top;overflow-wrap:anywhere\">{}</td></tr>",
            escaped(label),
            escaped(value)
        );
    }
    out.push_str("</table>");
    let button = |out: &mut String, href: &str, label: &str| {
        let _ = write!(
            out,
            "<a href=\"{}\" style=\"display:block;padding:12px;margin:12px 0 0;border:2px solid #1C1F22;color:#1C1F22;\
             text-align:center;text-decoration:none;font-weight:bold\">{}</a>",
            escaped(href),
            escaped(label)
        );
    };
    if !p.lines.is_empty() {
        let _ = write!(
            out,
            "<p style=\"margin:12px 0 4px;font-weight:bold\">{}</p>\
             <pre style=\"margin:0;padding:8px;background:#F0F1F2;font:13px/1.4 Menlo,Consolas,monospace;\
             white-space:pre-wrap;overflow-wrap:anywhere\">",
            escaped(language.last_lines())
        );
        for line in &p.lines {
            out.push_str(&escaped(line));
            out.push('\n');
        }
        out.push_str("</pre>");
    }
    match &p.runbook {
        // Only what is a web address becomes a link; a runbook is configuration, but `javascript:` is never one.
        Some(r) if r.starts_with("https://") || r.starts_with("http://") => button(out, r, language.runbook()),
        Some(r) => {
            let _ = write!(
                out,
                "<p style=\"margin:12px 0 0;overflow-wrap:anywhere\"><b>{}:</b> {}</p>",
                escaped(language.runbook()),
                escaped(r)
            );
        }
        None => {}
    }
    button(out, &p.log_link, language.open_log());
    out.push_str("</div>");
}

/// For text and for attribute values in double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
