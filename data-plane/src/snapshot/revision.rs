//! The name of one state of the configuration.

use std::fmt;

/// Versions of different epochs can't be compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision {
    pub epoch: [u8; 16],
    pub version: u64,
}

/// What a version was drawn with, which tells two histories of one epoch apart; zeros for version 0.
pub(crate) type Stamp = [u8; 16];

/// Bytes of a proof at most.
const LONGEST_PROOF: usize = 64;

/// A revision of one history.
#[derive(Clone, PartialEq, Eq)]
pub struct Stamped {
    pub revision: Revision,
    pub stamp: Stamp,
    /// Shows the control plane that there was such a version. Of no meaning here.
    pub proof: Vec<u8>,
}

impl Stamped {
    /// `None` where the message names no revision: its epoch does not have 16 bytes, nor its stamp 16 or none.
    #[must_use]
    pub fn from_message(message: &proto::v1::Revision) -> Option<Self> {
        let revision =
            Revision { epoch: message.epoch.as_slice().try_into().ok()?, version: message.version };
        let stamp = stamp(&message.stamp)?;
        (message.proof.len() <= LONGEST_PROOF).then(|| Self { revision, stamp, proof: message.proof.clone() })
    }

    #[must_use]
    pub fn to_message(&self) -> proto::v1::Revision {
        let stamp = if self.stamp == Stamp::default() { Vec::new() } else { self.stamp.to_vec() };
        let Revision { epoch, version } = self.revision;
        proto::v1::Revision { epoch: epoch.to_vec(), version, stamp, proof: self.proof.clone() }
    }
}

/// `None` where it has neither 16 bytes nor none.
pub(super) fn stamp(bytes: &[u8]) -> Option<Stamp> {
    if bytes.is_empty() { Some(Stamp::default()) } else { bytes.try_into().ok() }
}

impl From<Revision> for proto::v1::Revision {
    fn from(Revision { epoch, version }: Revision) -> Self {
        Self { epoch: epoch.to_vec(), version, ..Self::default() }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.epoch[..4] {
            write!(f, "{byte:02x}")?;
        }
        write!(f, "/{}", self.version)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, stamp, .. } = self;
        write!(f, "{revision}#{:02x}{:02x}{:02x}{:02x}", stamp[0], stamp[1], stamp[2], stamp[3])
    }
}
