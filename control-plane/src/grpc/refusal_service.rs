//! Hears what nodes refused, report by report.

use proto::v1::{RefusalReport, RefusalReportTaken, refusal_service_server::RefusalService};
use shared::id::IncarnationId;
use tonic::{Request, Response, Status};

use super::{node_service::unavailable, peer::Peer};
use crate::{app::App, refusals};

/// The service. Clones are the same.
#[derive(Debug, Clone)]
pub struct RefusalReports {
    pub app: App,
}

#[tonic::async_trait]
impl RefusalService for RefusalReports {
    async fn report(&self, request: Request<RefusalReport>) -> Result<Response<RefusalReportTaken>, Status> {
        Peer::of(&request)?.node(&request.get_ref().node_id)?;
        let report = request.into_inner();
        let incarnation = IncarnationId::try_from(report.incarnation_id.as_slice())
            .map_err(|_| Status::invalid_argument("incarnation_id: 16 bytes are expected"))?;
        let taken = refusals::take(&self.app.store, &self.app.clock, incarnation, report).await;
        let acknowledged = taken.map_err(|error| unavailable(&error))?;
        Ok(Response::new(RefusalReportTaken { acknowledged }))
    }
}
