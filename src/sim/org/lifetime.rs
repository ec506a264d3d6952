//! What happens to rows as wholes: out of the recycle bin or out of it for good, merged into another, converted.

use serde_json::{Value, json};

use super::{
    Fields, Org, Refusal, Writer, flag, id,
    schema::{Field, Kind},
    text,
};

impl Org {
    /// Takes a row out of the recycle bin.
    pub(crate) fn undelete(&mut self, id: &str, by: &Writer) -> Result<(), Refusal> {
        let (object, mut fields) = self.any(id)?;
        if !flag(&fields, "IsDeleted") {
            return Err(Refusal::new("UNDELETE_FAILED", "Entity is not in the recycle bin"));
        }
        let definition = self.known(&object)?;
        self.check_keys(&definition, &fields)?;
        fields.insert("IsDeleted".to_owned(), false.into());
        if fields.contains_key("MasterRecordId") {
            fields.insert("MasterRecordId".to_owned(), Value::Null);
        }
        self.store(&object, &id_of(&fields), fields, by);
        Ok(())
    }

    /// Empties the recycle bin of a row: nothing tells of it any more.
    pub(crate) fn purge(&mut self, id: &str) -> Result<(), Refusal> {
        let (object, fields) = self.any(id)?;
        if !flag(&fields, "IsDeleted") {
            return Err(Refusal::new("DELETE_FAILED", "Entity is not in the recycle bin"));
        }
        self.place(&object, &id_of(&fields), None);
        Ok(())
    }

    /// Merges rows into `master`: they are deleted, name it, and what pointed at them points at it.
    pub(crate) fn merge(&mut self, master: &str, losers: &[String], by: &Writer) -> Result<(), Refusal> {
        let (object, kept) = self.any(master)?;
        let wrong = |why: &str| Refusal::new("INVALID_ID_FIELD", why.to_owned());
        if flag(&kept, "IsDeleted") || !["Account", "Contact", "Lead"].contains(&object.as_str()) {
            return Err(wrong("only a live account, contact or lead can be merged into"));
        }
        let master = id_of(&kept);
        for loser in losers {
            let (kind, mut fields) = self.any(loser)?;
            let loser = id_of(&fields);
            if kind != object || loser == master || flag(&fields, "IsDeleted") {
                return Err(wrong("a merged record must be another live one of the same kind"));
            }
            fields.insert("IsDeleted".to_owned(), true.into());
            fields.insert("MasterRecordId".to_owned(), master.clone().into());
            self.store(&object, &loser, fields, by);
            self.point_elsewhere(&loser, &master, by);
        }
        self.store(&object, &master, kept, by);
        Ok(())
    }

    /// Turns a lead into a contact of an account, which are made where none is given, and answers their ids.
    pub(crate) fn convert(
        &mut self,
        lead: &str,
        contact: Option<&str>,
        account: Option<&str>,
        by: &Writer,
    ) -> Result<(String, Value), Refusal> {
        let (object, mut fields) = self.any(lead)?;
        if object != "Lead" || flag(&fields, "IsDeleted") {
            return Err(Refusal::not_found());
        }
        if flag(&fields, "IsConverted") {
            return Err(Refusal::new("CANNOT_UPDATE_CONVERTED_LEAD", "cannot update converted lead"));
        }
        let lead = id_of(&fields);
        let (contact, account) = match contact {
            Some(contact) => {
                let row = self.live("Contact", contact).ok_or_else(Refusal::not_found)?;
                let account = row.fields.get("AccountId").cloned().unwrap_or_default();
                (id_of(&row.fields), account)
            }
            None => self.made_of(&fields, account, by)?,
        };
        let date = by.now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
        fields.insert("IsConverted".to_owned(), true.into());
        fields.insert("ConvertedDate".to_owned(), date.into());
        fields.insert("ConvertedContactId".to_owned(), contact.clone().into());
        fields.insert("ConvertedAccountId".to_owned(), account.clone());
        fields.insert("Status".to_owned(), "Closed - Converted".into());
        self.store("Lead", &lead, fields, by);
        self.point_elsewhere(&lead, &contact, by);
        Ok((contact, account))
    }

    /// The contact and the account that a lead's own fields make.
    fn made_of(&mut self, lead: &Fields, account: Option<&str>, by: &Writer) -> Result<(String, Value), Refusal> {
        let account = if let Some(account) = account {
            id_of(&self.live("Account", account).ok_or_else(Refusal::not_found)?.fields)
        } else {
            let firm = json!({"Name": text(lead, "Company"), "Phone": text(lead, "Phone")});
            self.create("Account", firm.as_object().unwrap_or(&Fields::new()), by)?
        };
        let mut person = Fields::new();
        for field in ["FirstName", "LastName", "Title", "Phone", "MobilePhone", "Fax", "Email", "OwnerId"] {
            person.insert(field.to_owned(), lead.get(field).cloned().unwrap_or_default());
        }
        person.insert("AccountId".to_owned(), account.clone().into());
        Ok((self.create("Contact", &person, by)?, account.into()))
    }

    /// Makes every live row that points at `from` point at `to`, as far as its field may.
    fn point_elsewhere(&mut self, from: &str, to: &str, by: &Writer) {
        let Some(kind) = self.object_of_id(to).map(|object| object.name.clone()) else {
            return;
        };
        let mut moved = Vec::new();
        for object in self.objects() {
            let points = |field: &&Field| matches!(&field.kind, Kind::Ref { targets, .. } if targets.contains(&kind));
            let takes = object.fields.iter().filter(points).filter(|field| !is_history(&field.name));
            let takes: Vec<&str> = takes.map(|field| field.name.as_str()).collect();
            for row in self.rows(&object.name).filter(|row| !row.is_deleted()) {
                let mut pointing = takes.iter().filter(|field| text(&row.fields, field) == Some(from)).peekable();
                if pointing.peek().is_some() {
                    let mut fields = (*row.fields).clone();
                    pointing.for_each(|field| {
                        fields.insert((*field).to_owned(), to.into());
                    });
                    moved.push((object.name.clone(), fields));
                }
            }
        }
        for (object, mut fields) in moved {
            self.derive(&object, &mut fields, by);
            self.store(&object, &id_of(&fields), fields, by);
        }
    }

    /// A row by its id alone, deleted or not.
    fn any(&self, id: &str) -> Result<(String, Fields), Refusal> {
        let id = id::normal(id).ok_or_else(|| Refusal::new("MALFORMED_ID", format!("malformed id {id}")))?;
        let object = self.object_of_id(&id).ok_or_else(Refusal::not_found)?;
        let row = self.row(&object.name, &id).ok_or_else(Refusal::not_found)?;
        Ok((object.name.clone(), (*row.fields).clone()))
    }
}

/// Fields that say what happened to the row itself.
fn is_history(field: &str) -> bool {
    field == "MasterRecordId" || field.starts_with("Converted")
}

fn id_of(fields: &Fields) -> String {
    text(fields, "Id").unwrap_or_default().to_owned()
}
