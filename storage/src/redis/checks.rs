//! What is looked at before Andon starts on a Redis: one sentence for each thing that would not work.

use super::link::{Command, Link, START_WITHIN};
use fred::error::{Error, ErrorKind};
use fred::types::Value;
use fred::types::config::Config;
use std::time::Duration;

/// The oldest version with all that is used: HSET of many fields, XAUTOCLAIM, scripts that are replicated by effect.
const VERSION_MIN: (u32, u32) = (6, 2);

/// Why Andon cannot start on this Redis. Holds no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("the Redis URL {0}; it is redis[s]://[user:password@]host[:port][/database]")]
    Url(String),
    #[error("Redis at {address} cannot be reached: {reason}")]
    Unreachable { address: String, reason: String },
    #[error("Redis at {address} does not let Andon in: {reason}; put the right user and password into the Redis URL")]
    SignIn { address: String, reason: String },
    #[error(
        "Redis at {address} is version {found}, and Andon needs {}.{} or later: upgrade it",
        VERSION_MIN.0,
        VERSION_MIN.1
    )]
    Version { address: String, found: String },
    #[error(
        "Redis at {address} does not allow what Andon needs ({commands}): grant these commands, keys andon:* and channels andon:* \
         to its user (docs/REDIS.md has the ACL line)"
    )]
    Permission { address: String, commands: String },
    #[error("Redis at {address} has no such database ({reason}): correct the number behind the / of the Redis URL")]
    Database { address: String, reason: String },
    #[error("Redis at {address} is a read-only replica: give the URL of its primary")]
    ReadOnly { address: String },
    #[error("Redis at {address} is a cluster, which Andon's scripts cannot use: give the URL of a single server")]
    Cluster { address: String },
    #[error("Redis at {address} takes no writes: {reason}")]
    Refuses { address: String, reason: String },
}

impl StartError {
    /// Whether it may be well by itself later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, StartError::Unreachable { .. } | StartError::Refuses { .. })
    }
}

/// The configuration of the client, and how the server is called without its password.
pub(super) fn parse(url: &str) -> Result<(Config, String), StartError> {
    let bad = |why: &str| StartError::Url(why.to_owned());
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(bad("has no scheme"));
    };
    if !matches!(scheme, "redis" | "rediss") {
        return Err(bad("has a scheme that is neither redis nor rediss"));
    }
    if rest.contains(['?', '#']) {
        return Err(bad(
            "has a part behind ? or # that means nothing here (in a password, write %3F and %23)",
        ));
    }
    let (place, path) = rest
        .rsplit_once('@')
        .map_or(rest, |(_, r)| r)
        .split_once('/')
        .unwrap_or_else(|| {
            let place = rest.rsplit_once('@').map_or(rest, |(_, r)| r);
            (place, "")
        });
    if place.is_empty() || place.starts_with(':') {
        return Err(bad("names no host"));
    }
    if !path.is_empty() && path.parse::<u8>().is_err() {
        return Err(bad("names a database that is no number from 0 to 255"));
    }
    // fred's message may quote what it could not read.
    let config =
        Config::from_url_centralized(url).map_err(|_| bad("cannot be read: check host, port and any % in it"))?;
    let server = config.server.hosts().into_iter().next();
    let (host, port) = server.map_or_else(|| (place.to_owned(), 6379), |s| (s.host.to_string(), s.port));
    let address = format!("{host}:{port}/{}", config.database.unwrap_or(0));
    Ok((config, address))
}

pub(super) fn not_connected(address: &str, e: &Error) -> StartError {
    let address = address.to_owned();
    let details = e.details();
    match e.kind() {
        ErrorKind::Auth => StartError::SignIn {
            address,
            reason: details.to_owned(),
        },
        ErrorKind::Timeout => StartError::Unreachable {
            address,
            reason: "it does not answer".into(),
        },
        _ if details.contains("DB index") => StartError::Database {
            address,
            reason: details.to_owned(),
        },
        _ if details.starts_with("NOPERM") => StartError::Permission {
            address,
            commands: noperm(details),
        },
        _ => StartError::Unreachable {
            address,
            reason: plain(details).to_owned(),
        },
    }
}

/// The driver writes an error of the system as Rust does for programmers: its message is enough.
fn plain(details: &str) -> &str {
    let message = details.split_once("message: \"").map(|(_, rest)| rest);
    message.and_then(|m| m.split('"').next()).unwrap_or(details)
}

