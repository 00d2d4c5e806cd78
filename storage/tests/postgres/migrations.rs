//! Migrations: in steps, at once, twice, and by many at the same time.

use super::open;
use super::site::Site;
use andon_storage::ports::rows::EffectStore;
use andon_storage::postgres::{PostgresDatabase, PostgresStore};
use andon_storage::relational::database::{Database, Transaction, Value};
use andon_storage::relational::migrations::{migrate, missing, relational, render};

/// Columns, indices and constraints, as PostgreSQL has noted them.
async fn schema(db: &PostgresDatabase) -> Vec<String> {
    let sql = "SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, \
               coalesce(collation_name, '') || coalesce(column_default, '')) \
               FROM information_schema.columns WHERE table_schema = $1 \
               UNION ALL SELECT replace(indexdef, $1 || '.', '') FROM pg_indexes WHERE schemaname = $1 \
               UNION ALL SELECT format('%s %s %s', replace(conrelid::regclass::text, $1 || '.', ''), conname, pg_get_constraintdef(c.oid)) \
               FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE n.nspname = $1 ORDER BY 1";
    let rows = db.fetch(sql.into(), vec![Value::text(db.schema())]).await.unwrap();
    rows.into_iter().map(|mut r| r.text().unwrap()).collect()
}

#[tokio::test]
async fn step_by_step_and_twice_gives_the_fresh_schema() {
    let (fresh, stepwise) = (Site::new(), Site::new());
    let all = relational::<PostgresDatabase>();
    let fresh_store = open(&fresh).await;
    let db = PostgresDatabase::connect(&stepwise.url, &stepwise.options())
        .await
        .unwrap();
    for n in 1..=all.len() {
        assert_eq!(missing(&db, &all).await.unwrap(), all.len() - n + 1);
        for _ in 0..2 {
            migrate(&db, &all[..n]).await.unwrap();
        }
    }
    let want = schema(fresh_store.database()).await;
    assert!(want.len() > 150, "{}", want.len());
    assert!(want.iter().any(|l| l.contains("brin")) && want.iter().any(|l| l.contains("jsonb")));
    assert_eq!(schema(&db).await, want);
    // Each file may be run again on its own: a migration whose note was lost does no harm.
    for m in &all {
        let mut tx = db.begin().await.unwrap();
        tx.script(render::<PostgresDatabase>(m.sql)).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(schema(&db).await, want);
    drop(open(&stepwise).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_start_at_once_migrate_once() {
    let site = Site::new();
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let (url, options) = (site.url.clone(), site.options());
            tokio::spawn(async move { PostgresStore::open(&url, options).await })
        })
        .collect();
    for start in starts {
        assert_eq!(start.await.unwrap().unwrap().effect_cursor().await.unwrap(), None);
    }
}
