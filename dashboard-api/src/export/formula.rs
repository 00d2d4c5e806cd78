//! What a spreadsheet would take for a formula, defused.
//!
//! A spreadsheet splits a file at the separator of its own country, whatever the file was written with. The inside of a value then becomes
//! cells, so a value is guarded wherever a cell could begin and not at its start alone.

use std::borrow::Cow;

/// Puts an apostrophe wherever a cell could begin and would be a formula. A text that has apostrophes there already gets one more, so
/// taking one away at each such place gives the text back.
pub(super) fn guard_text(text: &str) -> Cow<'_, str> {
    let mut places = Vec::new();
    // From the end, so that a long run of blanks is not looked at again from each of them.
    let mut formula_ahead = false;
    for (at, c) in text.char_indices().rev() {
        formula_ahead = begins_formula(c) || (formula_ahead && (is_passed_over(c) || c == '\''));
        if formula_ahead && text[..at].chars().next_back().is_none_or(separates) {
            places.push(at);
        }
    }
    let first = text.trim_start_matches('\'').chars().next();
    if places.last() != Some(&0) && first.is_some_and(|c| matches!(c, '\t' | '\r' | '\n')) {
        places.push(0);
    }
    if places.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut guarded = String::with_capacity(text.len() + places.len());
    let mut done = 0;
    for at in places.into_iter().rev() {
        guarded.push_str(&text[done..at]);
        guarded.push('\'');
        done = at;
    }
    guarded.push_str(&text[done..]);
    Cow::Owned(guarded)
}

/// The same for JSON, which stays the same JSON: the character that would begin a formula is escaped. Outside of strings there is only
/// the minus of a number.
pub(super) fn guard_json(json: &str) -> Cow<'_, str> {
    let mut guarded = String::new();
    let mut done = 0;
    let (mut may_begin, mut in_string, mut escaped) = (true, false, false);
    for (at, c) in json.char_indices() {
        if may_begin && in_string && begins_formula(c) {
            guarded.push_str(&json[done..at]);
            guarded.push_str(&format!("\\u{:04x}", u32::from(c)));
            done = at + c.len_utf8();
        }
        may_begin = separates(c) || (may_begin && is_passed_over(c));
        in_string ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    if done == 0 {
        return Cow::Borrowed(json);
    }
    guarded.push_str(&json[done..]);
    Cow::Owned(guarded)
}

/// Could a cell begin after it?
fn separates(c: char) -> bool {
    matches!(c, ',' | ';' | '\t' | '\r' | '\n')
}

/// Does a spreadsheet look past it for the beginning of a formula?
fn is_passed_over(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    c == '"' || c.is_whitespace() || c.is_control() || invisible
}

fn begins_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
}
