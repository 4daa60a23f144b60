//! Every answer that a test gets is one that the OpenAPI document lists for the call.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use http::{Method, StatusCode};
use serde_json::Value;

/// By path, then by method in lower case: the statuses.
type Documented = BTreeMap<String, BTreeMap<String, BTreeSet<u16>>>;

fn documented() -> &'static Documented {
    static DOCUMENTED: OnceLock<Documented> = OnceLock::new();
    DOCUMENTED.get_or_init(|| {
        let document: Value = serde_json::from_str(&crate::rest::openapi::document().unwrap()).unwrap();
        let statuses = |operation: &Value| {
            let listed = operation["responses"].as_object().unwrap().keys();
            listed.map(|status| status.parse().unwrap()).collect()
        };
        let of_item = |item: &Value| {
            let operations = item.as_object().unwrap().iter();
            operations.map(|(method, operation)| (method.clone(), statuses(operation))).collect()
        };
        let paths = document["paths"].as_object().unwrap().iter();
        paths.map(|(path, item)| (path.clone(), of_item(item))).collect()
    })
}

/// Names before places: `/accounts/counts` is not `/accounts/{id}`.
fn route(path: &str) -> Option<&'static BTreeMap<String, BTreeSet<u16>>> {
    let fits = |template: &str| {
        let (mut asked, mut stated) = (path.split('/'), template.split('/'));
        loop {
            match (asked.next(), stated.next()) {
                (None, None) => return true,
                (Some(asked), Some(stated)) if asked == stated || stated.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    documented()
        .get(path)
        .or_else(|| documented().iter().find(|(template, _)| fits(template)).map(|(_, item)| item))
}

#[track_caller]
pub(super) fn demand(method: &Method, path: &str, status: StatusCode) {
    // GET answers HEAD as well; what no route takes is in no document.
    let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
    let Some(statuses) = route(path).and_then(|item| item.get(&method)) else { return };
    assert!(statuses.contains(&status.as_u16()), "{method} {path}: {status} is not documented: {statuses:?}");
}
