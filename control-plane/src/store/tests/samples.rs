//! Rows to begin with.

use shared::{
    clock::Millis,
    id::{AccountId, GroupId, MappingId, ModelId, RouteId},
    price::{PerMillion, Price, Rates},
};

use crate::store::{
    accounts::{AccountRow, Sealed},
    groups::GroupRow,
    mappings::MappingRow,
    models::ModelRow,
    routes::RouteRow,
};

pub(super) const NOW: Millis = Millis(1_790_000_000_000);

pub(super) fn account(name: &str) -> AccountRow {
    AccountRow {
        id: AccountId::new(NOW),
        name: name.to_owned(),
        description: "für Tests, 测试".to_owned(),
        account_type: "claude-console".to_owned(),
        base_url: Some("https://api.example.com".to_owned()),
        credential_kind: "api_key".to_owned(),
        credential_hint: Some("cdef".to_owned()),
        credential: Sealed(vec![0, 255, 1, 39, 0]),
        options: "{}".to_owned(),
        enabled: true,
        schedulable: false,
        priority: 50,
        weight: 100,
        concurrency: Some(0),
        model_mapping: r#"[["a","b"]]"#.to_owned(),
        allowed_models: "[]".to_owned(),
        tags: r#"["x"]"#.to_owned(),
        client_gone: "drain".to_owned(),
        expires_at: None,
        invalid_reason: None,
        invalid_detail: None,
        invalid_at: None,
        created_at: NOW.0,
        updated_at: NOW.0,
        revision: 1,
        group_ids: Vec::new(),
    }
}

pub(super) fn group(name: &str) -> GroupRow {
    GroupRow {
        id: GroupId::new(NOW),
        name: name.to_owned(),
        description: String::new(),
        created_at: NOW.0,
        updated_at: NOW.0,
        revision: 1,
    }
}

pub(super) fn route(pattern: &str) -> RouteRow {
    RouteRow {
        id: RouteId::new(NOW),
        pattern: pattern.to_owned(),
        platform: "claude".to_owned(),
        account_type: Some("bedrock".to_owned()),
        position: 7,
        enabled: true,
        description: String::new(),
        created_at: NOW.0,
        updated_at: NOW.0,
        revision: 1,
    }
}

pub(super) fn mapping(from: &str) -> MappingRow {
    MappingRow {
        id: MappingId::new(NOW),
        from_model: from.to_owned(),
        to_model: "claude-opus-5".to_owned(),
        enabled: true,
        description: String::new(),
        created_at: NOW.0,
        updated_at: NOW.0,
        revision: 1,
    }
}

pub(super) fn model(name: &str) -> ModelRow {
    ModelRow {
        id: ModelId::new(NOW),
        name: name.to_owned(),
        platform: "claude".to_owned(),
        display_name: None,
        context_window: Some(200_000),
        max_output: None,
        released_at: Some(NOW.0),
        created_at: NOW.0,
        updated_at: NOW.0,
        revision: 1,
    }
}

pub(super) fn price(input: u64) -> Price {
    let all = PerMillion(input);
    let rates = Rates { input: all, cache_read: all, cache_write_5m: all, cache_write_1h: all, output: all };
    Price { rates, long_context: None }
}