/// The command that a NOPERM answer names.
fn noperm(details: &str) -> String {
    let quoted = details.split('\'').nth(1);
    if details.contains("channel") && quoted.is_none_or(|q| q.starts_with("andon")) {
        return "access to the channels".into();
    }
    if details.contains("key") && quoted.is_none_or(|q| q.starts_with("andon")) {
        return "access to the keys".into();
    }
    quoted.unwrap_or(details).to_owned()
}

/// Every command that any part uses, on keys that live a minute at most.
fn probes(prefix: &str) -> Vec<Command> {
    let key = |name: &str| Value::from(format!("{prefix}check:{name}"));
    let t = Value::from_static_str;
    let n = Value::Integer;
    let (hash, text, list, stream) = (key("hash"), key("text"), key("list"), key("stream"));
    let minute = || n(60_000);
    let mut probes: Vec<Command> = vec![
        ("HSET", vec![hash.clone(), t("f"), t("v")]),
        ("PEXPIRE", vec![hash.clone(), minute()]),
        ("PERSIST", vec![hash.clone()]),
        ("PEXPIRE", vec![hash.clone(), minute()]),
        ("HGET", vec![hash.clone(), t("f")]),
        ("HGETALL", vec![hash.clone()]),
        ("HLEN", vec![hash.clone()]),
        ("HSCAN", vec![hash.clone(), n(0)]),
        ("HDEL", vec![hash.clone(), t("f")]),
        ("SET", vec![text.clone(), t("v"), t("PX"), minute()]),
        ("GET", vec![text.clone()]),
        ("APPEND", vec![text.clone(), t("v")]),
        ("LPUSH", vec![list.clone(), t("v")]),
        ("PEXPIRE", vec![list.clone(), minute()]),
        ("LTRIM", vec![list.clone(), n(0), n(9)]),
        ("LRANGE", vec![list.clone(), n(0), n(9)]),
        ("XADD", vec![stream.clone(), t("MAXLEN"), n(9), t("*"), t("f"), t("v")]),
        ("PEXPIRE", vec![stream.clone(), minute()]),
        ("XLEN", vec![stream.clone()]),
        ("XGROUP", vec![t("CREATE"), stream.clone(), t("g"), t("$")]),
        (
            "XREADGROUP",
            vec![t("GROUP"), t("g"), t("c"), t("STREAMS"), stream.clone(), t(">")],
        ),
        ("XAUTOCLAIM", vec![stream.clone(), t("g"), t("c"), n(1), t("0")]),
        ("XACK", vec![stream.clone(), t("g"), t("1-1")]),
        ("XDEL", vec![stream.clone(), t("1-1")]),
        ("PUBLISH", vec![key("channel"), t("v")]),
        ("PUBSUB", vec![t("NUMSUB"), key("channel")]),
        ("TIME", vec![]),
        ("SCRIPT", vec![t("LOAD"), t("return 1")]),
        ("EVAL", vec![t("return 1"), n(0)]),
        ("EVALSHA", vec![t("e0e1f9fabfc9d4800c877a703b823ac0578ff8db"), n(0)]),
    ];
    probes.push(("UNLINK", vec![hash, text, list, stream]));
    probes
}

