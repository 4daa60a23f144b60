//! A change under way: one transaction of one caller, which ends with its entry in the audit log.

use std::net::IpAddr;

use serde_json::{Map, Value};
use shared::clock::Millis;

use super::{caller::Caller, refusal::Refusal};
use crate::{
    app::App,
    store::{
        Tx,
        audit::{self, AuditEntry},
        changes,
    },
};

/// Dropped without an end, it is rolled back.
#[derive(Debug)]
pub struct Change<'a> {
    app: &'a App,
    /// `None`: nobody who is signed in, so far.
    caller: Option<Caller>,
    address: Option<IpAddr>,
    pub tx: Tx,
    /// When it is made.
    pub now: Millis,
}

impl<'a> Change<'a> {
    /// # Errors
    /// What the database says.
    pub async fn begin(app: &'a App, caller: &Caller) -> Result<Self, Refusal> {
        Ok(Self { caller: Some(*caller), ..Self::begin_unsigned(app, caller.address).await? })
    }

    /// For someone who is not signed in; [`Self::by`] says who it turned out to be.
    ///
    /// # Errors
    /// What the database says.
    pub async fn begin_unsigned(app: &'a App, address: Option<IpAddr>) -> Result<Self, Refusal> {
        let tx = app.store.begin().await?;
        Ok(Self { app, caller: None, address, tx, now: app.clock.now() })
    }

    /// [`Self::begin`] with the lock that all published changes queue for: what is read with it as committed last stays
    /// so until the end.
    ///
    /// # Errors
    /// What the database says.
    pub async fn begin_locked(app: &'a App, caller: &Caller) -> Result<Self, Refusal> {
        let mut this = Self::begin(app, caller).await?;
        changes::lock(&mut this.tx).await?;
        Ok(this)
    }

    pub fn by(&mut self, caller: Caller) {
        self.caller = Some(caller);
    }

    /// Commits what concerns no node.
    ///
    /// # Errors
    /// What the database says; nothing is done then.
    pub async fn commit(mut self, entry: Entry) -> Result<(), Refusal> {
        let entry = entry.stored(self.caller.as_ref(), self.address, self.now);
        audit::write(&mut self.tx, &entry).await?;
        self.commit_unlogged().await
    }

    /// Commits what the audit log has no place for, such as a count.
    ///
    /// # Errors
    /// What the database says; nothing is done then.
    pub async fn commit_unlogged(self) -> Result<(), Refusal> {
        Ok(self.tx.commit().await?)
    }

    /// Commits what nodes hold, and has it published at once.
    ///
    /// # Errors
    /// What the database says; nothing is done then.
    pub async fn publish(self, entry: Entry) -> Result<(), Refusal> {
        let app = self.app;
        self.commit(entry).await?;
        app.changed();
        Ok(())
    }

    /// Ends it where there is nothing to be changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn abandon(self) -> Result<(), Refusal> {
        Ok(self.tx.rollback().await?)
    }
}

/// What the audit log knows a thing by.
pub trait Audited {
    /// Such as `account`.
    const KIND: &'static str;

    fn audit_id(&self) -> String;

    /// What people call it, if anything.
    fn audit_name(&self) -> Option<&str>;

    /// What the log keeps of it: an object without any secret. Its fields that differ are what a change changed.
    fn record(&self) -> Value;
}

/// An entry of the audit log, with what was before and after.
#[derive(Debug)]
pub struct Entry {
    action: &'static str,
    kind: &'static str,
    /// `None`: there is no such thing, or it is not known which.
    id: Option<String>,
    detail: Map<String, Value>,
}

/// What a secret is shown as.
const MASK: &str = "***";

impl Entry {
    /// `after` is all of it.
    pub fn made<T: Audited>(action: &'static str, thing: &T) -> Self {
        Self::of(action, thing).with("after", thing.record())
    }

    /// `before` is all of it.
    pub fn removed<T: Audited>(action: &'static str, thing: &T) -> Self {
        Self::of(action, thing).with("before", thing.record())
    }

    /// `before` and `after` are the fields that differ.
    pub fn changed<T: Audited>(action: &'static str, before: &T, after: &T) -> Self {
        let (was, is) = differences(before.record(), after.record());
        Self::of(action, after).with("before", was).with("after", is)
    }

    /// Something that was done with a thing and left it as it was.
    pub fn done(action: &'static str, kind: &'static str, id: impl ToString) -> Self {
        Self { id: Some(id.to_string()), ..Self::undirected(action, kind) }
    }

    /// Something that was tried, with nothing that there is.
    pub fn undirected(action: &'static str, kind: &'static str) -> Self {
        Self { action, kind, id: None, detail: Map::new() }
    }

    fn of<T: Audited>(action: &'static str, thing: &T) -> Self {
        let this = Self::done(action, T::KIND, thing.audit_id());
        match thing.audit_name() {
            Some(name) => this.with("name", name),
            None => this,
        }
    }

    /// One more thing to know. It holds no secret.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// A secret was replaced, which no record shows.
    #[must_use]
    pub fn with_replaced(mut self, field: &str) -> Self {
        for (side, shown) in [("before", MASK.to_owned()), ("after", format!("{MASK} (another one)"))] {
            let fields = self.detail.entry(side).or_insert_with(|| Value::Object(Map::new()));
            if let Some(fields) = fields.as_object_mut() {
                fields.insert(field.to_owned(), shown.into());
            }
        }
        self
    }

    /// The entry as it is stored. `caller`: `None` for the program itself, and for who is not signed in.
    pub fn stored(self, caller: Option<&Caller>, address: Option<IpAddr>, at: Millis) -> AuditEntry<'static> {
        AuditEntry {
            actor: caller.map(|caller| caller.user),
            action: self.action,
            target_kind: self.kind,
            target_id: self.id,
            detail: Value::Object(self.detail),
            at,
            address,
        }
    }
}

/// The fields of two records that are not the same in both.
fn differences(before: Value, after: Value) -> (Value, Value) {
    let fields = |value| if let Value::Object(fields) = value { fields } else { Map::new() };
    let (mut before, mut after) = (fields(before), fields(after));
    after.retain(|field, value| before.get(field) != Some(value));
    before.retain(|field, _| after.contains_key(field));
    (Value::Object(before), Value::Object(after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Thing(Value);

    impl Audited for Thing {
        const KIND: &'static str = "thing";

        fn audit_id(&self) -> String {
            "7".into()
        }

        fn audit_name(&self) -> Option<&str> {
            self.0["name"].as_str()
        }

        fn record(&self) -> Value {
            self.0.clone()
        }
    }

    #[test]
    fn only_what_differs_is_kept_of_a_change() {
        let before = Thing(json!({ "name": "a", "enabled": true, "tags": ["x"] }));
        let after = Thing(json!({ "name": "b", "enabled": true, "tags": [] }));
        let entry = Entry::changed("thing.update", &before, &after).stored(None, None, Millis(1));
        let expected = json!({
            "name": "b", "before": { "name": "a", "tags": ["x"] }, "after": { "name": "b", "tags": [] },
        });
        assert_eq!((entry.detail, entry.target_id.as_deref()), (expected, Some("7")));
    }

    #[test]
    fn a_replaced_secret_is_said_to_be_and_not_shown() {
        let thing = Thing(json!({ "name": "a" }));
        let entry = Entry::changed("thing.update", &thing, &thing).with_replaced("credentials");
        let detail = entry.stored(None, None, Millis(1)).detail;
        assert_eq!(detail["before"], json!({ "credentials": "***" }));
        assert_eq!(detail["after"], json!({ "credentials": "*** (another one)" }));
    }
}
