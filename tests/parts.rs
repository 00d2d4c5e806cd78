//! `deploy/test/parts.sh`: what `make test` does with a part that fails.

use std::path::Path;
use std::process::{Command, Output};

/// Runs a script that has sourced it.
fn run(script: &str) -> Output {
    let whole = format!("set -euo pipefail\n. deploy/test/parts.sh\n{script}\nparts_done\n");
    Command::new("bash")
        .args(["-c", &whole])
        .env_remove("ANDON_TEST_FAILED")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .expect("bash runs")
}

#[test]
fn every_part_runs_and_those_that_failed_are_listed_at_the_end() {
    let output = run("two() { echo begun; exit_code_of_a_pipe | cat; echo went on; }
        exit_code_of_a_pipe() { return 7; }
        of_another_script() { bash -c 'set -eu; . deploy/test/parts.sh; part inner false; part after echo inner_after; parts_done'; }
        part first true
        part second two
        part third false
        part fourth of_another_script
        part last echo at the end");
    let said = String::from_utf8_lossy(&output.stdout);
    for part in ["== first ==", "== third ==", "inner_after", "at the end"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("went on"), "a part ends at its first failure: {said}");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    let (_, list) = errors.split_once("== failed ==").expect("a list at the end");
    let listed: Vec<&str> = list.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(
        listed,
        [
            "second (exit code 7)",
            "third (exit code 1)",
            "inner (exit code 1)",
            "fourth (exit code 1)"
        ]
    );
}

#[test]
fn when_all_is_well_nothing_is_listed() {
    let output = run("part one true\npart two true");
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
    assert!(String::from_utf8_lossy(&output.stdout).contains("every part passed"));
}
