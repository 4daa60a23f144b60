//! What is demanded of the gateway.

use crate::target::TargetKind;

/// Of a scenario; what is None is shown only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// CPU per request of the node, as a multiple of what nginx with one worker takes.
    pub node_cpu: Option<f64>,
    /// The same, as it should become: told, not demanded.
    pub node_cpu_goal: Option<f64>,
    /// As `node_cpu`, of standalone.
    pub standalone_cpu: Option<f64>,
    /// CPU per converted request, as a multiple of what the raw one takes.
    pub converted_cpu: Option<f64>,
    /// Microseconds added to the p50 of a request, alone.
    pub node_added: Option<f64>,
    pub converting_added: Option<f64>,
    pub standalone_added: Option<f64>,
    /// Peak memory above that of a gateway with small bodies, as a multiple of the body's size; it has to stay below.
    pub peak: Option<f64>,
}

impl Limits {
    pub(crate) const NONE: Self = Self {
        node_cpu: None,
        node_cpu_goal: None,
        standalone_cpu: None,
        converted_cpu: None,
        node_added: None,
        converting_added: None,
        standalone_added: None,
        peak: None,
    };
    /// Of a request that is answered at once.
    pub(crate) const WHOLE: Self = Self {
        node_cpu: Some(2.2),
        node_cpu_goal: Some(2.0),
        standalone_cpu: Some(3.5),
        converted_cpu: Some(1.35),
        node_added: Some(100.0),
        ..Self::NONE
    };
    /// Of a stream that comes at once.
    pub(crate) const STREAM: Self =
        Self { node_cpu: Some(1.6), node_cpu_goal: Some(1.4), standalone_cpu: Some(2.2), ..Self::WHOLE };
    /// Of many streams that take their time.
    pub(crate) const SLOW_STREAMS: Self =
        Self { node_cpu: Some(1.5), standalone_cpu: Some(2.2), ..Self::NONE };
    /// Of an agent's large request.
    pub(crate) const AGENT: Self = Self {
        node_added: Some(1_000.0),
        converting_added: Some(3_000.0),
        standalone_added: Some(1_000.0),
        ..Self::NONE
    };
    /// Of an image.
    pub(crate) const IMAGE: Self = Self { peak: Some(3.0), ..Self::NONE };

    pub(crate) const fn cpu(&self, target: TargetKind) -> Option<f64> {
        match target {
            TargetKind::Node => self.node_cpu,
            TargetKind::Standalone => self.standalone_cpu,
            _ => None,
        }
    }

    pub(crate) const fn added(&self, target: TargetKind) -> Option<f64> {
        match target {
            TargetKind::Node => self.node_added,
            TargetKind::NodeConverting => self.converting_added,
            TargetKind::Standalone => self.standalone_added,
            _ => None,
        }
    }
}

/// The most resident memory of standalone when nothing happens, in KiB.
pub(crate) const IDLE_STANDALONE_KIB: u64 = 55 * 1024;
/// The most resident memory of the node for each open stream, in bytes.
pub(crate) const OPEN_STREAM_BYTES: f64 = 25_000.0;
/// The same where the client speaks TLS.
pub(crate) const OPEN_TLS_STREAM_BYTES: f64 = 60_000.0;
/// A gap this long, in microseconds, where none is meant, is Nagle waiting for a delayed acknowledgement.
pub(crate) const STEP_MICROS: f64 = 40_000.0;
