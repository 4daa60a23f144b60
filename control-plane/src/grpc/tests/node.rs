//! A node as the contract describes it: holds what it was sent, and says so.

use std::collections::BTreeMap;

use proto::v1::{
    Ack, Hello, Resource, Resync, Revision, Update, WatchRequest,
    snapshot_service_client::SnapshotServiceClient, watch_request::Message,
};
use shared::digest::{self, Digest, Hashed};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::replica::PATIENCE;

pub(super) struct Node {
    pub(super) held: BTreeMap<(i32, Vec<u8>), Resource>,
    pub(super) revision: Option<Revision>,
    /// Updates taken, as `full` or `delta`.
    pub(super) forms: Vec<&'static str>,
    pub(super) adopted: bool,
}

pub(super) struct Watch {
    requests: mpsc::Sender<WatchRequest>,
    updates: Streaming<Update>,
}

impl Watch {
    pub(super) async fn say(&self, message: Message) {
        self.requests.send(WatchRequest { message: Some(message) }).await.unwrap();
    }

    pub(super) async fn message(&mut self) -> Result<Option<Update>, tonic::Status> {
        timeout(PATIENCE, self.updates.message()).await.expect("an update in time")
    }
}

impl Node {
    pub(super) fn new() -> Self {
        Self { held: BTreeMap::new(), revision: None, forms: Vec::new(), adopted: false }
    }

    pub(super) async fn watch(&self, channel: Channel) -> Watch {
        let (requests, outgoing) = mpsc::channel(8);
        let known = self.revision.clone();
        let digest = self.digest().to_bytes().to_vec();
        let hello = Hello { node_id: "node-1".into(), build: "test".into(), known, digest };
        requests.send(WatchRequest { message: Some(Message::Hello(hello)) }).await.unwrap();
        let mut client = SnapshotServiceClient::new(channel);
        let updates = client.watch(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
        Watch { requests, updates }
    }

    pub(super) fn digest(&self) -> Digest {
        self.held.values().fold(Digest::default(), |mut sum, resource| {
            sum.add(digest::hash(Hashed {
                kind: resource.kind,
                id: &resource.id,
                version: resource.version,
                enabled: resource.enabled,
                payload: &resource.payload,
            }));
            sum
        })
    }

    pub(super) fn version(&self) -> u64 {
        self.revision.as_ref().map_or(0, |revision| revision.version)
    }

    /// Takes one whole update, checks its digest and acknowledges it.
    pub(super) async fn take(&mut self, watch: &mut Watch) {
        let mut chunks = Vec::new();
        loop {
            let chunk = watch.message().await.unwrap().expect("the stream goes on");
            let last = chunk.last;
            chunks.push(chunk);
            if last {
                break;
            }
        }
        let end = chunks.last().unwrap().clone();
        match end.from_version {
            None => self.held.clear(),
            Some(from) => assert_eq!(from, self.version(), "a delta must start from what the node has"),
        }
        for resource in chunks.into_iter().flat_map(|chunk| chunk.resources) {
            let key = (resource.kind, resource.id.clone());
            if resource.deleted {
                self.held.remove(&key);
            } else {
                self.held.insert(key, resource);
            }
        }
        assert_eq!(self.digest().to_bytes().to_vec(), end.digest, "the digest must agree");
        self.forms.push(if end.from_version.is_some() { "delta" } else { "full" });
        self.adopted = end.adopted;
        self.revision = end.revision.clone();
        watch.say(Message::Ack(Ack { revision: end.revision, digest: end.digest })).await;
    }

    /// Takes updates until the node has `version`.
    pub(super) async fn take_until(&mut self, watch: &mut Watch, version: u64) {
        while self.version() < version {
            self.take(watch).await;
        }
    }

    pub(super) async fn ask_for_everything(watch: &Watch) {
        watch.say(Message::Resync(Resync { reason: "a test asked".into() })).await;
    }
}
