//! Numbers as files have them: with a point, or with a comma as most of Europe writes them.

use super::stamp::short;

/// What stands between groups of three digits where a comma begins the fraction.
const GROUPING: [char; 5] = ['.', ' ', '\u{A0}', '\u{202F}', '\''];

/// How the numbers of one input are written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decimal {
    #[default]
    Point,
    Comma,
    /// A comma is understood as well as a point: the columns are separated by semicolons, as where numbers have commas.
    Either {
        /// One with a comma was there: from then on `1.234` may mean two things.
        comma_seen: bool,
    },
}

impl Decimal {
    /// A finite number, or what is wrong with the text.
    pub(super) fn read(&mut self, text: &str) -> Result<f64, String> {
        let point = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
        let number = match self {
            Decimal::Point if text.contains(',') => {
                return Err(format!(
                    "{:?} is not a number with a decimal point: say --decimal-comma if it has a decimal comma",
                    short(text)
                ));
            }
            Decimal::Point => point(text),
            Decimal::Comma => with_comma(text),
            Decimal::Either { comma_seen } => {
                if *comma_seen && !text.contains(',') && text.contains('.') && with_comma(text).is_some() {
                    return Err(format!(
                        "{:?} may have a decimal point or group its digits: say --decimal-comma if a comma begins the fraction, or write \
                         all numbers with a point",
                        short(text)
                    ));
                }
                point(text).or_else(|| {
                    let number = with_comma(text)?;
                    *comma_seen = true;
                    Some(number)
                })
            }
        };
        number.ok_or_else(|| format!("{:?} is not a finite number", short(text)))
    }
}

/// A number whose fraction begins with a comma and whose digits before it may be grouped by threes.
fn with_comma(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (&text[..text.len() - rest.len()], rest),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once(',').unwrap_or((digits, ""));
    // The exponent, if there is one, stands with the last digits.
    let mut groups = whole.split(GROUPING);
    let first = groups.next()?;
    let mut plain = format!("{sign}{first}");
    let mut is_grouped = false;
    for group in groups {
        if group.len() != 3 || !group.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        is_grouped = true;
        plain.push_str(group);
    }
    if is_grouped && !(1..=3).contains(&first.len()) || fraction.contains('.') {
        return None;
    }
    if !fraction.is_empty() {
        plain.push('.');
        plain.push_str(fraction);
    }
    plain.parse::<f64>().ok().filter(|n| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_decimal_comma_dots_and_blanks_group_digits() {
        for (text, want) in [
            ("81,4", Some(81.4)),
            ("-0,5", Some(-0.5)),
            ("+7", Some(7.0)),
            ("1.081,4", Some(1081.4)),
            ("1.234.567", Some(1_234_567.0)),
            ("1 234,5", Some(1234.5)),
            ("1\u{202F}234,5", Some(1234.5)),
            ("1'234,5", Some(1234.5)),
            ("1,5e3", Some(1500.0)),
            ("81.4", None),
            ("1.23,4", None),
            ("1234.567,8", None),
            ("1,2,3", None),
            ("1,2.3", None),
            (".234", None),
            ("", None),
            (",", None),
            ("inf", None),
            ("hot", None),
        ] {
            assert_eq!(Decimal::Comma.read(text).ok(), want, "{text:?}");
        }
    }

    #[test]
    fn with_a_decimal_point_a_comma_is_refused_with_the_remedy() {
        assert_eq!(Decimal::Point.read("81.4"), Ok(81.4));
        assert!(Decimal::Point.read("81,4").unwrap_err().contains("--decimal-comma"));
        assert!(Decimal::Point.read("1,234.5").is_err());
    }

    #[test]
    fn where_either_is_read_a_number_of_two_meanings_is_refused() {
        let mut either = Decimal::Either { comma_seen: false };
        assert_eq!(either.read("81.4"), Ok(81.4));
        assert_eq!(either.read("1.234"), Ok(1.234));
        assert_eq!(either.read("1.081,4"), Ok(1081.4));
        assert_eq!(either.read("81.4"), Ok(81.4));
        assert!(either.read("1.234").unwrap_err().contains("--decimal-comma"));
        assert_eq!(either.read("81,4"), Ok(81.4));
        assert_eq!(either.read("7"), Ok(7.0));
        assert!(either.read("NaN").is_err());
    }
}
