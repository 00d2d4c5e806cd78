//! The start: address and credentials, who answers, and whether it will do.

use super::client::{Client, PRIVILEGES};
use super::indices::Names;
use super::pace::Pace;
use super::writer::Writer;
use super::{ElasticsearchIndex, Shared, refused};
use crate::ports::{Result, StoreError};
use ::elasticsearch::Elasticsearch;
use ::elasticsearch::auth::Credentials;
use ::elasticsearch::cert::{Certificate, CertificateValidation};
use ::elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use ::elasticsearch::http::{Method, Url};
use andon_engine::time::Clock;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// What an index on Elasticsearch needs to know beside its address.
#[derive(Clone)]
pub struct ElasticsearchOptions {
    /// What the names of all its indices and of its template begin with: lower-case letters, digits, `-` and `_`. One for each site.
    pub prefix: String,
    /// For each request. A node that is frozen is `Unavailable` after it.
    pub request_timeout: Duration,
    /// How long [`add`](crate::ports::log_index::LogIndex::add) goes on sending what is turned away, without getting anywhere, before it
    /// is `Unavailable`.
    pub retry_for: Duration,
    /// The largest body of a bulk request; 64 KiB at least. Elasticsearch takes 100 MB.
    pub bulk_bytes_max: usize,
    /// Bulk requests under way at once, at most.
    pub bulks_max: usize,
    /// What the time of a commit is taken from, for people.
    pub clock: Arc<dyn Clock>,
    /// Only searches: nothing is put or written, `add` and `commit` are refused.
    pub read_only: bool,
    /// An API key as Elasticsearch gives it (`encoded`), in place of a user in the URL.
    pub api_key: Option<String>,
    /// PEM certificates to trust beside the public ones, for a cluster with its own authority.
    pub ca_certificate: Option<Vec<u8>>,
}

impl ElasticsearchOptions {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            prefix: "andon".to_owned(),
            request_timeout: Duration::from_secs(10),
            retry_for: Duration::from_secs(20),
            bulk_bytes_max: 8 * 1024 * 1024,
            bulks_max: 4,
            clock,
            read_only: false,
            api_key: None,
            ca_certificate: None,
        }
    }
}

impl std::fmt::Debug for ElasticsearchOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ElasticsearchOptions")
            .field("prefix", &self.prefix)
            .field("request_timeout", &self.request_timeout)
            .field("retry_for", &self.retry_for)
            .field("bulk_bytes_max", &self.bulk_bytes_max)
            .field("bulks_max", &self.bulks_max)
            .field("read_only", &self.read_only)
            .field("api_key", &self.api_key.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}

/// What `GET /` answers.
#[derive(Deserialize)]
struct Root {
    version: Version,
}

#[derive(Deserialize)]
struct Version {
    number: String,
    distribution: Option<String>,
}

pub(super) async fn open(url: &str, options: ElasticsearchOptions) -> Result<ElasticsearchIndex> {
    let mut names = Names::new(&options.prefix).ok_or_else(|| {
        let prefix = options.prefix.escape_debug();
        refused(format!(
            "the prefix \"{prefix}\": it takes lower-case letters, digits, - and _, and begins with a letter"
        ))
    })?;
    let client = connect(url, &options)?;
    names.flattened = fields_type(&client).await?;
    let writer = if options.read_only {
        None
    } else {
        let pace = Pace::new(options.bulk_bytes_max, options.bulks_max);
        let writer = Writer::open(&client, &names, pace, options.retry_for).await;
        Some(Mutex::new(writer.map_err(|e| at_start(&client, e))?))
    };
    Ok(ElasticsearchIndex {
        shared: Arc::new(Shared {
            client,
            names,
            clock: options.clock,
            writer,
        }),
    })
}

fn at_start(client: &Client, e: StoreError) -> StoreError {
    match e {
        StoreError::Refused { store, reason } => StoreError::Refused {
            store,
            reason: format!("{}: {reason}", client.address()),
        },
        e => e,
    }
}

