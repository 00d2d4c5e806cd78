//! Where the server of a data folder keeps its keys and people, for the commands that work beside it: a key in a store that no server
//! reads would be refused with every record.

use super::stores::database_path;
use crate::exit;
use std::io;
use std::path::Path;

/// Beside the journal: the address of PostgreSQL without its user and password. Absent where the folder itself has the store.
const FILE: &str = "keys-in-postgresql";

/// Called by the server at its start.
pub(super) fn note(dir: &Path, postgres_url: Option<&str>) -> io::Result<()> {
    let path = dir.join(FILE);
    let Some(url) = postgres_url else {
        return match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    };
    if database_path(dir).exists() {
        tracing::warn!(
            "keys and people in {} are not used: this server has them in PostgreSQL",
            database_path(dir).display()
        );
    }
    std::fs::write(path, address(url))
}

/// # Errors
/// When the server of this folder keeps its keys in PostgreSQL: says which option is missing.
pub(crate) fn check(dir: &Path) -> anyhow::Result<()> {
    match std::fs::read_to_string(dir.join(FILE)) {
        Ok(address) => Err(exit::config(format!(
            "the server of {} keeps keys and people in PostgreSQL: add --postgres-url postgres://USER:PASSWORD@{}",
            dir.display(),
            address.trim()
        ))),
        Err(_) => Ok(()),
    }
}

/// `host:port/database`.
fn address(url: &str) -> String {
    let Ok(url) = reqwest::Url::parse(url) else {
        return "HOST/DATABASE".to_owned();
    };
    let port = url.port().map_or(String::new(), |p| format!(":{p}"));
    format!("{}{port}{}", url.host_str().unwrap_or("HOST"), url.path())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn commands_beside_a_server_on_postgresql_are_sent_there() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check(dir.path()).is_ok(), "a new folder");
        note(dir.path(), None).unwrap();
        assert!(check(dir.path()).is_ok());
        note(
            dir.path(),
            Some("postgres://anna:s3cret@db.example:5433/andon?sslmode=require"),
        )
        .unwrap();
        let e = check(dir.path()).unwrap_err();
        let said = e.to_string();
        assert!(
            said.ends_with("add --postgres-url postgres://USER:PASSWORD@db.example:5433/andon"),
            "{said}"
        );
        assert!(
            !said.contains("s3cret")
                && !std::fs::read_to_string(dir.path().join(FILE))
                    .unwrap()
                    .contains("s3cret")
        );
        assert_eq!(exit::of(&e), exit::of(&exit::config("x")));
        // Back in the folder.
        note(dir.path(), None).unwrap();
        assert!(check(dir.path()).is_ok());
    }
}
