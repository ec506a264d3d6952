//! Which fields of which objects the bridge's user can see.

use super::source::Source;
use crate::directory::config::Config;
use crate::directory::shape::Shape;
use crate::salesforce::{Client, Error, Field};

/// An object that cannot be read, and what to do about it.
pub(super) type Unreadable = (String, String);

/// What can be read, and what cannot.
#[derive(Debug)]
pub(super) struct Learned {
    pub sources: Vec<Source>,
    pub unreadable: Vec<Unreadable>,
}

/// Asks for the fields of each object: a call for each.
pub(super) async fn learn(client: &Client, config: &Config) -> Result<Learned, Error> {
    let mut learned = Learned { sources: Vec::new(), unreadable: Vec::new() };
    for object in &config.objects {
        match described(client.describe(object).await)? {
            Ok(fields) => learned.take(object, Shape::described(object, &fields)),
            Err(why) => learned.unreadable.push((object.clone(), why)),
        }
    }
    for object in &config.custom_objects {
        match described(client.describe(&object.name).await)? {
            Ok(fields) => {
                let shape = Shape::custom_described(object, &fields);
                learned.miss(object.phone_fields.iter(), shape.as_ref());
                learned.take(&object.name, shape);
            }
            Err(why) => learned.unreadable.push((object.name.clone(), why)),
        }
    }
    learned.see_to_account_names(client).await?;
    Ok(learned)
}

impl Learned {
    fn take(&mut self, object: &str, shape: Option<Shape>) {
        let Some(shape) = shape else {
            let why = "none of its phone fields can be seen; give the user of ctibridge access to them";
            self.unreadable.push((object.to_owned(), why.to_owned()));
            return;
        };
        let source = Source { shape };
        match source.touched(None).and_then(|_| source.all()) {
            Ok(_) => self.sources.push(source),
            Err(error) => self.unreadable.push((object.to_owned(), error.to_string())),
        }
    }

    /// Names the fields of the settings that are not there.
    fn miss<'a>(&mut self, wanted: impl Iterator<Item = &'a String>, shape: Option<&Shape>) {
        let Some(shape) = shape else { return };
        let missing = wanted.filter(|field| !shape.phones.iter().any(|phone| phone.eq_ignore_ascii_case(field)));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        if !missing.is_empty() {
            let why = format!("{} cannot be seen; check the name and the user's access to it", missing.join(", "));
            self.unreadable.push((shape.object.clone(), why));
        }
    }

    /// Contacts are shown with their account's name, also where accounts are not searched; and without it, where accounts may not
    /// be read.
    async fn see_to_account_names(&mut self, client: &Client) -> Result<(), Error> {
        let of_contacts = self.sources.iter().any(|source| source.shape.reads("Account.Name"));
        if !of_contacts || self.sources.iter().any(|source| source.object() == "Account") {
            return Ok(());
        }
        if described(client.describe("Account").await)?.is_ok() {
            self.sources.push(Source { shape: Shape::account_names() });
        } else {
            self.sources.iter_mut().for_each(|source| source.shape.leave_account_names());
        }
        Ok(())
    }
}

/// The fields, or why the object cannot be read; an error when it is not about the object.
fn described(outcome: Result<Vec<Field>, Error>) -> Result<Result<Vec<Field>, String>, Error> {
    match outcome {
        Ok(fields) => Ok(Ok(fields)),
        Err(error) if is_about_the_object(&error) => {
            Ok(Err(format!("{error}; check its name and give the user of ctibridge access to it")))
        }
        Err(error) => Err(error),
    }
}

/// Whether the others can be read all the same.
pub(super) fn is_about_the_object(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            "NOT_FOUND"
                | "INVALID_TYPE"
                | "INVALID_TYPE_FOR_OPERATION"
                | "INVALID_FIELD"
                | "INSUFFICIENT_ACCESS_OR_READONLY"
                | "INSUFFICIENT_ACCESS"
                | "MALFORMED_QUERY"
        )
    )
}
