//! What requests to an account have in common: made with the first one that needs it, and kept as long as the account
//! stays as it is.

use std::sync::OnceLock;

use http::{HeaderValue, Uri};

/// Addresses that an account can have.
const ADDRESSES: usize = 16;

#[derive(Debug, Default)]
pub struct Ready {
    authorization: OnceLock<HeaderValue>,
    /// Of most accounts one is used.
    addresses: [OnceLock<Box<Uri>>; ADDRESSES],
}

impl Ready {
    /// The header that signs a request. `make` must give the same each time.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn authorization<E>(&self, make: impl FnOnce() -> Result<HeaderValue, E>) -> Result<HeaderValue, E> {
        if let Some(made) = self.authorization.get() {
            return Ok(made.clone());
        }
        let made = make()?;
        Ok(self.authorization.get_or_init(|| made).clone())
    }

    /// The address that `place` stands for. `make` must give the same for a place each time.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn address<E>(&self, place: usize, make: impl FnOnce() -> Result<Uri, E>) -> Result<Uri, E> {
        let Some(address) = self.addresses.get(place) else { return make() };
        if let Some(made) = address.get() {
            return Ok((**made).clone());
        }
        let made = make()?;
        Ok((**address.get_or_init(|| Box::new(made))).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_made_once_and_a_failure_is_not_kept() {
        let ready = Ready::default();
        assert_eq!(ready.address(0, || Err("no")), Err("no"));
        for place in 0..=ADDRESSES {
            let address: Uri = format!("https://upstream.test/{place}").parse().unwrap();
            assert_eq!(ready.address(place, || Ok::<_, ()>(address.clone())), Ok(address.clone()));
            if place < ADDRESSES {
                assert_eq!(ready.address(place, || Err(())), Ok(address));
            }
        }
        assert_eq!(ready.authorization(|| Err("no")), Err("no"));
        let value = HeaderValue::from_static("Bearer key");
        assert_eq!(ready.authorization(|| Ok::<_, ()>(value.clone())), Ok(value.clone()));
        assert_eq!(ready.authorization(|| Err(())), Ok(value));
    }
}
