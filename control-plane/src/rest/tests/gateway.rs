//! What everyone is told of the data plane.

use proto::v1::{AccountType, HeartbeatRequest, Wire};
use shared::{
    id::{ModelId, PriceId},
    price::{Price, Rates},
};

use super::{
    nodes::{heartbeat, node},
    *,
};
use crate::store::models::{self, ModelRow, PriceRow};

async fn model(api: &TestApi, name: &str, priced_from: Option<Millis>) {
    let (id, at) = (ModelId::new(START), api.app.clock.now());
    let row = ModelRow {
        id,
        name: name.to_owned(),
        platform: "claude".to_owned(),
        display_name: Some(format!("The {name}")),
        context_window: None,
        max_output: None,
        released_at: None,
        created_at: at.0,
        updated_at: at.0,
        revision: 1,
    };
    let mut tx = api.app.store.begin().await.unwrap();
    models::insert(&mut tx, &row).await.unwrap();
    if let Some(effective_from) = priced_from {
        let source = "operator".to_owned();
        let price = PriceRow {
            id: PriceId::new(at),
            model: name.to_owned(),
            model_id: id,
            effective_from,
            price: Price { rates: Rates::default(), long_context: None },
            source,
            created_at: at,
        };
        models::add_price(&mut tx, &price).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn with_nothing_there_it_says_so() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let told = api.get("/api/gateway").by(&token).send().await.expect(StatusCode::OK);
    let nothing =
        json!({ "public_api_url": null, "wires": [], "account_types": [], "models": [], "live_nodes": 0 });
    assert_eq!(told.body, nothing);
}

#[tokio::test]
async fn it_tells_what_the_nodes_that_take_requests_serve_together() {
    let api = TestApi::start_with(|settings| {
        settings.data_plane.public_api_url = Some("https://api.example.com/".parse().unwrap());
    })
    .await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let serving = |node_id: &str, wires: &[Wire], kinds: &[AccountType]| HeartbeatRequest {
        wires: wires.iter().map(|&wire| wire.into()).collect(),
        account_types: kinds.iter().map(|&kind| kind.into()).collect(),
        ..heartbeat(node_id)
    };
    node(&api, serving("silent", &[Wire::Gemini], &[AccountType::Gemini])).await;
    api.app.clock.advance(Duration::from_secs(60));
    node(&api, serving("old", &[Wire::Messages], &[AccountType::Openai])).await;
    node(&api, serving("new", &[Wire::Responses, Wire::Messages], &[AccountType::Bedrock])).await;
    let stopping = serving("stopping", &[Wire::Gemini], &[AccountType::Droid]);
    node(&api, HeartbeatRequest { ready: false, ..stopping }).await;
    model(&api, "b-model", Some(START)).await;
    model(&api, "a-model", Some(START)).await;
    model(&api, "without-price", None).await;
    model(&api, "priced-tomorrow", Some(START.plus(Duration::from_secs(86_400)))).await;

    let told = api.get("/api/gateway").by(&token).send().await.expect(StatusCode::OK);
    let shown =
        |name: &str| json!({ "name": name, "platform": "claude", "display_name": format!("The {name}") });
    assert_eq!(
        told.body,
        json!({
            "public_api_url": "https://api.example.com",
            "wires": ["responses", "messages"],
            "account_types": ["bedrock", "openai"],
            "models": [shown("a-model"), shown("b-model")],
            "live_nodes": 2,
        })
    );
}

#[tokio::test]
async fn what_an_admin_sets_comes_before_what_the_program_was_told_until_it_is_taken_back() {
    let api = TestApi::start_with(|settings| {
        settings.data_plane.public_api_url = Some("https://told.example".parse().unwrap());
    })
    .await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let url = async || api.get("/api/gateway").by(&admin).send().await.body["public_api_url"].clone();
    let put = async |body: Value| {
        let read = api.get("/api/admin/settings").by(&admin).send().await;
        let put = api.put("/api/admin/settings").by(&admin).if_match(read.etag()).json(body).send();
        let put = put.await.expect(StatusCode::OK);
        assert_eq!(put.body["public_api_url"], url().await);
    };
    assert_eq!(url().await, "https://told.example");
    put(json!({ "public_api_url": "https://set.example" })).await;
    assert_eq!(url().await, "https://set.example");
    put(json!({ "public_api_url": null })).await;
    assert_eq!(url().await, "https://told.example");
    put(json!({ "public_api_url": "https://told.example", "registration_enabled": true })).await;
    let mut tx = api.app.store.read().await.unwrap();
    let (stored, _) = crate::store::settings::load(&mut tx).await.unwrap();
    assert_eq!(stored.public_api_url, None, "what was only read and sent back is not set");
}
