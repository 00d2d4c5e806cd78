//! People who can be told.

use super::Relational;
use super::database::{Database, Row, Transaction, Value};
use crate::ports::Result;
use crate::ports::people::{PeopleStore, PersonRow};
use andon_engine::time::Timestamp;

const PUT: &str = "INSERT INTO people (id, name, email, language, created_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, language = excluded.language";
const SELECT: &str = "SELECT id, name, email, language, created_at FROM people ORDER BY id";
const DELETE: &str = "DELETE FROM people WHERE id = $1";
const GENERATION: &str = "SELECT generation FROM generations WHERE name = 'people'";
const NEXT_GENERATION: &str = "INSERT INTO generations AS g (name, generation) VALUES ('people', 1)
    ON CONFLICT (name) DO UPDATE SET generation = g.generation + 1";

#[async_trait::async_trait]
impl<D: Database> PeopleStore for Relational<D> {
    async fn put_person(&self, person: &PersonRow) -> Result<()> {
        let values = vec![
            Value::text(&person.id),
            Value::text(&person.name),
            Value::text(&person.email),
            Value::text(&person.language),
            Value::int(person.created_at.as_micros()),
        ];
        let mut tx = self.db.begin().await?;
        tx.execute(PUT.into(), values).await?;
        tx.execute(NEXT_GENERATION.into(), vec![]).await?;
        tx.commit().await
    }

    async fn people(&self) -> Result<Vec<PersonRow>> {
        let rows = self.db.fetch(SELECT.into(), vec![]).await?;
        rows.into_iter().map(person).collect()
    }

    async fn remove_person(&self, id: &str) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let removed = tx.execute(DELETE.into(), vec![Value::text(id)]).await? > 0;
        if removed {
            tx.execute(NEXT_GENERATION.into(), vec![]).await?;
        }
        tx.commit().await?;
        Ok(removed)
    }

    async fn people_generation(&self) -> Result<u64> {
        match self.db.fetch(GENERATION.into(), vec![]).await?.into_iter().next() {
            Some(mut row) => row.unsigned(),
            None => Ok(0),
        }
    }
}

fn person(mut r: Row) -> Result<PersonRow> {
    Ok(PersonRow {
        id: r.text()?,
        name: r.text()?,
        email: r.text()?,
        language: r.text()?,
        created_at: Timestamp(r.int()?),
    })
}
