//! A field of an input that changes a thing: absent keeps the value, null sets the default, else it is set.

use serde::{Deserialize, Deserializer};

/// Goes with `#[serde(default)]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Patch<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Patch<T> {
    /// The value in the end, of the present one and the default.
    pub fn over(self, present: T, default: T) -> T {
        match self {
            Self::Keep => present,
            Self::Clear => default,
            Self::Set(value) => value,
        }
    }

    /// [`Self::over`] for what may be absent.
    pub fn over_optional(self, present: Option<T>) -> Option<T> {
        match self {
            Self::Keep => present,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<T>::deserialize(deserializer).map(|value| value.map_or(Self::Clear, Self::Set))
    }
}
