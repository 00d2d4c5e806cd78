//! What is wrong with a server is said at start, in one sentence, without the password.

use super::open;
use super::site::{Site, administer, server_url, unique};
use andon_storage::ports::rows::RowStore;
use andon_storage::postgres::{OpenError, PostgresOptions, PostgresStore};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;
use tokio::io::AsyncWriteExt;

const PASSWORD: &str = "hush/hush@%";

/// A role that is gone when the test is over, and what it owns with it.
struct Role {
    name: String,
    url: String,
}

impl Role {
    fn new(attributes: &str) -> Self {
        let name = unique("andon_role");
        administer(
            &server_url(),
            &[format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {attributes}")],
        );
        let options = PgConnectOptions::from_str(&server_url()).unwrap();
        let url = options.username(&name).password(PASSWORD).to_url_lossy().to_string();
        Role { name, url }
    }
    fn may(&self, grants: &[String]) {
        administer(&server_url(), grants);
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let name = &self.name;
        administer(
            &server_url(),
            &[format!("DROP OWNED BY {name} CASCADE"), format!("DROP ROLE {name}")],
        );
    }
}

/// The one sentence of an `open` that must fail.
async fn sentence(url: &str, options: PostgresOptions) -> (bool, String) {
    let e = PostgresStore::open(url, options).await.expect_err("it must not open");
    let said = e.to_string();
    for secret in ["hush", "sec ret", "sec%20ret", "wrong-password"] {
        assert!(!said.contains(secret) && !format!("{e:?}").contains(secret), "{said}");
    }
    assert!(!said.contains('\n'), "{said}");
    assert!(said.contains("PostgreSQL"), "{said}");
    (e.is_temporary(), said)
}

async fn assert_says(url: &str, options: PostgresOptions, unreachable: bool, words: &[&str]) {
    let (temporary, said) = sentence(url, options).await;
    assert_eq!(temporary, unreachable, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

/// The test server's URL with something else in it.
fn with(change: impl FnOnce(PgConnectOptions) -> PgConnectOptions) -> String {
    change(PgConnectOptions::from_str(&server_url()).unwrap())
        .to_url_lossy()
        .to_string()
}

#[tokio::test]
async fn a_server_that_is_not_there_or_is_none() {
    let options = PostgresOptions::default;
    assert_says("http://h/d", options(), false, &["postgres://"]).await;
    // A name server, too, may come later.
    let nowhere = "postgres://u:hush@no-such-host.invalid/d";
    assert_says(nowhere, options(), true, &["no-such-host.invalid", "not found"]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://u:hush@127.0.0.1:{port}/d?sslmode=disable");
    let silent = PostgresStore::open(&url, options());
    let accept = async {
        let held = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
        drop(held);
    };
    let e = tokio::select! { e = silent => e.unwrap_err(), () = accept => unreachable!() };
    assert!(
        matches!(e, OpenError::Unreachable(_)) && e.to_string().contains("does not answer"),
        "{e}"
    );
    let answer = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        }
    };
    let e =
        tokio::select! { e = PostgresStore::open(&url, options()) => e.unwrap_err(), () = answer => unreachable!() };
    assert!(!e.to_string().contains("hush"), "{e}");
    drop(listener);
    assert_says(
        &url,
        options(),
        true,
        &["refuses the connection", "running", &port.to_string()],
    )
    .await;
}

#[tokio::test]
async fn a_name_or_password_that_is_wrong() {
    let options = PostgresOptions::default;
    let url = with(|o| o.password("wrong-password"));
    assert_says(&url, options(), false, &["password", "check user and password"]).await;
    let url = with(|o| o.username("nobody_we_know").password("wrong-password"));
    assert_says(&url, options(), false, &["nobody_we_know"]).await;
    let url = with(|o| o.database("no_such_database"));
    assert_says(&url, options(), false, &["no_such_database", "create it"]).await;
    let url = format!("{}?sslmode=require", server_url().split('?').next().unwrap());
    match PostgresStore::open(
        &url,
        PostgresOptions {
            schema: unique("andon_test"),
            ..options()
        },
    )
    .await
    {
        // A server for tests need not have TLS; one that has it must not be talked to without.
        Err(e) => assert!(e.to_string().contains("secure connection"), "{e}"),
        Ok(store) => administer(
            &server_url(),
            &[format!("DROP SCHEMA {} CASCADE", store.database().schema())],
        ),
    }
    for schema in ["", "Robert'); DROP TABLE", "pg_catalog"] {
        let schema = schema.to_owned();
        assert_says(
            &server_url(),
            PostgresOptions { schema, ..options() },
            false,
            &["schema"],
        )
        .await;
    }
    assert_says(
        &server_url(),
        PostgresOptions {
            connections: 1,
            ..options()
        },
        false,
        &["connections"],
    )
    .await;
}

#[tokio::test]
async fn a_role_that_may_not_do_what_is_needed() {
    let site = Site::new();
    let (role, schema) = (Role::new(""), &site.schema);
    let name = &role.name;
    assert_says(
        &role.url,
        site.options(),
        false,
        &[name, "may not create the schema", "CREATE SCHEMA"],
    )
    .await;
    role.may(&[format!("CREATE SCHEMA {schema}")]);
    assert_says(&role.url, site.options(), false, &[name, "may not use", "GRANT USAGE"]).await;
    role.may(&[format!("GRANT USAGE ON SCHEMA {schema} TO {name}")]);
    assert_says(
        &role.url,
        site.options(),
        false,
        &[name, "may not create tables", "GRANT CREATE"],
    )
    .await;
    drop(open(&site).await);
    role.may(&[
        format!("GRANT CREATE ON SCHEMA {schema} TO {name}"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}"),
    ]);
    assert_says(
        &role.url,
        site.options(),
        false,
        &[name, "may not read and write", "GRANT SELECT"],
    )
    .await;
    role.may(&[format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {name}"
    )]);
    assert_says(&role.url, site.options(), false, &[name, "does not own", "partitions"]).await;
    let admin = PgConnectOptions::from_str(&server_url()).unwrap();
    role.may(&[format!("GRANT \"{}\" TO {name}", admin.get_username())]);
    let run_only = PostgresOptions {
        migrate: false,
        ..site.options()
    };
    let store = PostgresStore::open(&role.url, run_only).await.unwrap();
    store
        .write_rows(&[], &[], andon_storage::conformance::cursor(1, 1))
        .await
        .unwrap();
    role.may(&[format!("REVOKE \"{}\" FROM {name}", admin.get_username())]);
}

#[tokio::test]
async fn a_role_that_owns_its_schema_needs_nothing_else() {
    let site = Site::new();
    let role = Role::new("");
    role.may(&[format!("CREATE SCHEMA {} AUTHORIZATION {}", site.schema, role.name)]);
    let store = PostgresStore::open(&role.url, site.options()).await.unwrap();
    assert_eq!(store.row_cursor().await.unwrap(), None);
    assert!(!format!("{store:?}").contains("hush"), "{store:?}");
}

#[tokio::test]
async fn a_schema_of_another_version() {
    let site = Site::new();
    let run_only = PostgresOptions {
        migrate: false,
        ..site.options()
    };
    assert_says(&site.url, run_only.clone(), false, &["andon migrate --postgres-url"]).await;
    administer(&site.url, &[format!("CREATE SCHEMA {}", site.schema)]);
    assert_says(&site.url, run_only.clone(), false, &["andon migrate --postgres-url"]).await;
    drop(open(&site).await);
    drop(PostgresStore::open(&site.url, run_only.clone()).await.unwrap());
    let schema = &site.schema;
    let later =
        format!("INSERT INTO {schema}.schema_migrations (version, name, checksum) VALUES (9999, '9999_later', 'x')");
    administer(&site.url, &[later]);
    assert_says(&site.url, run_only.clone(), false, &["newer Andon", "9999_later"]).await;
    assert_says(&site.url, site.options(), false, &["newer Andon", "9999_later"]).await;
    let earlier = format!("DELETE FROM {schema}.schema_migrations WHERE version IN (3, 9999)");
    administer(&site.url, &[earlier]);
    assert_says(&site.url, run_only, false, &["andon migrate --postgres-url"]).await;
    drop(open(&site).await);
}

#[tokio::test]
async fn a_server_that_takes_no_connection_or_nothing_to_write() {
    let (full, read_only) = (Role::new("CONNECTION LIMIT 0"), Role::new(""));
    let site = Site::new();
    assert_says(
        &full.url,
        site.options(),
        true,
        &["takes no connection now", "too many connections"],
    )
    .await;
    read_only.may(&[
        format!("CREATE SCHEMA {} AUTHORIZATION {}", site.schema, read_only.name),
        format!("ALTER ROLE {} SET default_transaction_read_only = on", read_only.name),
    ]);
    assert_says(&read_only.url, site.options(), false, &["read-only"]).await;
    let latin = unique("andon_latin");
    administer(
        &site.url,
        &[format!(
            "CREATE DATABASE {latin} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        )],
    );
    let url = with(|o| o.database(&latin));
    assert_says(&url, site.options(), false, &[&latin, "UTF8"]).await;
    administer(&site.url, &[format!("DROP DATABASE {latin} WITH (FORCE)")]);
}
