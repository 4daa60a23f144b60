//! Ids: ULIDs, 16 bytes on the wire and in SQL, 26 characters of Crockford base 32 in JSON and on screen.

use std::{cell::RefCell, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Millis;

/// The text or the bytes are not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: 26 characters of Crockford base 32 are expected")]
pub struct InvalidId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// A new id of the time given, random in its last 80 bits.
            #[must_use]
            pub fn new(now: Millis) -> Self {
                Self(generate(now))
            }

            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }

            /// The time in the id, in milliseconds since 1970.
            #[must_use]
            pub const fn timestamp_ms(self) -> u64 {
                self.0.timestamp_ms()
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidId;
            fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
                Ok(Self::from_bytes(bytes.try_into().map_err(|_| InvalidId)?))
            }
        }

        impl TryFrom<Vec<u8>> for $name {
            type Error = InvalidId;
            fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidId> {
                Self::try_from(bytes.as_slice())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Ulid::from_string(text).map(Self).map_err(|_| InvalidId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )+};
}

ids! {
    /// An upstream account.
    AccountId,
    /// A named set of accounts.
    GroupId,
    /// A person who may log in and own keys.
    UserId,
    /// An API key.
    KeyId,
    /// One request of a client, with all its attempts.
    RequestId,
    /// One run of a node's process.
    IncarnationId,
    /// A rule that sends models to a platform.
    RouteId,
    /// A rule that renames a model.
    MappingId,
    /// A model with a price.
    ModelId,
    /// A price of a model, from a time on.
    PriceId,
    /// A login that can be refreshed and revoked.
    SessionId,
    /// A row of the audit log.
    AuditId,
    /// A command to a node.
    CommandId,
}

/// Bytes that an id takes of its thread's random numbers.
const RANDOM_BYTES: usize = 10;
/// Ids whose random numbers are fetched at once: each request has an id, and none pays for a system call.
const AT_ONCE: usize = 64;

thread_local! {
    /// Random bytes of the system, each used once, and how many of them are left.
    static RANDOM: RefCell<Random> = const { RefCell::new(Random { bytes: [[0; RANDOM_BYTES]; AT_ONCE], left: 0 }) };
}

struct Random {
    bytes: [[u8; RANDOM_BYTES]; AT_ONCE],
    left: usize,
}

fn generate(now: Millis) -> Ulid {
    let mut random = [0_u8; 16];
    random[..RANDOM_BYTES].copy_from_slice(&RANDOM.with_borrow_mut(Random::next));
    Ulid::from_parts(u64::try_from(now.0).unwrap_or(0), u128::from_le_bytes(random))
}

impl Random {
    fn next(&mut self) -> [u8; RANDOM_BYTES] {
        if self.left == 0 {
            // The kernel's source does not fail once it is seeded; a process that starts before that waits inside the call.
            if getrandom::fill(self.bytes.as_flattened_mut()).is_err() {
                std::process::abort();
            }
            self.left = AT_ONCE;
        }
        self.left -= 1;
        self.bytes[self.left]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_of_any_thread_comes_twice() {
        let ids = || (0..5 * AT_ONCE).map(|_| RequestId::new(Millis(1))).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(ids)).collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 4 * 5 * AT_ONCE);
    }

    #[test]
    fn text_and_bytes_round_trip() {
        let id = AccountId::new(Millis(1_700_000_000_000));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(AccountId::try_from(&id.to_bytes()[..]), Ok(id));
        assert_eq!(id.timestamp_ms(), 1_700_000_000_000);
    }

    #[test]
    fn other_lengths_are_refused() {
        assert_eq!(KeyId::try_from(&[0_u8; 15][..]), Err(InvalidId));
        assert_eq!("01ARZ3NDEKTSV4RRFFQ69G5FA".parse::<KeyId>(), Err(InvalidId));
    }
}
