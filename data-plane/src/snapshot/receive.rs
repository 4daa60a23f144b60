//! Puts the chunks of an update together.

use proto::v1::{Resource, Update};
use shared::digest::Digest;

use super::{
    Stamped,
    revision::{Stamp, stamp},
};

/// An update may have at most this much of payloads and envelopes; a larger one is refused as malformed.
pub(crate) const LARGEST_UPDATE: usize = 512 * 1024 * 1024;

/// An update of which every chunk has arrived.
#[derive(Debug)]
pub(crate) struct WholeUpdate {
    pub(crate) name: Stamped,
    /// With the first update of a stream: the stamp that the version of the hello has in the offered history. Zeros: it
    /// has no such version.
    pub(crate) known_stamp: Option<Stamp>,
    /// The version that it starts from. `None`: it is everything.
    pub(crate) from_version: Option<u64>,
    pub(crate) adopted: bool,
    pub(crate) digest: Digest,
    pub(crate) resources: Vec<Resource>,
}

/// The chunks contradict one another or the contract.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("an update names no revision")]
    NoRevision,
    #[error("the chunks of an update differ in what they belong to")]
    Mixed,
    #[error("the last chunk of an update has no digest of 16 bytes")]
    NoDigest,
    #[error("an update is larger than {LARGEST_UPDATE} bytes")]
    TooLarge,
}

/// The chunks of one stream so far.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    /// The first update of the stream was given.
    greeted: bool,
    begun: Option<Begun>,
    resources: Vec<Resource>,
    bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Begun {
    name: Stamped,
    known_stamp: Stamp,
    from_version: Option<u64>,
    adopted: bool,
}

impl Chunks {
    /// Takes a chunk; gives the update with the last one. After an error the stream is of no more use.
    pub(crate) fn push(&mut self, chunk: Update) -> Result<Option<WholeUpdate>, Malformed> {
        let name = chunk.revision.as_ref().and_then(Stamped::from_message).ok_or(Malformed::NoRevision)?;
        let known_stamp = stamp(&chunk.known_stamp).ok_or(Malformed::NoRevision)?;
        let this = Begun { name, known_stamp, from_version: chunk.from_version, adopted: chunk.adopted };
        if self.begun.get_or_insert_with(|| this.clone()) != &this {
            return Err(Malformed::Mixed);
        }
        self.bytes += chunk.resources.iter().map(size).sum::<usize>();
        if self.bytes > LARGEST_UPDATE {
            return Err(Malformed::TooLarge);
        }
        self.resources.extend(chunk.resources);
        if !chunk.last {
            return Ok(None);
        }
        let digest = Digest::from_bytes(&chunk.digest).ok_or(Malformed::NoDigest)?;
        let known_stamp = Some(this.known_stamp).filter(|_| !self.greeted);
        let resources = std::mem::replace(self, Self { greeted: true, ..Self::default() }).resources;
        let Begun { name, from_version, adopted, .. } = this;
        Ok(Some(WholeUpdate { name, known_stamp, from_version, adopted, digest, resources }))
    }
}

fn size(resource: &Resource) -> usize {
    size_of::<Resource>() + resource.id.len() + resource.payload.len()
}

#[cfg(test)]
mod tests {
    use super::{super::Revision, *};

    fn chunk(version: u64, last: bool) -> Update {
        Update {
            revision: Some(Revision { epoch: [1; 16], version }.into()),
            resources: vec![Resource::default()],
            last,
            digest: if last { vec![0; 16] } else { Vec::new() },
            ..Update::default()
        }
    }

    #[test]
    fn nothing_is_given_before_the_last_chunk() {
        let mut chunks = Chunks::default();
        assert!(chunks.push(chunk(7, false)).unwrap().is_none());
        let whole = chunks.push(chunk(7, true)).unwrap().unwrap();
        assert_eq!((whole.name.revision.version, whole.resources.len()), (7, 2));
        assert_eq!(whole.known_stamp, Some([0; 16]));
        let next = chunks.push(chunk(8, true)).unwrap().unwrap();
        assert_eq!(next.resources.len(), 1, "the next update begins anew");
        assert_eq!(next.known_stamp, None, "it answers no hello");
    }

    #[test]
    fn chunks_of_different_updates_are_not_mixed() {
        let mut chunks = Chunks::default();
        chunks.push(chunk(7, false)).unwrap();
        assert_eq!(chunks.push(chunk(8, true)).unwrap_err(), Malformed::Mixed);

        let of_another_history = |mut chunk: Update| {
            chunk.revision.as_mut().unwrap().stamp = vec![2; 16];
            chunk
        };
        let mut chunks = Chunks::default();
        chunks.push(chunk(7, false)).unwrap();
        assert_eq!(chunks.push(of_another_history(chunk(7, true))).unwrap_err(), Malformed::Mixed);
    }

    #[test]
    fn an_update_names_its_revision_and_its_digest() {
        let nameless = Update { revision: None, ..chunk(1, true) };
        assert_eq!(Chunks::default().push(nameless).unwrap_err(), Malformed::NoRevision);
        let odd = Update { known_stamp: vec![1; 15], ..chunk(1, true) };
        assert_eq!(Chunks::default().push(odd).unwrap_err(), Malformed::NoRevision);
        let unchecked = Update { digest: vec![0; 15], ..chunk(1, true) };
        assert_eq!(Chunks::default().push(unchecked).unwrap_err(), Malformed::NoDigest);
    }
}
