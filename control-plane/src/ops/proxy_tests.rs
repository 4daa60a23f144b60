//! Proxy tests: a person tries the data plane from the admin pages, as themselves.
//!
//! The control plane makes an API key of theirs that lasts five minutes ([`minted`]), waits until the nodes know it, and
//! asks the data plane ([`target`]). What came of the request is in the ledger, as of any other.

mod minted;
mod target;

use std::{error::Error, time::Duration};

use http::{HeaderMap, header};
use prost::bytes::Bytes;
use shared::secret::Secret;
use tokio::time::timeout;

use self::target::Target;
use super::{Caller, Done, Refusal, gateway::taking_requests, nodes::serves};
use crate::{
    app::App,
    domain::proxy_test::TestPath,
    store::{nodes::NodeRow, settings},
};

pub use self::minted::Minted;

/// The longest wait for the head of the data plane's answer, and the longest silence within it: more than the data
/// plane's own limits are by default. This ends what waits for one that is gone.
pub const SILENCE: Duration = Duration::from_secs(3660);

/// A test under way. Its key goes with it.
#[derive(Debug)]
pub struct ProxyTest {
    target: Target,
    /// Those that the request may come to.
    nodes: Vec<NodeRow>,
    key: Minted,
    secret: Secret,
}

/// Why the data plane did not answer. The words are for the caller.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("{0}")]
    Unreachable(String),
    #[error("the data plane did not answer within {} seconds", SILENCE.as_secs())]
    Late,
}

/// Makes the key of a test, once it is known where the test goes and that nodes there take it.
///
/// # Errors
/// Nobody said where the data plane is, no node that runs takes this wire, or the caller has too many tests under way.
pub async fn start(app: &App, caller: &Caller, path: &TestPath) -> Done<ProxyTest> {
    let (target, nodes) = find(app, path).await?;
    let (key, secret) = minted::mint(app, caller, path.wire).await?;
    Ok(ProxyTest { target, nodes, key, secret })
}

async fn find(app: &App, path: &TestPath) -> Done<(Target, Vec<NodeRow>)> {
    let mut tx = app.store.read().await?;
    let (set, _) = settings::load(&mut tx).await?;
    let live = taking_requests(app, &mut tx).await?;
    tx.commit().await?;
    let target = Target::of(&app.settings.data_plane, set.public_api_url.as_deref(), path)?;
    if live.is_empty() {
        let detail =
            "no node of the data plane is running; an operator sees under Nodes what is known of them";
        return Err(Refusal::Unavailable { code: "no_live_node", detail: detail.to_owned() });
    }
    if !live.iter().any(|node| serves(&node.report, path.wire)) {
        let wire = path.wire;
        let detail =
            format!("no running node serves the wire {wire}; /api/gateway lists those that are served");
        return Err(Refusal::conflict("wire_not_served", detail));
    }
    Ok((target, live))
}

impl ProxyTest {
    /// Waits until each node that the request may come to has said that it knows the key, or is gone. When that takes
    /// too long, one must do.
    ///
    /// # Errors
    /// No node has said so.
    pub async fn acknowledged(&self, app: &App) -> Done<()> {
        minted::acknowledged(app, &self.nodes, &self.key).await
    }

    /// Sends the request and waits for the head of its answer.
    ///
    /// # Errors
    /// There is none.
    pub async fn ask(
        &self,
        app: &App,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, NoAnswer> {
        let request = app
            .data_plane
            .post(self.target.url.clone())
            .headers(headers)
            .header(header::CONTENT_TYPE, "application/json")
            .bearer_auth(self.secret.expose())
            .body(body);
        match timeout(SILENCE, request.send()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(unreachable(&self.target, &error)),
            Err(_) => Err(NoAnswer::Late),
        }
    }

    /// The key, to be held for as long as the answer lasts.
    #[must_use]
    pub fn into_key(self) -> Minted {
        self.key
    }
}

fn unreachable(target: &Target, error: &reqwest::Error) -> NoAnswer {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    tracing::warn!(url = %target.url, error = causes.join(": "), "a proxy test did not reach the data plane");
    let whereabouts = target.shown.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
    NoAnswer::Unreachable(format!(
        "the control plane can't reach the data plane{whereabouts}. Where the address is right and clients get through, \
         the operator gives the control plane one of its own: --data-plane-url (SWITCHYARD_DATA_PLANE_URL)"
    ))
}
