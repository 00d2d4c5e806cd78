//! Addresses of e-mail, as the mailer takes them: whoever accepts one asks here, so that none is accepted that can never be mailed.

use lettre::Address;
use lettre::address::AddressError;

/// The address that e-mail for `text` goes to, its domain in ASCII (`grå.example` is `xn--gr-zia.example`).
///
/// # Errors
/// Why no e-mail can be sent there, and what to write instead.
pub fn email_address(text: &str) -> Result<Address, String> {
    let refused = |why: &str| Err(format!("{text:?} is not an e-mail address: {why}"));
    let Some((user, domain)) = text.rsplit_once('@') else {
        return refused("it has no @");
    };
    if user.contains('@') && !user.starts_with('"') {
        return refused("it has more than one @");
    }
    // An address in brackets is no name.
    let ascii = match domain.starts_with('[') {
        true => Ok(domain.to_owned()),
        false => idna::domain_to_ascii(domain),
    };
    let Ok(domain) = ascii else {
        return refused("what stands after the @ is not a domain");
    };
    match Address::new(user, &domain) {
        Ok(address) => Ok(address),
        Err(AddressError::InvalidDomain) => refused("what stands after the @ is not a domain"),
        Err(_) if user.is_empty() => refused("nothing stands before the @"),
        Err(_) if user.split('.').any(str::is_empty) => refused(&format!(
            "a dot stands at an end or beside another; if the mailbox is called so, quote it: \"{user}\"@{domain}"
        )),
        Err(_) => refused("what stands before the @ has characters that must be quoted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_what_the_mailer_takes() {
        for (text, want) in [
            ("o'brien+night@plant.example", "o'brien+night@plant.example"),
            ("müller@plant.example", "müller@plant.example"),
            ("info@grå.example", "info@xn--gr-zia.example"),
            ("info@GRÅ.example", "info@xn--gr-zia.example"),
            ("\"shift lead\"@plant.example", "\"shift lead\"@plant.example"),
            ("\"shift..lead\"@docomo.example", "\"shift..lead\"@docomo.example"),
            ("ops@localhost", "ops@localhost"),
            ("ops@plant_1.example", "ops@plant_1.example"),
            ("ops@[192.0.2.7]", "ops@[192.0.2.7]"),
        ] {
            let address = email_address(text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(address.to_string(), want);
            assert_eq!(want.parse::<Address>(), Ok(address), "{want}");
        }
    }

    #[test]
    fn what_can_never_be_mailed_is_refused_in_words() {
        for (text, why) in [
            ("", "no @"),
            ("anna", "no @"),
            ("@plant.example", "nothing stands before"),
            ("anna@", "not a domain"),
            ("shift..lead@docomo.example", "quote it: \"shift..lead\"@docomo.example"),
            ("lead.@docomo.example", "quote it"),
            ("a@b@c.example", "more than one @"),
            ("shift lead@plant.example", "must be quoted"),
            ("Anna <anna@plant.example>", "must be quoted"),
            ("a,b@plant.example", "must be quoted"),
            ("a\r\nRCPT@plant.example", "must be quoted"),
            ("anna@plant..example", "not a domain"),
            ("anna@plant.example\n", "not a domain"),
        ] {
            let refused = email_address(text).unwrap_err();
            assert!(refused.contains(why), "{refused}");
            assert!(!refused.contains(['\r', '\n']));
        }
    }
}
