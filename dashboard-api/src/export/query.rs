//! Query parameters of export and tail: the filter, each field a parameter.

use super::csv::CsvOptions;
use crate::graphql::{check_area, check_filter, devices_of};
use crate::view::scalar::{parse_hex, parse_time};
use andon_engine::level::Level;
use andon_engine::rule::Configuration;
use andon_storage::ports::log_index::LogFilter;
use std::collections::HashSet;

/// What is asked of an export.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ExportQuery {
    pub(crate) filter: LogFilter,
    pub(crate) area: Option<String>,
    pub(crate) csv: CsvOptions,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Endpoint {
    Ndjson,
    Csv,
    Tail,
}

impl ExportQuery {
    /// Reads the parameters; the first that is unknown, repeated or unreadable is named.
    pub(crate) fn parse(pairs: Vec<(String, String)>, endpoint: Endpoint) -> Result<Self, String> {
        let mut q = ExportQuery::default();
        let mut seen = HashSet::new();
        for (name, value) in pairs {
            if !seen.insert(name.clone()) {
                return Err(format!("the parameter {name} is given twice"));
            }
            q.set(&name, value, endpoint).map_err(|e| format!("{name}: {e}"))?;
        }
        check_filter(&q.filter)?;
        check_area(q.area.as_deref())?;
        Ok(q)
    }

    /// The filter, with the devices of the area that the configuration in force names.
    pub(crate) fn filter_by(&self, configuration: &Configuration) -> LogFilter {
        LogFilter {
            device_ids: self.area.as_deref().map(|area| devices_of(area, configuration)),
            ..self.filter.clone()
        }
    }

    fn set(&mut self, name: &str, value: String, endpoint: Endpoint) -> Result<(), String> {
        if value.is_empty() {
            return Err("the value is empty".into());
        }
        let f = &mut self.filter;
        match (name, endpoint) {
            ("application", _) => f.application = Some(value),
            ("device_id", _) => f.device_id = Some(value),
            ("area", _) => self.area = Some(value),
            ("user_id", _) => f.user_id = Some(value),
            ("source", _) => f.source = Some(value),
            ("item_id", _) => f.item_id = Some(value),
            ("order_id", _) => f.order_id = Some(value),
            ("location", _) => f.location = Some(value),
            ("step", _) => f.step = Some(value),
            ("trace_id", _) => f.trace_id = Some(value),
            ("type", _) => f.type_prefix = Some(value),
            ("level", _) => f.level = Some(level(&value)?),
            ("min_level", _) => f.min_level = Some(level(&value)?),
            ("fingerprint", _) => f.fingerprint = Some(parse_hex(&value)?),
            ("text", _) => f.text = Some(value),
            ("from", Endpoint::Ndjson | Endpoint::Csv) => f.from = Some(parse_time(&value)?),
            ("to", Endpoint::Ndjson | Endpoint::Csv) => f.to = Some(parse_time(&value)?),
            ("bom", Endpoint::Csv) => self.csv.bom = flag(&value)?,
            ("guard", Endpoint::Csv) => self.csv.guard = flag(&value)?,
            ("separator", Endpoint::Csv) => self.csv.separator = separator(&value)?,
            _ => return Err("this parameter is not known here".into()),
        }
        Ok(())
    }
}

fn level(value: &str) -> Result<Level, String> {
    Level::ALL
        .into_iter()
        .find(|l| l.as_str().eq_ignore_ascii_case(value))
        .ok_or_else(|| format!("{value:?} is not one of TRACE, DEBUG, INFO, WARN, ERROR, FATAL"))
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("{value:?} is neither 1 nor 0")),
    }
}

fn separator(value: &str) -> Result<u8, String> {
    match value {
        "," | "comma" => Ok(b','),
        ";" | "semicolon" => Ok(b';'),
        "\t" | "tab" => Ok(b'\t'),
        _ => Err(format!("{value:?} is none of comma, semicolon, tab")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_engine::time::Timestamp;

    fn parse(pairs: &[(&str, &str)], endpoint: Endpoint) -> Result<ExportQuery, String> {
        ExportQuery::parse(
            pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            endpoint,
        )
    }

    #[test]
    fn every_parameter_finds_its_field_and_a_bad_one_is_named() {
        let q = parse(
            &[
                ("device_id", "CNV-03"),
                ("min_level", "warn"),
                ("to", "1970-01-01T00:00:01Z"),
                ("separator", ";"),
            ],
            Endpoint::Csv,
        )
        .unwrap();
        assert_eq!(q.filter.device_id.as_deref(), Some("CNV-03"));
        assert_eq!(q.filter.min_level, Some(Level::Warn));
        assert_eq!(q.filter.to, Some(Timestamp(1_000_000)));
        assert_eq!(q.csv.separator, b';');
        for (pairs, endpoint, names) in [
            (&[("devices", "x")][..], Endpoint::Csv, "devices"),
            (&[("bom", "1")], Endpoint::Ndjson, "bom"),
            (&[("from", "1970-01-01T00:00:01Z")], Endpoint::Tail, "from"),
            (&[("level", "LOUD")], Endpoint::Csv, "level"),
            (&[("from", "yesterday")], Endpoint::Csv, "from"),
            (&[("step", "a"), ("step", "b")], Endpoint::Csv, "step"),
            (&[("text", "")], Endpoint::Csv, "text"),
            (&[("fingerprint", "12")], Endpoint::Csv, "fingerprint"),
        ] {
            let error = parse(pairs, endpoint).unwrap_err();
            assert!(error.contains(names), "{error}");
        }
        let long = "x".repeat(200);
        assert!(
            parse(&[("device_id", &long)], Endpoint::Tail)
                .unwrap_err()
                .contains("device_id")
        );
    }
}
