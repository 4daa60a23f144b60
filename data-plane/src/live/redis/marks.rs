//! Marks as Redis holds them.

use std::{collections::HashMap, time::Duration};

use shared::{clock::Millis, id::AccountId};

use crate::live::{Mark, MarkKind};

/// Where nodes tell one another that an account's marks changed; the message is the account's id.
pub(super) const CHANNEL: &str = "sy:account-status";

/// Puts marks on an account: each goes in unless one of its place lasts longer. What has ended goes out.
///
/// KEYS: the account's hash. ARGV: channel, account, then for each mark field, milliseconds from now, reason.
pub(super) const MARK: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local latest = 0
local held = {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local ends = tonumber(string.match(flat[i + 1], '^%d+')) or 0
  if ends > now then
    held[flat[i]] = ends
    latest = math.max(latest, ends)
  else
    redis.call('HDEL', KEYS[1], flat[i])
  end
end
for i = 3, #ARGV, 3 do
  local ends = now + tonumber(ARGV[i + 1])
  if ends > (held[ARGV[i]] or 0) then
    redis.call('HSET', KEYS[1], ARGV[i], string.format('%.0f ', ends) .. ARGV[i + 2])
    latest = math.max(latest, ends)
  end
end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', latest))
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
";

/// Behind the kind of a mark whose end is a guess.
const GUESSED: &str = "~";

pub(super) fn key(account: AccountId) -> String {
    format!("sy:{{a:{account}}}:status")
}

/// Field, milliseconds from now, reason.
pub(super) fn arguments(mark: &Mark, now: Millis) -> [String; 3] {
    let kind = match mark.kind {
        MarkKind::RateLimited => "rate_limited",
        MarkKind::Overloaded => "overloaded",
    };
    let guessed = if mark.guessed { GUESSED } else { "" };
    let field = match &mark.model_family {
        None => format!("{kind}{guessed}"),
        Some(family) => format!("{kind}{guessed}:{family}"),
    };
    [field, mark.remaining(now).as_millis().to_string(), mark.reason.clone()]
}

/// The marks of an account's hash. `redis_now` and `now` are the same moment by Redis's clock and by this node's.
pub(super) fn parse(hash: HashMap<String, String>, redis_now: Millis, now: Millis) -> Vec<Mark> {
    hash.into_iter().filter_map(|(field, value)| mark(&field, &value, redis_now, now)).collect()
}

/// `None`: it has ended, or is of a kind that this build doesn't know.
fn mark(field: &str, value: &str, redis_now: Millis, now: Millis) -> Option<Mark> {
    let (kind, family) = field.split_once(':').map_or((field, None), |(kind, family)| (kind, Some(family)));
    let (kind, guessed) = kind.strip_suffix(GUESSED).map_or((kind, false), |kind| (kind, true));
    let kind = match kind {
        "rate_limited" => MarkKind::RateLimited,
        "overloaded" => MarkKind::Overloaded,
        _ => return None,
    };
    let (ends, reason) = value.split_once(' ')?;
    let remaining = Millis(ends.parse().ok()?).since(redis_now);
    (remaining > Duration::ZERO).then(|| Mark {
        kind,
        until: now.plus(remaining),
        reason: reason.to_owned(),
        model_family: family.map(ToOwned::to_owned),
        guessed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_carried_over_between_clocks() {
        let hash = HashMap::from([
            ("overloaded~".to_owned(), "5100 status_529".to_owned()),
            ("rate_limited:opus".to_owned(), "5000 status_429".to_owned()),
            ("from_the_future".to_owned(), "9000 x".to_owned()),
            ("rate_limited".to_owned(), "soon".to_owned()),
        ]);
        let expected = Mark {
            kind: MarkKind::Overloaded,
            until: Millis(200),
            reason: "status_529".into(),
            model_family: None,
            guessed: true,
        };
        assert_eq!(arguments(&expected, Millis(100))[0], "overloaded~");
        assert_eq!(parse(hash, Millis(5000), Millis(100)), [expected]);
    }
}
