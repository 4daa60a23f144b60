//! How long a limit lasts, as providers say it in headers.

use std::time::Duration;

use http::{HeaderMap, header::RETRY_AFTER};
use shared::clock::Millis;

/// No header takes an account out for longer.
pub(super) const MAX_LIMITED: Duration = Duration::from_secs(24 * 3600);

/// `Retry-After`, in seconds or as a date. `retry-after-ms` is more exact where it is given.
pub(super) fn retry_after(headers: &HeaderMap, now: Millis) -> Option<Duration> {
    let milliseconds =
        text(headers, "retry-after-ms").and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let after = milliseconds.or_else(|| {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        seconds(text).or_else(|| {
            let date = jiff::fmt::rfc2822::parse(text).ok()?;
            Some(Millis(date.timestamp().as_millisecond()).since(now))
        })
    });
    after.map(|after| after.min(MAX_LIMITED))
}

/// The latest reset among the limits that are used up: `anthropic-ratelimit-*-remaining: 0` with its `-reset`, and
/// the unified limit of subscriptions.
pub(super) fn anthropic(headers: &HeaderMap, now: Millis) -> Option<Duration> {
    const LIMITS: [(&str, &str); 4] = [
        ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
        ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
        ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
        ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ];
    let used_up = LIMITS.iter().filter(|(remaining, _)| text(headers, remaining) == Some("0"));
    let resets = used_up.filter_map(|(_, reset)| {
        let at: jiff::Timestamp = text(headers, reset)?.parse().ok()?;
        Some(Millis(at.as_millisecond()).since(now))
    });
    let unified = text(headers, "anthropic-ratelimit-unified-status")
        .filter(|status| *status == "rejected")
        .and_then(|_| text(headers, "anthropic-ratelimit-unified-reset")?.parse::<i64>().ok())
        .map(|at| Millis(at.saturating_mul(1000)).since(now));
    resets.chain(unified).max().map(|after| after.min(MAX_LIMITED))
}

/// The longest reset among the limits that are used up: `x-ratelimit-remaining-*: 0` with its `x-ratelimit-reset-*`.
pub(super) fn openai(headers: &HeaderMap) -> Option<Duration> {
    const LIMITS: [(&str, &str); 2] = [
        ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ];
    let used_up = LIMITS.iter().filter(|(remaining, _)| text(headers, remaining) == Some("0"));
    let resets = used_up.filter_map(|(_, reset)| go_duration(text(headers, reset)?));
    resets.max().map(|after| after.min(MAX_LIMITED))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// `1s`, `6m0s`, `1h2m3.5s`, `20ms`: numbers, each with its unit.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let factor = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()?;
        sum = sum.checked_add(part)?;
        rest = tail;
    }
    (sum > Duration::ZERO).then_some(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    const NOW: Millis = Millis(784_111_777_000);

    #[test]
    fn retry_after_is_seconds_or_a_date_or_milliseconds() {
        let after = |pairs: &[_]| retry_after(&headers(pairs), NOW);
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(after(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]), Some(Duration::from_secs(60)));
        assert_eq!(
            after(&[("retry-after", "7"), ("retry-after-ms", "250")]),
            Some(Duration::from_millis(250))
        );
        assert_eq!(after(&[("retry-after", "soon")]), None);
        assert_eq!(after(&[("retry-after", "-3")]), None);
        assert_eq!(after(&[("retry-after", "1e300")]), None);
        assert_eq!(after(&[("retry-after", "999999999")]), Some(MAX_LIMITED));
    }

    #[test]
    fn only_a_limit_that_is_used_up_counts() {
        let pairs = [
            ("anthropic-ratelimit-requests-remaining", "10"),
            ("anthropic-ratelimit-requests-reset", "1994-11-06T09:49:37Z"),
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "1994-11-06T08:50:07Z"),
        ];
        assert_eq!(anthropic(&headers(&pairs), NOW), Some(Duration::from_secs(30)));
        let pairs = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1m2.5s"),
            ("x-ratelimit-remaining-tokens", "5"),
            ("x-ratelimit-reset-tokens", "9h"),
        ];
        assert_eq!(openai(&headers(&pairs)), Some(Duration::from_millis(62_500)));
    }

    #[test]
    fn the_unified_limit_counts_when_it_rejects() {
        let pairs = |status| {
            headers(&[
                ("anthropic-ratelimit-unified-status", status),
                ("anthropic-ratelimit-unified-reset", "784111837"),
            ])
        };
        assert_eq!(anthropic(&pairs("rejected"), NOW), Some(Duration::from_secs(60)));
        assert_eq!(anthropic(&pairs("allowed"), NOW), None);
    }

    proptest! {
        #[test]
        fn any_text_is_bounded_or_nothing(text in "[0-9a-zA-Z.:, -]{0,40}") {
            let map = headers(&[
                ("retry-after", &text),
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", &text),
                ("anthropic-ratelimit-tokens-remaining", "0"),
                ("anthropic-ratelimit-tokens-reset", &text),
            ]);
            for after in [retry_after(&map, NOW), openai(&map), anthropic(&map, NOW)].into_iter().flatten() {
                prop_assert!(after <= MAX_LIMITED);
            }
        }
    }
}
