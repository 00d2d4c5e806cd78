//! Documents stay true: every path of the repository that they name exists.

use std::path::{Path, PathBuf};

const ROOTS: &[&str] = &[
    "engine",
    "storage",
    "gateway",
    "actors",
    "dashboard-api",
    "web",
    "benches",
    "load-tests",
    "deploy",
    "docs",
    "src",
    "tests",
    ".github",
    ".ci",
];

fn documents(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() {
            if !["target", "node_modules", "dist", ".git"].contains(&name.as_str()) && !name.ends_with("-data") {
                documents(&path, out);
            }
        } else if name.ends_with(".md") {
            out.push(path);
        }
    }
}

/// Paths named in a document: in backticks or as the target of a link, and starting with one of our folders or ending as a file of the root.
fn named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let quoted = text.split('`').skip(1).step_by(2);
    let linked = text.split("](").skip(1).filter_map(|t| t.split(')').next());
    for candidate in quoted.chain(linked) {
        let candidate = candidate
            .split(['#', ' ', ':'])
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        let first = candidate.split('/').next().unwrap_or_default();
        let ours = ROOTS.contains(&first) && candidate.contains('/');
        let root_file = [
            "README.md",
            "ARCHITECTURE.md",
            "Makefile",
            "Cargo.toml",
            "Cargo.lock",
            "clippy.toml",
            "LICENSE",
        ]
        .contains(&candidate);
        let pattern = candidate.contains(['*', '<', '{', '$', '…']);
        if (ours || root_file) && !pattern {
            found.push(candidate.to_owned());
        }
    }
    found
}

#[test]
fn every_path_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut docs = Vec::new();
    documents(root, &mut docs);
    assert!(
        docs.iter().any(|d| d.ends_with("ARCHITECTURE.md")),
        "ARCHITECTURE.md is among them"
    );
    let mut missing = Vec::new();
    for doc in docs {
        let text = std::fs::read_to_string(&doc).expect("a readable document");
        for path in named(&text) {
            let beside = doc.parent().expect("a folder").join(&path);
            // What a build makes is named by documents but not committed.
            let built = path.starts_with("web/dist") || path.starts_with("web/node_modules");
            if !root.join(&path).exists() && !beside.exists() && !built {
                missing.push(format!(
                    "{} names {path}",
                    doc.strip_prefix(root).expect("inside").display()
                ));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn paths_are_found_in_backticks_and_links() {
    let text = "See `engine/src/lib.rs:10`, [the docs](docs/CLI.md#exit), `cargo test`, `src/*.rs` and `README.md`.";
    assert_eq!(named(text), ["engine/src/lib.rs", "README.md", "docs/CLI.md"]);
}
