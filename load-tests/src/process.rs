//! What the kernel says about a process: CPU time and memory, from `/proc`.

use anyhow::{Context as _, bail};
use serde::Serialize;

/// Ticks of `/proc/PID/stat` in a second. The kernel's interface fixes this at 100 on every architecture that we run on, whatever its timer.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// User and system time since the process began.
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub resident_bytes_max: u64,
}

/// Reads the usage of a running process.
pub fn usage(pid: u32) -> anyhow::Result<Usage> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}: is process {pid} running?"))
    };
    parse(&read("stat")?, &read("status")?)
}

fn parse(stat: &str, status: &str) -> anyhow::Result<Usage> {
    // The second field is the program's name in parentheses and may hold anything, parentheses too.
    let Some((_, rest)) = stat.rsplit_once(')') else {
        bail!("/proc/PID/stat without a program name")
    };
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // After the name: state is field 3 of the file, utime 14, stime 15.
    let ticks = |i: usize| -> anyhow::Result<f64> {
        fields
            .get(i - 3)
            .and_then(|f| f.parse().ok())
            .with_context(|| format!("field {i} of /proc/PID/stat is no number"))
    };
    let kib = |name: &str| -> anyhow::Result<u64> {
        status
            .lines()
            .find_map(|l| {
                l.strip_prefix(name)?
                    .strip_prefix(':')?
                    .trim()
                    .strip_suffix("kB")?
                    .trim()
                    .parse()
                    .ok()
            })
            .with_context(|| format!("/proc/PID/status has no {name}"))
    };
    Ok(Usage {
        cpu_seconds: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
        resident_bytes: kib("VmRSS")? * 1024,
        resident_bytes_max: kib("VmHWM")? * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = "12 (an (odd) name) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0 5 0 0";
        let u = parse(stat, "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n").unwrap();
        assert_eq!(
            u,
            Usage {
                cpu_seconds: 3.0,
                resident_bytes: 1 << 20,
                resident_bytes_max: 2 << 20
            }
        );
        assert!(parse("nonsense", "").is_err());
    }

    #[test]
    fn our_own_process_can_be_read() {
        assert!(usage(std::process::id()).unwrap().resident_bytes > 0);
    }
}
