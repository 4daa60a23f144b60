//! The rows that changes name, read in the transaction of the change log and encoded.

use std::collections::HashMap;

use prost::bytes::Bytes;
use proto::v1::ResourceKind;
use shared::id::{AccountId, GroupId, KeyId, MappingId, ModelId, RouteId, UserId};

use super::{
    encode::{self, EncodeError},
    published::Key,
};
use crate::{
    secrets::Sealer,
    store::{
        StoreError, Tx, accounts, api_keys,
        changes::{Change, SETTINGS_ID},
        groups, mappings, models, routes, settings, users,
    },
};

/// A row on its way out.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) enabled: bool,
    pub(super) payload: Result<Bytes, EncodeError>,
}

pub(super) type Loaded = HashMap<Key, Row>;

impl Row {
    fn new(enabled: bool, message: &impl prost::Message) -> Self {
        Self { enabled, payload: Ok(Bytes::from(message.encode_to_vec())) }
    }

    /// A row that can't even be read must not be used.
    fn corrupt(reason: String) -> Self {
        Self { enabled: false, payload: Err(EncodeError::Corrupt(reason)) }
    }
}

/// Reads rows by id. Where one of them is corrupt they are read one by one, so that it stops no other.
macro_rules! rows {
    ($loaded:expr, $tx:expr, $changes:expr, $kind:ident, $id:ty, $by_ids:path, $encode:expr) => {
        let ids: Vec<$id> = existing($changes, ResourceKind::$kind).map(<$id>::from_bytes).collect();
        if !ids.is_empty() {
            let key = |id: $id| Key { kind: i32::from(ResourceKind::$kind), id: id.to_bytes() };
            match $by_ids($tx, &ids).await {
                Ok(rows) => $loaded.extend(rows.iter().map(|row| (key(row.id), $encode(row)))),
                Err(StoreError::Corrupt(_)) => {
                    for id in ids {
                        match $by_ids($tx, &[id]).await {
                            Ok(rows) => $loaded.extend(rows.iter().map(|row| (key(row.id), $encode(row)))),
                            Err(StoreError::Corrupt(reason)) => {
                                drop($loaded.insert(key(id), Row::corrupt(reason)))
                            }
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
    };
}

/// The rows of `changes` that exist.
///
/// # Errors
/// The database can't be read. A row that is not as it should be is no error.
pub(super) async fn load(tx: &mut Tx, changes: &[Change], sealer: &Sealer) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::new();
    rows!(loaded, tx, changes, Account, AccountId, accounts::by_ids, |row: &accounts::AccountRow| {
        fallible(row.enabled, encode::account(row, sealer))
    });
    rows!(loaded, tx, changes, AccountGroup, GroupId, groups::by_ids, |row: &groups::GroupRow| {
        Row::new(true, &encode::group(row))
    });
    rows!(loaded, tx, changes, User, UserId, users::by_ids, |row: &users::User| {
        Row::new(row.enabled, &encode::user(row))
    });
    rows!(loaded, tx, changes, ApiKey, KeyId, api_keys::by_ids, |row: &api_keys::ApiKey| {
        Row::new(row.enabled, &encode::api_key(row))
    });
    load_models(tx, changes, &mut loaded).await?;
    load_settings(tx, changes, &mut loaded).await?;
    Ok(loaded)
}

async fn load_models(tx: &mut Tx, changes: &[Change], loaded: &mut Loaded) -> Result<(), StoreError> {
    rows!(loaded, tx, changes, ModelRoute, RouteId, routes::by_ids, |row: &routes::RouteRow| {
        fallible(row.enabled, encode::route(row))
    });
    rows!(loaded, tx, changes, ModelMapping, MappingId, mappings::by_ids, |row: &mappings::MappingRow| {
        Row::new(row.enabled, &encode::mapping(row))
    });
    rows!(loaded, tx, changes, Model, ModelId, models::catalogued, |model: &models::Catalogued| {
        fallible(true, encode::model(&model.row, &model.prices))
    });
    Ok(())
}

async fn load_settings(tx: &mut Tx, changes: &[Change], loaded: &mut Loaded) -> Result<(), StoreError> {
    if existing(changes, ResourceKind::Settings).next().is_none() {
        return Ok(());
    }
    let row = match settings::load(tx).await {
        Ok((settings, _)) => Row::new(true, &encode::settings(&settings)),
        Err(StoreError::Corrupt(reason)) => Row { enabled: true, ..Row::corrupt(reason) },
        Err(error) => return Err(error),
    };
    loaded.insert(Key { kind: i32::from(ResourceKind::Settings), id: SETTINGS_ID }, row);
    Ok(())
}

fn fallible(enabled: bool, message: Result<impl prost::Message, EncodeError>) -> Row {
    match message {
        Ok(message) => Row::new(enabled, &message),
        Err(error) => Row { enabled, payload: Err(error) },
    }
}

fn existing(changes: &[Change], kind: ResourceKind) -> impl Iterator<Item = [u8; 16]> {
    changes.iter().filter(move |change| change.kind == kind && !change.deleted).map(|change| change.id)
}
