//! Reports of refusals: taken once through whichever replica, and of the node itself only.

use std::time::Duration;

use proto::v1::{
    RefusalCount, RefusalReport, refusal_service_client::RefusalServiceClient,
    refusal_service_server::RefusalService as _,
};
use rcgen::{CertificateParams, KeyPair, SanType};
use shared::clock::Millis;
use tonic::{Code, Request};

use super::{
    databases::{Database, both},
    replica::{NOW, Replica},
};
use crate::{
    grpc::{peer::Peer, refusal_service::RefusalReports},
    store::refusals::{self, CountFilter},
};

both! {
    a_report_that_is_sent_again_to_another_replica_counts_once,
    a_node_reports_its_own_refusals_only,
}

fn report(node_id: &str, sequence: u64) -> RefusalReport {
    let count = RefusalCount {
        quarter_start_ms: NOW.0,
        code: "invalid_api_key".into(),
        requests: 3,
        ..RefusalCount::default()
    };
    let incarnation_id = vec![7; 16];
    RefusalReport {
        node_id: node_id.into(),
        incarnation_id,
        sequence,
        counts: vec![count],
        requests: Vec::new(),
    }
}

async fn counted(replica: &Replica) -> Vec<(String, i64)> {
    let mut tx = replica.app.store.read().await.unwrap();
    let end = Millis(NOW.0 + 86_400_000);
    refusals::by_code(&mut tx, &CountFilter::default(), Millis(0), end, 10).await.unwrap()
}

async fn a_report_that_is_sent_again_to_another_replica_counts_once(database: Database) {
    let (one, two) = (database.replica().await, database.replica().await);
    for (replica, sequence) in [(&one, 1), (&two, 1), (&two, 2), (&one, 2), (&one, 1)] {
        let mut client = RefusalServiceClient::new(replica.channel().await);
        let taken = client.report(report("node-1", sequence)).await.unwrap().into_inner();
        assert!(taken.acknowledged >= sequence);
    }
    assert_eq!(counted(&one).await, [("invalid_api_key".to_owned(), 6)]);
    one.stop().await;
    two.stop().await;
}

async fn a_node_reports_its_own_refusals_only(database: Database) {
    let replica = database.replica().await;
    let service = RefusalReports { app: replica.app.clone() };
    let mut names = CertificateParams::new(vec!["data-plane.internal".to_owned()]).unwrap();
    names.subject_alt_names.push(SanType::URI("switchyard://node/node-1".try_into().unwrap()));
    let certificate = names.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let address = "192.0.2.1:1".parse().unwrap();
    let peer = Peer::with_certificate(address, certificate.der(), false, Duration::from_secs(1));
    let code = async |report| {
        let mut request = Request::new(report);
        request.extensions_mut().insert(peer.clone());
        service.report(request).await.err().map(|status| status.code())
    };
    assert_eq!(code(report("node-2", 1)).await, Some(Code::PermissionDenied));
    assert_eq!(code(report("a node with blanks", 1)).await, Some(Code::InvalidArgument));
    let nameless = RefusalReport { incarnation_id: vec![7; 3], ..report("node-1", 1) };
    assert_eq!(code(nameless).await, Some(Code::InvalidArgument));
    assert_eq!(counted(&replica).await, []);
    assert_eq!(code(report("node-1", 1)).await, None);
    assert_eq!(counted(&replica).await.len(), 1);
    replica.stop().await;
}
