//! People who can be told, as an operator at a terminal keeps them.

use super::Result;
use andon_engine::time::Timestamp;

#[derive(Clone, PartialEq, Debug)]
pub struct PersonRow {
    /// What routes name them by.
    pub id: String,
    pub name: String,
    pub email: String,
    /// BCP 47: `en`, `de`.
    pub language: String,
    pub created_at: Timestamp,
}

#[async_trait::async_trait]
pub trait PeopleStore: Send + Sync + 'static {
    /// Adds a person, or changes the one of the same id.
    async fn put_person(&self, person: &PersonRow) -> Result<()>;
    /// By id.
    ///
    /// # Errors
    /// `Lost`, never an empty list, when the store was emptied since this process read them: they are put back, read again.
    async fn people(&self) -> Result<Vec<PersonRow>>;
    /// False when there is none of that id.
    async fn remove_person(&self, id: &str) -> Result<bool>;
    /// Counts the changes of the people: while it stays the same, so do they.
    async fn people_generation(&self) -> Result<u64>;
}
