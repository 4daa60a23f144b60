//! Places where tests have the data plane panic, as it never should.

/// Where on a request's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Filter,
    Plan,
    Select,
    Adapt,
    Head,
    /// A plain answer is there.
    Read,
    Respond,
    Stream,
    Drain,
}

/// Panics where a test has asked for it; once.
#[cfg(test)]
pub(crate) fn reach(place: Place) {
    let asked = tests::ASKED.with_borrow_mut(|asked| asked.take_if(|asked| *asked == place).is_some());
    assert!(!asked, "as asked");
}

#[cfg(not(test))]
pub(crate) const fn reach(_place: Place) {}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;

    use super::Place;

    thread_local! {
        pub(super) static ASKED: RefCell<Option<Place>> = const { RefCell::new(None) };
    }

    /// From now on this thread panics there, once.
    pub(crate) fn panic_at(place: Place) {
        ASKED.set(Some(place));
    }

    /// Whether it has.
    pub(crate) fn panicked() -> bool {
        ASKED.with_borrow(Option::is_none)
    }
}
