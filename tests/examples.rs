//! The examples in the documents are ones that the program takes: `andon check` reads every configuration file among them.

use std::path::{Path, PathBuf};
use std::process::Command;

fn examples() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    let mut found: Vec<_> = std::fs::read_dir(&dir)
        .expect("docs/examples")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|x| x == "toml"))
        .collect();
    found.sort();
    found
}

fn check(file: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_andon"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ANDON_")) {
        command.env_remove(name);
    }
    let output = command.arg("check").arg(file).output().expect("andon runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn every_example_passes_the_check() {
    let examples = examples();
    assert!(!examples.is_empty(), "docs/examples has configuration files");
    for file in examples {
        let (passes, said) = check(&file);
        assert!(passes, "{}: {said}", file.display());
        assert!(
            !said.contains("no rule leads to anybody"),
            "{}: an example tells somebody: {said}",
            file.display()
        );
    }
}

#[test]
fn the_check_refuses_an_example_that_is_spoilt() {
    let dir = tempfile::tempdir().expect("a folder");
    for file in examples() {
        let text = std::fs::read_to_string(&file).expect("a readable example");
        let spoilt = dir.path().join("spoilt.toml");
        std::fs::write(&spoilt, text.replace("version = 1", "version = 2")).expect("written");
        let (passes, said) = check(&spoilt);
        assert!(!passes && said.contains("version"), "{}: {said}", file.display());
    }
}

/// The worked example shows the rule that the file has.
#[test]
fn the_worked_example_quotes_its_file() {
    for file in examples() {
        let page = std::fs::read_to_string(file.with_extension("md")).expect("a page beside the file");
        let text = std::fs::read_to_string(&file).expect("a readable example");
        let rules = &text[text.find("[[rules]]").expect("rules")..];
        assert!(page.contains(rules.trim_end()), "{} quotes its rules", file.display());
    }
}
