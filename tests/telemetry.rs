//! Every metric is documented: the names in the code and those in `docs/TELEMETRY.md` are the same.

use std::collections::BTreeSet;
use std::path::Path;

/// Where metrics are named, and nowhere else.
const FILES: &[&str] = &[
    "actors/src/metrics.rs",
    "actors/src/notifier/telemetry.rs",
    "dashboard-api/src/telemetry.rs",
    "gateway/src/metrics.rs",
    "storage/src/redis/metrics.rs",
];

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Values of string constants that begin with `andon_`.
fn constants(source: &str) -> Vec<String> {
    source
        .lines()
        .filter(|line| line.contains("const ") && line.contains(": &str = \"andon_"))
        .filter_map(|line| line.split('"').nth(1).map(str::to_owned))
        .collect()
}

/// Names in the first column of the tables that list metrics.
fn rows(document: &str) -> Vec<String> {
    let (mut inside, mut found) = (false, Vec::new());
    for line in document.lines() {
        if line.starts_with("| metric |") {
            inside = true;
        } else if !line.starts_with('|') {
            inside = false;
        } else if inside && let Some(name) = line.strip_prefix("| `") {
            found.extend(name.split('`').next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_metric_is_documented_and_every_documented_metric_exists() {
    let mut code = BTreeSet::new();
    for file in FILES {
        let names = constants(&read(file));
        assert!(!names.is_empty(), "{file} names no metric any more");
        for name in names {
            assert!(code.insert(name.clone()), "{name} is a constant twice");
        }
    }
    let document = read("docs/TELEMETRY.md");
    let listed = rows(&document);
    let documented: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(
        documented.len(),
        listed.len(),
        "a metric stands twice in docs/TELEMETRY.md"
    );
    let undocumented: Vec<_> = code.difference(&documented).collect();
    assert!(undocumented.is_empty(), "not in docs/TELEMETRY.md: {undocumented:?}");
    // Anywhere in the text, not only in the tables.
    let mentioned = document
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("andon_"));
    let gone: BTreeSet<_> = mentioned.filter(|name| !code.contains(*name)).collect();
    assert!(
        gone.is_empty(),
        "docs/TELEMETRY.md names metrics that do not exist: {gone:?}"
    );
}

#[test]
fn metrics_are_named_in_these_files_only() {
    fn look(dir: &Path, faults: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                look(&path, faults);
            } else if path.extension().is_some_and(|e| e == "rs") {
                for (i, line) in read(&path).lines().enumerate() {
                    if ["counter!(\"", "gauge!(\"", "histogram!(\""]
                        .iter()
                        .any(|m| line.contains(m))
                    {
                        faults.push(format!("{}:{}", path.display(), i + 1));
                    }
                }
            }
        }
    }
    let mut faults = Vec::new();
    for folder in [
        "src",
        "engine/src",
        "storage/src",
        "gateway/src",
        "actors/src",
        "dashboard-api/src",
    ] {
        look(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut faults);
    }
    assert!(
        faults.is_empty(),
        "a metric is named where nobody looks for it; make it a constant in one of {FILES:?}: {faults:?}"
    );
}

#[test]
fn constants_and_rows_are_found() {
    let source = "pub const A: &str = \"andon_a_total\";\nconst B: &str = \"other\";\n// andon_c\n";
    assert_eq!(constants(source), ["andon_a_total"]);
    let document =
        "| metric | kind |\n|---|---|\n| `andon_a_total` | counter |\n\n| condition |\n|---|\n| `andon_b` |\n";
    assert_eq!(rows(document), ["andon_a_total"]);
}
