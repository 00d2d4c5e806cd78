//! A history as a person reads it.

use crate::history::{History, Step};
use andon_engine::rule::Rule;
use std::fmt;

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for r in &self.configuration.rules {
            write_rule(f, r)?;
        }
        for (n, step) in self.steps.iter().enumerate() {
            write!(f, "{n:3} ")?;
            match step {
                Step::Records {
                    received_at,
                    sender,
                    records,
                } => {
                    writeln!(f, "received {received_at} from {sender}")?;
                    for r in records {
                        write!(f, "      {} {:+}µs", r.stamp, r.stamp.since(*received_at).0)?;
                        let names = [r.application, r.device, r.user, r.kind, r.message.as_deref()];
                        names.iter().flatten().try_for_each(|name| write!(f, " {name}"))?;
                        writeln!(
                            f,
                            " {:?} {:?} {}{}",
                            r.level,
                            r.readings,
                            r.fields,
                            if r.history { " history" } else { "" }
                        )?;
                    }
                }
                Step::Configured { at, configuration } => {
                    writeln!(f, "configured {at} version {}", configuration.version)?;
                    for r in &configuration.rules {
                        write_rule(f, r)?;
                    }
                    for d in &configuration.devices {
                        writeln!(f, "      {} in {:?}", d.id, d.area)?;
                    }
                }
                other => writeln!(f, "{other:?}")?,
            }
        }
        Ok(())
    }
}

fn write_rule(f: &mut fmt::Formatter<'_>, r: &Rule) -> fmt::Result {
    write!(f, "      {} per {} {:?}", r.id, r.subject.as_str(), r.condition)?;
    write!(f, " off {:?} reopen {:?}", r.off_delay, r.reopen_within)?;
    writeln!(f, " enabled {} {:?}", r.enabled, r.selector)
}
