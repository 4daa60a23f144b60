//! The name of one state of the configuration.

use std::fmt;

/// Versions of different epochs can't be compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision {
    pub epoch: [u8; 16],
    pub version: u64,
}

impl Revision {
    /// `None` where the message names no revision: its epoch does not have 16 bytes.
    #[must_use]
    pub fn from_message(message: &proto::v1::Revision) -> Option<Self> {
        Some(Self { epoch: message.epoch.as_slice().try_into().ok()?, version: message.version })
    }

    #[must_use]
    pub fn to_message(self) -> proto::v1::Revision {
        proto::v1::Revision {
            epoch: self.epoch.to_vec(),
            version: self.version,
            ..proto::v1::Revision::default()
        }
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
