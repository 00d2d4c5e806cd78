//! Dependencies point one way: `engine` ← `storage`, `actors`, `gateway`, `dashboard-api` ← the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What a crate must not reach, however indirectly.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "andon-engine",
        &[
            "tokio",
            "sqlx",
            "fred",
            "hyper",
            "ractor",
            "tracing",
            "serde_json",
            "simd-json",
            "metrics",
        ],
    ),
    (
        "andon-gateway",
        &[
            "andon-storage",
            "andon-actors",
            "andon-dashboard-api",
            "sqlx",
            "tantivy",
            "ractor",
        ],
    ),
    (
        "andon-storage",
        &[
            "andon-gateway",
            "andon-actors",
            "andon-dashboard-api",
            "hyper",
            "ractor",
            "axum",
        ],
    ),
    ("andon-actors", &["andon-gateway", "andon-dashboard-api", "axum"]),
    ("andon-dashboard-api", &["andon-gateway", "andon-actors", "ractor"]),
];

/// What such a library reaches is its own affair: the client of a store speaks the store's protocol.
const CLIENTS: &[(&str, &str)] = &[("andon-storage", "elasticsearch")];

/// Direct, ordinary dependencies of each package of the lock file's graph, by package id.
fn graph() -> (BTreeMap<String, String>, BTreeMap<String, Vec<String>>) {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let out = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let meta: serde_json::Value = serde_json::from_slice(&out.stdout).expect("cargo metadata is JSON");
    let text = |v: &serde_json::Value| v.as_str().expect("a text").to_owned();
    let names = meta["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|p| (text(&p["id"]), text(&p["name"])))
        .collect();
    let ordinary = |d: &serde_json::Value| {
        d["dep_kinds"]
            .as_array()
            .is_some_and(|k| k.iter().any(|k| k["kind"].is_null()))
    };
    let nodes = meta["resolve"]["nodes"].as_array().expect("nodes").iter();
    let edges = nodes
        .map(|n| {
            let deps = n["deps"]
                .as_array()
                .expect("deps")
                .iter()
                .filter(|d| ordinary(d))
                .map(|d| text(&d["pkg"]))
                .collect();
            (text(&n["id"]), deps)
        })
        .collect();
    (names, edges)
}

#[test]
fn no_crate_reaches_what_it_must_not() {
    let (names, edges) = graph();
    let mut faults = Vec::new();
    for (krate, forbidden) in FORBIDDEN {
        let start = names
            .iter()
            .find(|(_, n)| n == krate)
            .map(|(id, _)| id.clone())
            .expect("a workspace crate");
        let mut seen = BTreeSet::from([start.clone()]);
        let mut open = vec![start];
        while let Some(id) = open.pop() {
            if CLIENTS.contains(&(*krate, names[&id].as_str())) {
                continue;
            }
            for next in &edges[&id] {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        let reached: BTreeSet<&str> = seen.iter().map(|id| names[id].as_str()).collect();
        faults.extend(
            forbidden
                .iter()
                .filter(|f| reached.contains(**f))
                .map(|f| format!("{krate} reaches {f}")),
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