fn connect(url: &str, options: &ElasticsearchOptions) -> Result<Client> {
    let no_url = || {
        refused("the address is no URL such as https://user:password@host:9200, with / @ : in a password written %2F %40 %3A".to_owned())
    };
    let mut url = Url::parse(url).map_err(|_| no_url())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(no_url());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("the address takes nothing after ? or #".to_owned()));
    }
    let user = decoded(url.username()).ok_or_else(no_url)?;
    let password = decoded(url.password().unwrap_or_default()).ok_or_else(no_url)?;
    url.set_username("").map_err(|()| no_url())?;
    url.set_password(None).map_err(|()| no_url())?;
    let mut transport = TransportBuilder::new(SingleNodeConnectionPool::new(url.clone()))
        // A store is inside the plant. What the environment says about a proxy is meant for other addresses.
        .disable_proxy()
        .enable_meta_header(false);
    match (&options.api_key, user.is_empty()) {
        (Some(_), false) => {
            return Err(refused(
                "an API key and a user name are given: give one of them".to_owned(),
            ));
        }
        (Some(key), true) => {
            let key = key.trim();
            if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(refused(
                    "the API key is empty or holds blanks: give its encoded form".to_owned(),
                ));
            }
            transport = transport.auth(Credentials::EncodedApiKey(key.to_owned()));
        }
        (None, false) => transport = transport.auth(Credentials::Basic(user, password)),
        (None, true) => {}
    }
    if let Some(pem) = &options.ca_certificate {
        let certificate = Certificate::from_pem(pem)
            .map_err(|e| refused(format!("the authority's certificate cannot be read: {e}")))?;
        transport = transport.cert_validation(CertificateValidation::Full(certificate));
    }
    let transport = transport
        .build()
        .map_err(|e| refused(format!("no connection can be made: {e}")))?;
    Ok(Client::new(
        Elasticsearch::new(transport),
        &url,
        options.request_timeout,
    ))
}

/// Asks who is there. What the type of `fields` is called there.
async fn fields_type(client: &Client) -> Result<&'static str> {
    let address = client.address();
    let answer = client
        .ask(Method::Get, "/", &[], None)
        .await
        .map_err(StoreError::from)?;
    match answer.status {
        401 => {
            return Err(refused(format!(
                "{address}: the user name, password or API key is wrong (401)"
            )));
        }
        403 => {
            let reason = answer.complaint().reason;
            return Err(refused(format!(
                "{address}: a privilege is missing (403): {reason}; {PRIVILEGES}"
            )));
        }
        429 | 500..=599 => return Err(answer.failure(&format!("{address}: asking for its version"))),
        _ => {}
    }
    let root: Option<Root> = if answer.ok() {
        answer.json("its version").ok()
    } else {
        None
    };
    let Some(Root { version }) = root else {
        let status = answer.status;
        return Err(refused(format!(
            "{address}: what answers there ({status}) is not Elasticsearch"
        )));
    };
    fields_type_of(&version).ok_or_else(|| {
        let number: String = version.number.escape_debug().take(40).collect();
        let product = version.distribution.map_or("Elasticsearch".to_owned(), |d| d.escape_debug().take(40).collect());
        refused(format!(
            "{address}: this is {product} {number}; Elasticsearch 8 or later is needed (tested with 8.19), or OpenSearch 2.7 or later"
        ))
    })
}

fn fields_type_of(version: &Version) -> Option<&'static str> {
    let mut parts = version.number.split(['.', '-']).map(|p| p.parse::<u32>().ok());
    let (major, minor) = (parts.next()??, parts.next().flatten().unwrap_or(0));
    match version.distribution.as_deref() {
        Some("opensearch") => ((major, minor) >= (2, 7)).then_some("flat_object"),
        _ => (major >= 8).then_some("flattened"),
    }
}

/// A part of a URL without its percent signs.
fn decoded(part: &str) -> Option<String> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            out.push(b);
            continue;
        }
        let digit = |b: Option<u8>| char::from(b?).to_digit(16);
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_works_is_told_from_one_that_does_not() {
        let check = |number: &str, distribution: Option<&str>| {
            fields_type_of(&Version {
                number: number.to_owned(),
                distribution: distribution.map(str::to_owned),
            })
        };
        assert_eq!(check("8.0.0", None), Some("flattened"));
        assert_eq!(check("9.1.2-SNAPSHOT", None), Some("flattened"));
        assert_eq!(check("7.17.9", None), None);
        assert_eq!(check("2.19.1", Some("opensearch")), Some("flat_object"));
        assert_eq!(check("2.6.0", Some("opensearch")), None);
        for odd in ["", "x", "-8", "99999999999"] {
            assert_eq!(check(odd, None), None, "{odd}");
        }
    }

    #[test]
    fn a_password_may_hold_any_character() {
        assert_eq!(decoded("a%2Fb%40c%25").as_deref(), Some("a/b@c%"));
        assert_eq!(decoded("%C3%BC").as_deref(), Some("ü"));
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
