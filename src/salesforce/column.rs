//! What may be written into a field: its type, its length, its values.

use serde::Deserialize;

use super::client::{Call, Client};
use super::error::Error;
use super::{query, refusal};

/// A field as the org describes it to whoever wants to write it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Column {
    pub name: String,
    /// `string`, `picklist`, `double` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of a text, in characters; 0 where it has none.
    #[serde(default)]
    pub length: usize,
    /// The bridge's user may set it in a new record.
    pub createable: bool,
    /// Of a picklist: nothing but its values.
    #[serde(rename = "restrictedPicklist", default)]
    pub restricted: bool,
    #[serde(rename = "picklistValues", default)]
    values: Vec<Choice>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Choice {
    value: String,
    #[serde(default)]
    active: bool,
}

#[derive(Deserialize)]
struct Description {
    fields: Vec<Column>,
}

impl Column {
    /// The values of a picklist that are in use.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter(|choice| choice.active).map(|choice| choice.value.as_str())
    }
}

impl Client {
    /// The fields of an object that the bridge's user can see, as it may write them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn columns(&self, object: &str) -> Result<Vec<Column>, Error> {
        let object = query::name(object)?;
        let body = self.call(Call::get(format!("sobjects/{object}/describe"))).await?;
        let description: Description = refusal::parse(&body, "a description of an object was expected")?;
        Ok(description.fields)
    }
}