/// Looks at the server behind `link`. Returns what is to be said, though it works.
pub(super) async fn run(
    link: &Link,
    config: &Config,
    timeout: Duration,
    address: &str,
    prefix: &str,
) -> Result<Vec<String>, StartError> {
    let info = match link.run_within(START_WITHIN, ("INFO", vec![])).await {
        Ok(info) => info.as_string().unwrap_or_default(),
        Err(e) if e.details().starts_with("NOPERM") => String::new(),
        Err(e) if e.details().starts_with("LOADING") => {
            return Err(StartError::Unreachable {
                address: address.to_owned(),
                reason: "it is still loading its data".into(),
            });
        }
        Err(e) => return Err(not_connected(address, &e)),
    };
    let field = |name: &str| {
        info.lines()
            .find_map(|l| l.trim_end().strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let address = address.to_owned();
    if info.is_empty() {
        return Err(StartError::Permission {
            address,
            commands: "info".into(),
        });
    }
    let found = field("redis_version").unwrap_or("unknown").to_owned();
    if !new_enough(&found) {
        return Err(StartError::Version { address, found });
    }
    if field("cluster_enabled") == Some("1") {
        return Err(StartError::Cluster { address });
    }
    if field("role") == Some("slave") && field("slave_read_only") != Some("0") {
        return Err(StartError::ReadOnly { address });
    }
    let mut warnings = Vec::new();
    if let Some(policy) = field("maxmemory_policy").filter(|p| *p != "noeviction" && field("maxmemory") != Some("0")) {
        warnings.push(format!(
            "Redis at {address} drops keys when it is full (maxmemory-policy {policy}), so that checkpoints can vanish: set it to \
             noeviction"
        ));
    }
    let mut missing: Vec<String> = Vec::new();
    let mut miss = |command: String| {
        if !missing.contains(&command) {
            missing.push(command);
        }
    };
    let probes = probes(prefix);
    let wanted = probes.len();
    let answers = link.run_all_within(START_WITHIN, probes).await;
    if answers.len() < wanted
        && let Some(e) = answers.iter().find_map(|a| a.as_ref().err())
    {
        return Err(not_connected(&address, e));
    }
    let mut full = false;
    for e in answers.iter().filter_map(|a| a.as_ref().err()) {
        let details = e.details();
        let word = details.split_whitespace().next().unwrap_or_default();
        match word {
            "NOPERM" => miss(noperm(details)),
            "READONLY" => return Err(StartError::ReadOnly { address }),
            "OOM" => full = true,
            // What a probe leaves behind for the next: a group that is there, a stream that a full server did not make.
            "BUSYGROUP" | "NOGROUP" | "ERR" | "NOSCRIPT" => {}
            _ => {
                return Err(StartError::Refuses {
                    address,
                    reason: details.to_owned(),
                });
            }
        }
    }
    if full {
        warnings.push(format!(
            "Redis at {address} is full (maxmemory): checkpoints stay in the file beside the journal until it has room"
        ));
    }
    // Subscribing needs a connection of its own.
    let listener = Link::open(config, timeout)
        .await
        .map_err(|e| not_connected(&address, &e))?;
    let channel = format!("{prefix}check:{:016x}", rand::random::<u64>());
    match listener.subscribe_within(START_WITHIN, vec![channel.clone()]).await {
        Ok(()) => {
            let numsub = ("PUBSUB", vec![Value::from_static_str("NUMSUB"), Value::from(channel)]);
            let heard = link
                .run_within(START_WITHIN, numsub)
                .await
                .ok()
                .and_then(|answer| answer.into_array().pop()?.as_u64());
            if heard == Some(0) {
                miss("subscribe".into());
            }
        }
        Err(e) if e.details().starts_with("NOPERM") => miss(noperm(e.details())),
        Err(e) => return Err(not_connected(&address, &e)),
    }
    listener.close().await;
    if missing.is_empty() {
        Ok(warnings)
    } else {
        Err(StartError::Permission {
            address,
            commands: missing.join(", "),
        })
    }
}

fn new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|p| p.parse::<u32>().ok());
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    (major, minor) >= VERSION_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_its_password_kept_out_of_what_is_said() {
        let (config, address) = parse("redis://anna:se%2Fcret@redis.plant:6390/3").unwrap();
        assert_eq!(address, "redis.plant:6390/3");
        assert_eq!(
            (config.username.as_deref(), config.password.as_deref(), config.database),
            (Some("anna"), Some("se/cret"), Some(3))
        );
        assert_eq!(parse("redis://[::1]:6390").unwrap().1, "[::1]:6390/0");
        assert_eq!(parse("redis://localhost").unwrap().1, "localhost:6379/0");
        for bad in [
            "",
            "localhost:6379",
            "http://u:secret@h",
            "redis://",
            "redis://u:secret@",
            "redis://u:secret@:6379",
            "redis://u:secret@h:port",
            "redis://u:secret@h/x",
            "redis://u:secret@h/256",
            "redis://u:secret@h?node=x",
            "redis-cluster://u:secret@h",
            "redis://u:sec%zzret@h:99999",
        ] {
            let e = parse(bad).map(|(_, address)| address).unwrap_err();
            let said = format!("{e} {e:?}");
            assert!(
                matches!(e, StartError::Url(_)) && !said.contains("sec"),
                "{bad}: {said}"
            );
        }
    }

    #[test]
    fn versions_are_told_apart() {
        for (version, want) in [
            ("6.2.0", true),
            ("7.0.15", true),
            ("10.0", true),
            ("6.0.16", false),
            ("5.9.9", false),
            ("", false),
        ] {
            assert_eq!(new_enough(version), want, "{version}");
        }
    }
}
