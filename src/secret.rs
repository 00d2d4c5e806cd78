//! Texts that are for their user only.

use serde::Deserialize;
use std::fmt;
use std::ops::Deref;

/// An address with a password in it, or a key. `Debug` says that it is there and no more.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Deref for Secret {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use crate::config;
    use crate::up::UpArgs;
    use clap::{Args, FromArgMatches};

    #[test]
    fn passwords_are_shown_nowhere() {
        let urls = ["postgres", "redis", "elasticsearch", "smtp"].map(|name| format!("--{name}-url=x://u:hush@h"));
        let command = UpArgs::augment_args(clap::Command::new("andon"));
        let matches = command
            .try_get_matches_from(std::iter::once("andon".to_owned()).chain(urls))
            .unwrap();
        let args = UpArgs::from_arg_matches(&matches).unwrap();
        assert_eq!(args.service.stores.redis_url.as_deref(), Some("x://u:hush@h"));
        let file = config::parse(
            "version = 1\n[mail]\nsmtp_url = \"x://u:hush@h\"\n[stores]\npostgres_url = \"x://u:hush@h\"\n\
             redis_url = \"x://u:hush@h\"\nelasticsearch_url = \"x://u:hush@h\"",
        );
        let file = file.unwrap();
        assert_eq!(file.mail.smtp_url.as_deref(), Some("x://u:hush@h"));
        let shown = format!("{args:?} {file:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert_eq!(shown.matches('…').count(), 8);
    }
}
