//! Records that would have somebody else pay.

use std::{collections::BTreeMap, time::Duration};

use shared::{id::KeyId, money::Ppm, secret::KeyHash};

use super::world::{Client, START, Spool, World};
use crate::store::api_keys::{self, ApiKey};

const ONE: Ppm = Ppm(1_000_000);

/// The client's key, as people made it.
async fn make_key(world: &World, client: &Client) {
    let key = ApiKey {
        id: client.key,
        user: client.user,
        name: "own".into(),
        hash: KeyHash::of(&client.key.to_bytes()),
        prefix: "sk-own".into(),
        enabled: true,
        expires_at: None,
        tags: Vec::new(),
        metadata: BTreeMap::new(),
        created_at: START,
        updated_at: START,
        revision: 1,
    };
    let mut tx = world.store.begin().await.unwrap();
    api_keys::insert(&mut tx, &key).await.unwrap();
    tx.commit().await.unwrap();
}

async fn delete_key(world: &World, key: KeyId) {
    let mut tx = world.store.begin().await.unwrap();
    api_keys::delete(&mut tx, key, START).await.unwrap();
    tx.commit().await.unwrap();
}

pub(super) async fn nobody_pays_for_the_key_of_another(world: &World) {
    for is_deleted in [false, true] {
        let (ann, bob) = (world.client(ONE).await, world.client(ONE).await);
        make_key(world, &ann).await;
        if is_deleted {
            delete_key(world, ann.key).await;
        }
        let spool = Spool::new();
        let mut forged = ann.opens(Duration::from_secs(1));
        forged.user_id = bob.user.to_bytes().to_vec();
        let honest = ann.opens(Duration::from_secs(2));
        // Apart as well as in one batch, and again where the owner is known already.
        for records in [
            vec![spool.open(&forged), spool.open(&honest)],
            vec![
                spool.close(&ann.completes(&forged, 100, 10)),
                spool.close(&ann.completes(&honest, 100, 10)),
            ],
        ] {
            world.take(&spool, records).await;
        }
        assert!(world.records_of(&bob).await.is_empty());
        assert_eq!(world.only_record_of(&ann).await.input_tokens, 100);
        let rejected = world.rejected(&spool).await;
        let expected = [(1, "key_of_another_user".to_owned()), (3, "key_of_another_user".to_owned())];
        assert_eq!(rejected, expected);
    }
}
