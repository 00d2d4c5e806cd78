//! The top-level members of a record's `fields`, read in place.

/// Gives each top-level member of this JSON object, in order: its name, and its value as text (a string without resolving escapes, anything
/// else as JSON text; `None` for an object or a list). The gateway has validated the object; what follows damage is not given.
pub(super) fn members<'a>(object: &'a str, mut each: impl FnMut(&'a str, Option<&'a str>)) {
    let b = object.as_bytes();
    let mut at = 0;
    let mut depth = 0u32;
    let mut key: Option<&str> = None;
    while at < b.len() {
        match b[at] {
            b'{' | b'[' => {
                if let Some(name) = key.filter(|_| depth == 1) {
                    each(name, None);
                }
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b'"' => {
                let start = at + 1;
                at = start;
                while at < b.len() && b[at] != b'"' {
                    at += if b[at] == b'\\' { 2 } else { 1 };
                }
                let Some(text) = object.get(start..at) else { return };
                at += 1;
                if depth == 1 {
                    match key {
                        None => key = Some(text),
                        Some(name) => each(name, Some(text)),
                    }
                }
            }
            b',' => {
                if depth == 1 {
                    key = None;
                }
                at += 1;
            }
            b':' | b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => {
                let start = at;
                while at < b.len() && !matches!(b[at], b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') {
                    at += 1;
                }
                if let Some(name) = key.filter(|_| depth == 1) {
                    each(name, object.get(start..at));
                }
            }
        }
    }
}

/// Is the first top-level member of this name equal to `want`?
pub(super) fn field_equals(object: &str, name: &str, want: &str) -> bool {
    let mut found: Option<bool> = None;
    members(object, |key, value| {
        if key == name && found.is_none() {
            found = Some(value == Some(want));
        }
    });
    found.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_compared_at_the_top_level_only() {
        for (object, name, want, equal) in [
            (r#"{"a":"x","b":"y"}"#, "b", "y", true),
            (r#"{"a":"b","b":"y"}"#, "a", "y", false),
            (r#"{"n":{"b":"y"}}"#, "b", "y", false),
            (r#"{"l":["b","y"],"b":true}"#, "b", "true", true),
            (r#"{"q":"say \"b\"","b":1.5}"#, "b", "1.5", true),
            (r#"{"b":{"b":1}}"#, "b", "1", false),
            ("", "b", "1", false),
            (r#"{"b":"unfinished"#, "c", "1", false),
        ] {
            assert_eq!(field_equals(object, name, want), equal, "{object} {name}={want}");
        }
    }
}
