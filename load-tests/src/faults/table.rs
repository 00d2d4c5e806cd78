//! The report as a table, for people and for the documentation.

use super::{Report, Row};
use crate::attempts::seconds;
use anyhow::Context as _;
use std::fmt::{self, Write as _};

impl Report {
    /// The table and what it needs to be understood, in Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let passed = self.rows.iter().filter(|r| r.passed).count();
        // Writing into a string does not fail.
        let _ = writeln!(
            out,
            "`{}`, {}, each fault held for {} s under load, seed {}: {passed} of {} hold.\n",
            self.form,
            self.version,
            self.seconds,
            self.seed,
            self.rows.len()
        );
        out.push_str(
            "| fault | lasted, s | acknowledged meanwhile | 503 | longest gap, s | acknowledged in all | found once in Elasticsearch | twice | missing | rows once in \
             PostgreSQL | twice | missing | incidents | e-mails | twice | most lag, entries | gone after, s | verdict |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n",
        );
        let mut edges: Vec<&str> = Vec::new();
        for row in &self.rows {
            let note = row.edge.map(|edge| {
                edges.iter().position(|e| *e == edge).unwrap_or_else(|| {
                    edges.push(edge);
                    edges.len() - 1
                }) + 1
            });
            let _ = writeln!(out, "{}", line(row, note));
        }
        for (i, edge) in edges.iter().enumerate() {
            let _ = write!(out, "\n{}. {edge}", i + 1);
        }
        if !edges.is_empty() {
            out.push('\n');
        }
        out
    }
}

fn line(row: &Row, note: Option<usize>) -> String {
    let mark = note.map(|n| format!(" [{n}]")).unwrap_or_default();
    let name = format!("{}{mark}", cell(&row.fault));
    if row.error.is_some() {
        return format!("| {name} | | | | | | | | | | | | | | | | | {} |", cell(&row.verdict()));
    }
    let lag = match row.lag_max.sink.is_empty() {
        true => row.lag_max.entries.to_string(),
        false => format!("{} ({})", row.lag_max.entries, cell(&row.lag_max.sink)),
    };
    let (r, rows) = (&row.records, row.rows.unwrap_or_default());
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} of {} | {} | {} | {lag} | {} | {} |",
        seconds(row.lasted_ms),
        row.acknowledged_during,
        row.unavailable(),
        seconds(row.counts.longest_gap_ms),
        r.acknowledged,
        r.once,
        r.more,
        r.missing,
        rows.once,
        rows.more,
        rows.missing,
        row.incidents,
        row.incidents_expected,
        row.mails,
        row.mails_repeated,
        row.drained(),
        cell(&row.verdict()),
    )
}

/// Text that cannot end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn markers(form: &str) -> (String, String) {
    (
        format!("<!-- faults of {form} -->"),
        format!("<!-- end of faults of {form} -->"),
    )
}

/// The text with the table of the report's form put between its markers.
pub fn write_into(text: &str, report: &Report) -> anyhow::Result<String> {
    let (begin, end) = markers(report.form);
    let missing = || format!("the file has no lines `{begin}` and `{end}` for the table to go between");
    let from = text.find(&begin).with_context(missing)? + begin.len();
    let to = from + text[from..].find(&end).with_context(missing)?;
    Ok(format!("{}\n{}{}", &text[..from], report.markdown(), &text[to..]))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.markdown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |edge| Row {
            fault: "a | b".into(),
            edge,
            passed: true,
            ..Row::default()
        };
        Report {
            form: "andon up",
            version: "andon 1".into(),
            seconds: 5,
            seed: 1,
            rows: vec![row(Some("it costs")), row(None), row(Some("it costs"))],
            passed: true,
        }
    }

    #[test]
    fn a_table_replaces_the_one_of_its_form_and_nothing_else() {
        let (begin, end) = markers("andon up");
        let text = format!("before\n{begin}\nold\n{end}\nafter\n");
        let new = write_into(&text, &report()).unwrap();
        assert!(new.starts_with("before\n") && new.ends_with(&format!("{end}\nafter\n")));
        assert!(!new.contains("\nold\n"));
        assert_eq!(write_into(&new, &report()).unwrap(), new);
        assert!(write_into("no markers", &report()).is_err());
    }

    #[test]
    fn every_line_has_every_column_and_an_edge_is_told_once() {
        let text = report().markdown();
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
        let columns = |l: &str| l.replace("\\|", "").matches('|').count();
        assert_eq!(rows.len(), 5);
        assert!(rows.iter().all(|l| columns(l) == columns(rows[0])), "{text}");
        assert_eq!(text.matches("it costs").count(), 1);
        let broken = Row {
            error: Some("x".into()),
            ..Row::default()
        };
        assert_eq!(columns(&line(&broken, None)), columns(rows[0]));
    }
}
