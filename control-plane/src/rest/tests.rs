//! The REST API through its own router, each test on a database of its own.

mod accounts;
mod api_keys;
mod bodies;
mod documented;
mod etags;
mod gateway;
mod incarnations;
mod lists;
mod login;
mod logins;
mod many;
mod mariadb;
mod nodes;
mod people;
mod proxy_test;
mod refresh;
mod refusals;
mod roles;
mod secrets;
mod settings;
mod states;
mod usage;

use std::{net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use shared::{
    clock::{Clock, Millis},
    id::{SessionId, UserId},
    money::Ppm,
    secret::Secret,
    tasks::Tasks,
};
use tower::ServiceExt as _;

use crate::{
    app::App,
    domain::tokens::AccessToken,
    settings::{KeySettings, Settings},
    store::{
        changes,
        sessions::{self, Session},
        test_support::{self, Database},
        users::{self, User},
    },
    words::role::Role,
};

/// The password of everyone in these tests.
const PASSWORD: &str = "correct horse";
const START: Millis = Millis(1_800_000_000_000);
const HOME: &str = "192.0.2.1";
const REFRESH: &str = "switchyard_refresh";
const BROWSER: &str = "switchyard_browser";

/// The API on an empty database, with the time standing still.
struct TestApi {
    app: App,
    router: Router,
    password_hash: Secret,
    _database: Database,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    fn etag(&self) -> String {
        self.headers[header::ETAG].to_str().unwrap().to_owned()
    }

    fn retry_after(&self) -> u64 {
        self.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap()
    }

    /// The Set-Cookie of this name, whole.
    fn set_cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
        all.into_iter().find(|cookie| cookie.split('=').next() == Some(name))
    }

    /// The value of the cookie that is set.
    #[track_caller]
    fn cookie(&self, name: &str) -> String {
        let set = self.set_cookie(name).unwrap_or_else(|| panic!("{name} is not set: {}", self.text));
        set[name.len() + 1..].split(';').next().unwrap().to_owned()
    }

    /// Status and code, for one comparison.
    fn refusal(&self) -> (u16, &str) {
        (self.status.as_u16(), self.code())
    }

    #[track_caller]
    fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// A request in the making.
struct Call<'a> {
    api: &'a TestApi,
    method: Method,
    path: String,
    token: Option<String>,
    if_match: Option<String>,
    headers: Vec<(&'a str, String)>,
    address: &'a str,
    body: Option<Value>,
}

impl<'a> Call<'a> {
    fn by(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    fn if_match(mut self, tag: impl Into<String>) -> Self {
        self.if_match = Some(tag.into());
        self
    }

    fn from(mut self, address: &'a str) -> Self {
        self.address = address;
        self
    }

    fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn cookie(self, name: &str, value: &str) -> Self {
        self.header("cookie", format!("{name}={value}"))
    }

    fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    async fn send(self) -> Answer {
        let mut request = Request::builder().method(self.method).uri(self.path);
        if let Some(token) = self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(tag) = self.if_match {
            request = request.header(header::IF_MATCH, tag);
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let body = match self.body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.api.send(request.body(body).unwrap(), self.address).await
    }
}

impl TestApi {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::on_with(test_support::sqlite().await, adjust)
    }

    fn on(database: Database) -> Self {
        Self::on_with(database, |_| {})
    }

    fn on_with(database: Database, adjust: impl FnOnce(&mut Settings)) -> Self {
        let keys = KeySettings {
            master_key: Some(Secret::new(STANDARD.encode([7_u8; 32]))),
            master_key_file: None,
            old_master_keys: Vec::new(),
        };
        let mut settings = Settings::embedded(&database.url, keys).unwrap();
        adjust(&mut settings);
        let app = App::new(settings, database.store.clone(), Clock::manual(START), Tasks::new()).unwrap();
        let router = super::router(app.clone());
        Self { app, router, password_hash: cheap_hash(PASSWORD), _database: database }
    }

    /// Another process on the same database, with other settings.
    async fn another(&self, adjust: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.app.settings.clone();
        adjust(&mut settings);
        let app = App::new(settings, self.app.store.clone(), self.app.clock.clone(), Tasks::new()).unwrap();
        let router = super::router(app.clone());
        Self { app, router, password_hash: cheap_hash(PASSWORD), _database: test_support::sqlite().await }
    }

    async fn send(&self, mut request: Request<Body>, address: &str) -> Answer {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address.parse().unwrap(), 40_000)));
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        documented::demand(&method, &path, parts.status);
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, text, body }
    }

    fn call(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        let (path, headers) = (path.into(), Vec::new());
        Call { api: self, method, path, token: None, if_match: None, headers, address: HOME, body: None }
    }

    fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, path)
    }

    fn post(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::POST, path)
    }

    fn put(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::PUT, path)
    }

    fn delete(&self, path: impl Into<String>) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    /// Puts a person into the database, as the API would.
    async fn person(&self, name: &str, role: Role) -> UserId {
        let now = self.app.clock.now();
        let user = User {
            id: UserId::new(now),
            name: name.to_owned(),
            password_hash: self.password_hash.clone(),
            role,
            enabled: true,
            price_rate: Ppm::ONE,
            language: None,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let mut tx = self.app.store.begin().await.unwrap();
        users::insert(&mut tx, &user).await.unwrap();
        tx.commit().await.unwrap();
        user.id
    }

    /// An access token in a login of its own.
    async fn token(&self, user: UserId) -> String {
        let now = self.app.clock.now();
        let session = Session {
            id: SessionId::new(now),
            user,
            refresh_hash: [0; 32],
            previous: None,
            created_at: now,
            last_used_at: now,
            expires_at: now.plus(Duration::from_secs(30 * 24 * 60 * 60)),
            address: None,
            agent: None,
        };
        let mut tx = self.app.store.begin().await.unwrap();
        sessions::insert(&mut tx, &session).await.unwrap();
        tx.commit().await.unwrap();
        let token = self.app.tokens.issue(AccessToken { user, session: session.id }, now).unwrap();
        token.expose().to_owned()
    }

    /// A person of this role, signed in.
    async fn signed_in(&self, name: &str, role: Role) -> (UserId, String) {
        let user = self.person(name, role).await;
        (user, self.token(user).await)
    }

    async fn login(&self, name: &str, password: &str, address: &str) -> Answer {
        let body = json!({ "username": name, "password": password });
        self.post("/api/auth/login").from(address).json(body).send().await
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.post("/api/auth/refresh").cookie(REFRESH, token).send().await
    }

    async fn new_key(&self, token: &str, name: &str) -> Value {
        let made = self.post("/api/api-keys").by(token).json(json!({ "name": name })).send().await;
        made.expect(StatusCode::CREATED).body
    }

    async fn audited(&self, action: &str) -> usize {
        self.audit(action).await.len()
    }

    /// What the log has of this, the latest first.
    async fn audit(&self, action: &str) -> Vec<crate::store::audit::AuditRow> {
        let mut tx = self.app.store.read().await.unwrap();
        let filter =
            crate::store::audit::AuditFilter { action: Some(action.to_owned()), ..Default::default() };
        crate::store::audit::list(&mut tx, &filter, None, 200).await.unwrap()
    }

    /// What nodes are told since `version`, as kind, id and whether it is gone.
    async fn changes_since(&self, version: u64) -> Vec<(proto::v1::ResourceKind, [u8; 16], bool)> {
        let mut tx = self.app.store.read().await.unwrap();
        let changes = changes::since(&mut tx, version).await.unwrap();
        changes.into_iter().map(|change| (change.kind, change.id, change.deleted)).collect()
    }

    async fn version(&self) -> u64 {
        let mut tx = self.app.store.read().await.unwrap();
        changes::revision(&mut tx).await.unwrap().0.version
    }
}

/// A hash that takes no time: its parameters are in it, and `verify` goes by those.
fn cheap_hash(password: &str) -> Secret {
    use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher as _};
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash = argon.hash_password(password.as_bytes()).unwrap();
    Secret::new(hash.to_string())
}
