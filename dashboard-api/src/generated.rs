//! Files that are generated from this crate and committed.

use std::path::Path;

/// Fails when the committed file (relative to this crate) is not `current`; writes it instead when `ANDON_REGENERATE` is set.
pub(crate) fn assert_current(path: &str, current: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("ANDON_REGENERATE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).unwrap();
        std::fs::write(&path, current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "{} is stale: run ANDON_REGENERATE=1 cargo test -p andon-dashboard-api --lib, and commit it",
        path.display()
    );
}

#[test]
fn the_committed_schema_is_the_server_s() {
    assert_current("schema.graphql", &crate::graphql::sdl());
}
