//! When two e-mail addresses are one mailbox.

/// As everything that counts per address compares it: the domain in lower case, for it knows no other (RFC 5321, 2.4); what stands before the
/// last `@` as it is, for only its own server knows what that is.
pub fn canonical(address: &str) -> String {
    let address = address.trim();
    match address.rsplit_once('@') {
        Some((user, domain)) => format!("{user}@{}", domain.to_lowercase()),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_has_no_case_and_the_user_has() {
        for (address, want) in [
            ("Anna@Plant.Example", "Anna@plant.example"),
            ("anna@plant.example", "anna@plant.example"),
            (" anna@PLANT.example\n", "anna@plant.example"),
            ("\"a@b\"@X.Y", "\"a@b\"@x.y"),
            ("jürgen@MÜNCHEN.example", "jürgen@münchen.example"),
            ("nobody", "nobody"),
            ("", ""),
            ("@", "@"),
        ] {
            assert_eq!(canonical(address), want, "{address:?}");
        }
    }
}
