//! The times that sums are asked for.

use shared::clock::Millis;

use crate::{
    domain::{api_key::MAX_TIME, fault::Faults},
    ledger::retention::quarters_from,
    store::rollups::{DAY_MS, QUARTER_MS, day_of, quarter_of},
};

/// How far sums go back where nothing is said, and the longest span of them.
pub const SUMS: Bounds = Bounds { default_days: 30, most_days: 1_000 };
/// The same of sums by hour.
pub const HOURS: Bounds = Bounds { default_days: 7, most_days: 7 };

/// A span of whole quarter-hours; where these are not kept any more, of whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: Millis,
    /// Not included.
    pub to: Millis,
}

/// How long a span is.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    default_days: i64,
    most_days: i64,
}

impl Span {
    /// `now`: where `to` says nothing.
    ///
    /// # Errors
    /// It is backwards, longer than its bounds, or beyond the times that there are.
    pub fn new(
        from: Option<Millis>,
        to: Option<Millis>,
        bounds: Bounds,
        now: Millis,
    ) -> Result<Self, Faults> {
        for (name, at) in [("from", from), ("to", to)] {
            if at.is_some_and(|at| !(Millis(0)..=MAX_TIME).contains(&at)) {
                return Err(fault(name, "must be milliseconds since 1970"));
            }
        }
        let last = to.unwrap_or(now);
        let first = from.unwrap_or(Millis(last.0.saturating_sub(bounds.default_days * DAY_MS)));
        if first > last || last.0.saturating_sub(first.0) > bounds.most_days * DAY_MS {
            let most = bounds.most_days;
            return Err(fault("from", format!("`from` comes before `to`, by {most} days at most")));
        }
        let kept = quarters_from(now);
        let from = if first < kept { day_of(first.0) } else { quarter_of(first) };
        let end = if last < kept {
            day_of(last.0).saturating_add(DAY_MS)
        } else {
            quarter_of(last).saturating_add(QUARTER_MS)
        };
        Ok(Self { from: Millis(from), to: Millis(end) })
    }
}

fn fault(field: &str, message: impl Into<String>) -> Faults {
    let mut faults = Faults::default();
    faults.push(field, message);
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_widened_to_whole_quarters() {
        let now = Millis(100 * QUARTER_MS + 5);
        let span = Span::new(Some(Millis(10 * QUARTER_MS + 1)), None, SUMS, now).unwrap();
        assert_eq!(span, Span { from: Millis(10 * QUARTER_MS), to: Millis(101 * QUARTER_MS) });
        let on_the_border = Span::new(Some(now), Some(Millis(101 * QUARTER_MS)), SUMS, now).unwrap();
        assert_eq!(on_the_border.to, Millis(102 * QUARTER_MS));
    }

    #[test]
    fn a_span_backwards_or_beyond_reason_is_refused() {
        let now = Millis(2_000 * DAY_MS);
        let span =
            |from: i64, to: Option<i64>, bounds| Span::new(Some(Millis(from)), to.map(Millis), bounds, now);
        assert!(span(2, Some(1), SUMS).is_err());
        assert!(span(i64::MIN, None, SUMS).is_err());
        for far in [i64::MIN, i64::MIN + 1, -1, MAX_TIME.0 + 1, i64::MAX] {
            assert!(span(far, Some(far), SUMS).is_err(), "{far}");
            assert!(Span::new(None, Some(Millis(far)), SUMS, now).is_err(), "{far}");
        }
        for edge in [0, MAX_TIME.0] {
            assert!(span(edge, Some(edge), SUMS).is_ok(), "{edge}");
        }
        assert!(span(1_000 * DAY_MS, None, SUMS).is_ok());
        assert!(span(1_000 * DAY_MS - 1, None, SUMS).is_err());
        assert!(span(1_993 * DAY_MS, None, HOURS).is_ok());
        assert!(span(1_993 * DAY_MS - 1, None, HOURS).is_err());
        assert!(Span::new(None, None, HOURS, now).is_ok());
    }
}
