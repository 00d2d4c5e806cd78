//! People who can be told.

use super::Relational;
use super::database::{Database, Row, Transaction, Value, insert_rows};
use super::heal::{gone, next_generation};
use crate::ports::Result;
use crate::ports::people::{PeopleStore, PersonRow};
use andon_engine::time::Timestamp;

const PUT: &str = "INSERT INTO people (id, name, email, language, created_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, language = excluded.language";
const SELECT: &str = "SELECT id, name, email, language, created_at FROM people ORDER BY id";
const DELETE: &str = "DELETE FROM people WHERE id = $1";
const PUT_BACK: &str = "INSERT INTO people (id, name, email, language, created_at)";
const PEOPLE: &str = "people";

#[async_trait::async_trait]
impl<D: Database> PeopleStore for Relational<D> {
    async fn put_person(&self, person: &PersonRow) -> Result<()> {
        let mut tx = self.db.begin().await?;
        tx.execute(PUT.into(), values(person)).await?;
        next_generation::<D>(&mut tx, PEOPLE).await?;
        tx.commit().await?;
        self.memory.lock().people.insert(person.id.clone(), person.clone());
        Ok(())
    }

    async fn people(&self) -> Result<Vec<PersonRow>> {
        let read = self.db.fetch(SELECT.into(), vec![]).await;
        let people = self
            .or_heal(read)
            .await?
            .into_iter()
            .map(person)
            .collect::<Result<Vec<_>>>()?;
        // An emptied table must not be taken for the people: nobody would be told.
        if !self.same_store().await? {
            return Err(gone::<D>(
                "it was emptied and the known people are back: read them again".to_owned(),
            ));
        }
        self.memory.lock().people = people.iter().map(|p| (p.id.clone(), p.clone())).collect();
        Ok(people)
    }

    async fn remove_person(&self, id: &str) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let removed = tx.execute(DELETE.into(), vec![Value::text(id)]).await? > 0;
        if removed {
            next_generation::<D>(&mut tx, PEOPLE).await?;
        }
        tx.commit().await?;
        self.memory.lock().people.remove(id);
        Ok(removed)
    }

    async fn people_generation(&self) -> Result<u64> {
        self.generation(PEOPLE).await
    }
}

/// What a store that was emptied has to hold again. Those that are there stay.
pub(super) async fn put_back<D: Database>(tx: &mut D::Transaction, people: &[PersonRow]) -> Result<()> {
    let rows = people.iter().map(values);
    insert_rows::<D>(tx, PUT_BACK, 5, "ON CONFLICT DO NOTHING", rows)
        .await
        .map(drop)
}

fn values(person: &PersonRow) -> Vec<Value> {
    vec![
        Value::text(&person.id),
        Value::text(&person.name),
        Value::text(&person.email),
        Value::text(&person.language),
        Value::int(person.created_at.as_micros()),
    ]
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
