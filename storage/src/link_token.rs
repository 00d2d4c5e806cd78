//! Tokens of the links in an e-mail: who was told, of which incident, until when.
//!
//! A token is a grant to *look* at one incident as one person. Whatever changes something still needs a POST (mail scanners
//! follow links, so a GET must never do more than show).
//!
//! Form: base64url without padding of `version (1) · expires, µs, big endian (8) · incident (16) · recipient (1 to 128 bytes) ·
//! HMAC-SHA256 over all of the former (32)`. The recipient comes last so that the lengths need no field of their own.

use andon_engine::ids::IncidentId;
use andon_engine::limits::KEY_BYTES_MAX;
use andon_engine::time::{Span, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// How long a link in an e-mail works: a shift, and the one after it.
pub const LINK_LIFETIME: Span = Span::hours(12);

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 8 + 16;
const MAC_BYTES: usize = 32;
const RAW_BYTES_MAX: usize = HEAD_BYTES + KEY_BYTES_MAX + MAC_BYTES;
/// The longest text that can be a token; anything longer is refused unread.
const TEXT_BYTES_MAX: usize = RAW_BYTES_MAX.div_ceil(3) * 4;

/// What a valid token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkGrant {
    /// The id of the recipient who was told.
    pub recipient: String,
    pub incident: IncidentId,
    pub expires: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("the link is damaged or was not made here: open the incident after signing in")]
    Invalid,
    #[error("the link has expired: open the incident after signing in")]
    Expired,
}

/// Signs and verifies. Both sides (notifier, dashboard) hold the same secret.
#[derive(Clone)]
pub struct LinkTokens {
    secret: [u8; 32],
}

impl fmt::Debug for LinkTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkTokens(secret)")
    }
}

impl LinkTokens {
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// `recipient` is 1 to 128 bytes; a longer one is cut, and such a token is then valid for the cut name only.
    pub fn sign(&self, recipient: &str, incident: IncidentId, expires: Timestamp) -> String {
        let mut cut = recipient.len().min(KEY_BYTES_MAX);
        while !recipient.is_char_boundary(cut) {
            cut -= 1;
        }
        let mut raw = Vec::with_capacity(HEAD_BYTES + cut + MAC_BYTES);
        raw.push(VERSION);
        raw.extend_from_slice(&expires.as_micros().to_be_bytes());
        raw.extend_from_slice(&incident.0.to_be_bytes());
        raw.extend_from_slice(&recipient.as_bytes()[..cut]);
        let mac = self.mac(&raw).finalize().into_bytes();
        raw.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(raw)
    }

    /// The signature is compared in constant time and before anything else of the token is believed.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<LinkGrant, LinkError> {
        if token.len() > TEXT_BYTES_MAX {
            return Err(LinkError::Invalid);
        }
        let raw = URL_SAFE_NO_PAD.decode(token).map_err(|_| LinkError::Invalid)?;
        let (signed, mac) = raw.split_last_chunk::<MAC_BYTES>().ok_or(LinkError::Invalid)?;
        self.mac(signed).verify_slice(mac).map_err(|_| LinkError::Invalid)?;
        let (version, rest) = signed.split_first().ok_or(LinkError::Invalid)?;
        let (expires, rest) = rest.split_first_chunk::<8>().ok_or(LinkError::Invalid)?;
        let (incident, recipient) = rest.split_first_chunk::<16>().ok_or(LinkError::Invalid)?;
        if *version != VERSION {
            return Err(LinkError::Invalid);
        }
        let grant = LinkGrant {
            recipient: std::str::from_utf8(recipient)
                .map_err(|_| LinkError::Invalid)?
                .to_owned(),
            incident: IncidentId(u128::from_be_bytes(*incident)),
            expires: Timestamp(i64::from_be_bytes(*expires)),
        };
        if now >= grant.expires {
            return Err(LinkError::Expired);
        }
        Ok(grant)
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        // The prefix keeps a token apart from anything else that the same secret may ever sign.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(b"andon link\0");
        mac.update(message);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn token() -> (LinkTokens, String) {
        let tokens = LinkTokens::new([7; 32]);
        let text = tokens.sign("anna", IncidentId(42), NOW.plus(LINK_LIFETIME));
        (tokens, text)
    }

    #[test]
    fn a_token_grants_what_was_signed_until_it_expires() {
        let (tokens, text) = token();
        let grant = tokens.verify(&text, NOW).unwrap();
        assert_eq!((grant.recipient.as_str(), grant.incident), ("anna", IncidentId(42)));
        let last = grant.expires.minus(Span::micros(1));
        assert!(tokens.verify(&text, last).is_ok());
        assert_eq!(tokens.verify(&text, grant.expires), Err(LinkError::Expired));
    }

    #[test]
    fn no_changed_byte_and_no_other_secret_passes() {
        let (tokens, text) = token();
        let raw = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for at in 0..raw.len() {
            for bit in 0..8 {
                let mut bad = raw.clone();
                bad[at] ^= 1 << bit;
                assert_eq!(
                    tokens.verify(&URL_SAFE_NO_PAD.encode(&bad), NOW),
                    Err(LinkError::Invalid),
                    "byte {at} bit {bit}"
                );
            }
        }
        for cut in 0..raw.len() {
            assert_eq!(
                tokens.verify(&URL_SAFE_NO_PAD.encode(&raw[..cut]), NOW),
                Err(LinkError::Invalid),
                "cut {cut}"
            );
        }
        assert_eq!(LinkTokens::new([8; 32]).verify(&text, NOW), Err(LinkError::Invalid));
    }

    #[test]
    fn text_that_is_no_token_is_refused() {
        let (tokens, text) = token();
        for bad in [
            "",
            "=",
            "🙂",
            "../../etc/passwd",
            &format!("{text}="),
            &"A".repeat(10_000_000),
        ] {
            assert_eq!(tokens.verify(bad, NOW), Err(LinkError::Invalid));
        }
    }

    #[test]
    fn the_longest_recipient_fits_and_a_longer_one_is_cut_at_a_character() {
        let tokens = LinkTokens::new([7; 32]);
        let later = NOW.plus(Span::secs(1));
        let longest = "x".repeat(KEY_BYTES_MAX);
        let grant = tokens
            .verify(&tokens.sign(&longest, IncidentId(1), later), NOW)
            .unwrap();
        assert_eq!(grant.recipient, longest);
        let grant = tokens
            .verify(&tokens.sign(&"ä".repeat(100), IncidentId(1), later), NOW)
            .unwrap();
        assert_eq!(grant.recipient, "ä".repeat(64));
        let odd = format!("x{}", "ä".repeat(100));
        assert_eq!(
            tokens
                .verify(&tokens.sign(&odd, IncidentId(1), later), NOW)
                .unwrap()
                .recipient
                .len(),
            127
        );
    }
}
