//! Account groups, with the accounts in them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::id::{AccountId, GroupId};

use super::{Audited, Caller, Change, Done, Entry, Refusal};
use crate::{
    app::App,
    domain::account_group::{GroupInput, Written},
    store::{
        StoreError, Tx,
        groups::{self, GroupRow},
    },
};

/// Members that came or went, by name in the audit log; how many there are it says in any case.
const MEMBERS_LOGGED: usize = 100;

/// A group and its members, by rising id.
#[derive(Debug, Clone)]
pub struct Group {
    pub row: GroupRow,
    pub members: Vec<AccountId>,
}

impl Audited for Group {
    const KIND: &'static str = "account_group";

    fn audit_id(&self) -> String {
        self.row.id.to_string()
    }

    fn audit_name(&self) -> Option<&str> {
        Some(&self.row.name)
    }

    fn record(&self) -> Value {
        json!({ "name": self.row.name, "description": self.row.description, "members": self.members.len() })
    }
}

/// The oldest first, after the one named.
///
/// # Errors
/// What the database says.
pub async fn list(app: &App, search: Option<&str>, after: Option<GroupId>, limit: u32) -> Done<Vec<Group>> {
    let mut tx = app.store.read().await?;
    let rows = groups::list(&mut tx, search, after, limit).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut by_group: BTreeMap<GroupId, Vec<AccountId>> = BTreeMap::new();
    for (group, account) in groups::members_of(&mut tx, &ids).await? {
        by_group.entry(group).or_default().push(account);
    }
    tx.commit().await?;
    let groups = rows.into_iter().map(|row| {
        let mut members = by_group.remove(&row.id).unwrap_or_default();
        members.sort_unstable();
        Group { row, members }
    });
    Ok(groups.collect())
}

/// # Errors
/// `NotFound`.
pub async fn get(app: &App, id: GroupId) -> Done<Group> {
    let mut tx = app.store.read().await?;
    let group = read(&mut tx, id).await?;
    tx.commit().await?;
    Ok(group)
}

/// # Errors
/// The input is not valid, or the name is taken.
pub async fn create(app: &App, caller: &Caller, input: GroupInput) -> Done<Group> {
    let now = app.clock.now();
    let Written { row, members } = input.create(GroupId::new(now), now)?;
    let mut change = Change::begin(app, caller).await?;
    groups::insert(&mut change.tx, &row).await?;
    set_members(&mut change, row.id, &members.unwrap_or_default()).await?;
    let made = read(&mut change.tx, row.id).await?;
    change.publish(Entry::made("account_group.create", &made)).await?;
    Ok(made)
}

/// `revision`: the one that the caller has seen.
///
/// # Errors
/// The input is not valid, the name is taken, or the group was changed meanwhile.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: GroupId,
    revision: i64,
    input: GroupInput,
) -> Done<Group> {
    let mut change = Change::begin(app, caller).await?;
    let before = read(&mut change.tx, id).await?;
    let Written { row, members } = input.update(&before.row, change.now)?;
    groups::update(&mut change.tx, &row, revision).await?;
    if let Some(members) = members {
        set_members(&mut change, id, &members).await?;
    }
    let after = read(&mut change.tx, id).await?;
    let entry = Entry::changed("account_group.update", &before, &after)
        .with("joined", named(&after.members, &before.members))
        .with("left", named(&before.members, &after.members));
    change.publish(entry).await?;
    Ok(after)
}

/// Those of `these` that are not among `others`, for the audit log: the first ones.
fn named(these: &[AccountId], others: &[AccountId]) -> Vec<String> {
    let differ = these.iter().filter(|id| others.binary_search(id).is_err());
    differ.take(MEMBERS_LOGGED).map(ToString::to_string).collect()
}

/// Its accounts stay.
///
/// # Errors
/// `NotFound`.
pub async fn delete(app: &App, caller: &Caller, id: GroupId) -> Done<()> {
    let mut change = Change::begin(app, caller).await?;
    let group = read(&mut change.tx, id).await?;
    let now = change.now;
    groups::delete(&mut change.tx, id, now).await?;
    change.publish(Entry::removed("account_group.delete", &group)).await
}

async fn set_members(change: &mut Change<'_>, id: GroupId, members: &[AccountId]) -> Done<()> {
    let now = change.now;
    let missing = Refusal::of_reference("account_ids", "one of these accounts does not exist");
    groups::set_members(&mut change.tx, id, members, now).await.map_err(missing)
}

async fn read(tx: &mut Tx, id: GroupId) -> Done<Group> {
    let row = groups::get(tx, id).await?.ok_or(StoreError::NotFound)?;
    let mut members = groups::members(tx, id).await?;
    members.sort_unstable();
    Ok(Group { row, members })
}
