//! Guessing passwords is slow: attempts are counted in the database, so that replicas count together.
//!
//! An attempt is counted three times: for the name *from this address*, for the address, and for the name. Past a
//! free number each further failure doubles the wait of that counter. Every attempt counts as failed until its
//! password is known to be right, so many at once gain nothing.
//!
//! Nobody is locked out by another's guesses:
//!
//! - The free number of an address is ten times that of a name from an address, and that of a name is higher still. Only
//!   what is free of a name from an address counts for the name, so one address alone never reaches it.
//! - Who has signed in with a name from an address before is held there by the first counter alone.
//! - Where all come from one address, of a proxy say, that counter is everybody's. A browser that the name has been
//!   signed in with before has one of its own instead of all these, see [`Attempt::browser`].

use std::{net::IpAddr, time::Duration};

use sha2::{Digest as _, Sha256};
use shared::clock::Millis;

use super::{
    StoreError, Tx,
    db::{execute, fetch_optional},
};

/// A counter without a failure for so long begins anew.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);
/// An address counts as known to a name for so long after a login.
const KNOWN_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// How often the audit log hears of failures with a name at one place.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What attempts are counted for. Each has its own free number of failures and longest wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counter {
    NameFromAddress,
    NameFromBrowser,
    Address,
    Name,
}

impl Counter {
    /// Of who is not known any better.
    const USUAL: [Self; 3] = [Self::NameFromAddress, Self::Address, Self::Name];

    /// Whether it is of a name at one place.
    const fn is_narrow(self) -> bool {
        matches!(self, Self::NameFromAddress | Self::NameFromBrowser)
    }

    const fn free_failures(self) -> i64 {
        match self {
            Self::NameFromAddress | Self::NameFromBrowser => 5,
            Self::Address => 50,
            Self::Name => 100,
        }
    }

    const fn longest_wait(self) -> Duration {
        match self {
            Self::NameFromAddress | Self::NameFromBrowser => Duration::from_secs(15 * 60),
            // Others wait too. Who guesses gains nothing: with an hour's rest the free number comes to as much.
            Self::Address | Self::Name => Duration::from_secs(60),
        }
    }

    fn wait_after(self, failures: i64) -> Duration {
        if failures < self.free_failures() {
            return Duration::ZERO;
        }
        let beyond = u32::try_from(failures - self.free_failures()).unwrap_or(u32::MAX);
        FIRST_WAIT.saturating_mul(2_u32.saturating_pow(beyond.min(20))).min(self.longest_wait())
    }
}

/// What is tried; each is counted apart from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Login,
    /// Counted by address alone, whatever the name is.
    Registration,
    /// The current password, by someone who is signed in. Counted by name alone, which is that of the session: who took
    /// one over does not keep its person from changing the password in another.
    PasswordChange,
}

/// Who tries what.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    pub purpose: Purpose,
    pub name: &'a str,
    /// `None` where the server does not know: all such attempts share one address.
    pub address: Option<IpAddr>,
    /// The browser, where it is known by a mark that only a login with this name gives: its attempts are counted for
    /// themselves, and nobody else's hold it.
    pub browser: Option<[u8; 16]>,
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Counted as failed until the receipt is handed to [`succeeded`]; check the password.
    Admitted(Receipt),
    /// Not counted; do not look at the password.
    Wait(Duration),
}

/// Where an attempt was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt(Vec<(Counter, Vec<u8>)>);

#[derive(Debug)]
struct State {
    failures: i64,
    blocked_until: Millis,
    succeeded_at: Option<Millis>,
}

impl Attempt<'_> {
    fn id(&self, counter: Counter) -> Vec<u8> {
        let address = self.address.map_or_else(|| "unknown".to_owned(), network);
        let (address, name) = (address.as_bytes(), self.name.as_bytes());
        let browser = self.browser.as_ref().map_or(&[][..], |id| id);
        let parts: [&[u8]; 3] = match (self.purpose, counter) {
            (Purpose::Login, Counter::NameFromAddress) => [b"login", name, address],
            (Purpose::Login, Counter::NameFromBrowser) => [b"login_browser", name, browser],
            (Purpose::Login, Counter::Address) => [b"login", b"", address],
            (Purpose::Login, Counter::Name) => [b"login", name, b""],
            (Purpose::Registration, _) => [b"registration", b"", address],
            (Purpose::PasswordChange, _) => [b"password_change", name, b""],
        };
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().to_vec()
    }

    /// In one order for everyone, so that transactions do not wait for each other in a circle.
    fn counters(&self) -> Vec<(Counter, Vec<u8>)> {
        let counters = match self.purpose {
            Purpose::Login if self.browser.is_some() => &[Counter::NameFromBrowser],
            Purpose::Login => &Counter::USUAL[..],
            Purpose::Registration | Purpose::PasswordChange => &[Counter::NameFromAddress],
        };
        let mut counters: Vec<_> = counters.iter().map(|counter| (*counter, self.id(*counter))).collect();
        counters.sort_by(|one, other| one.1.cmp(&other.1));
        counters
    }
}

/// A host of IPv4; of IPv6 the network that one customer usually has.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Counts an attempt, or refuses it. Commit before the password is checked.
///
/// # Errors
/// What the database says.
pub async fn admit(tx: &mut Tx, attempt: &Attempt<'_>, now: Millis) -> Result<Admission, StoreError> {
    let mut states = Vec::new();
    for (counter, id) in attempt.counters() {
        let state = lock(tx, &id, now).await?;
        states.push((counter, id, state));
    }
    let known =
        states.iter().any(|(_, _, state)| state.succeeded_at.is_some_and(|at| now.since(at) < KNOWN_FOR));
    let wait = states
        .iter()
        .filter(|(counter, ..)| counter.is_narrow() || !known)
        .map(|(_, _, state)| state.blocked_until.since(now))
        .max();
    if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
        return Ok(Admission::Wait(wait));
    }
    let past_free = states
        .iter()
        .any(|(counter, _, state)| counter.is_narrow() && state.failures >= counter.free_failures());
    // What blocks others is left as it is: who passes by does not lift it.
    states.retain(|(counter, _, state)| {
        state.blocked_until <= now && !(past_free && *counter == Counter::Name)
    });
    count(tx, states, now).await.map(Admission::Admitted)
}

async fn count(
    tx: &mut Tx,
    states: Vec<(Counter, Vec<u8>, State)>,
    now: Millis,
) -> Result<Receipt, StoreError> {
    let mut receipt = Vec::new();
    for (counter, id, state) in states {
        let failures = state.failures.saturating_add(1);
        let blocked_until = now.plus(counter.wait_after(failures));
        execute!(
            tx,
            "UPDATE login_throttle SET failures = ?, last_attempt_at = ?, blocked_until = ? WHERE id = ?",
            failures,
            now.0,
            blocked_until.0,
            id.clone(),
        )?;
        receipt.push((counter, id));
    }
    Ok(Receipt(receipt))
}

/// The row, made where it is missing and locked until the transaction ends.
async fn lock(tx: &mut Tx, id: &[u8], now: Millis) -> Result<State, StoreError> {
    const MYSQL: &str =
        "INSERT INTO login_throttle (id, failures, last_attempt_at, blocked_until, succeeded_at)
        VALUES (?, 0, ?, 0, NULL) ON DUPLICATE KEY UPDATE id = id";
    const SQLITE: &str =
        "INSERT INTO login_throttle (id, failures, last_attempt_at, blocked_until, succeeded_at)
        VALUES (?, 0, ?, 0, NULL) ON CONFLICT (id) DO NOTHING";
    let sql = tx.sql(MYSQL, SQLITE);
    execute!(tx, sql, id.to_vec(), now.0)?;
    let sql = tx.sql(
        "SELECT failures, last_attempt_at, blocked_until, succeeded_at FROM login_throttle WHERE id = ? FOR UPDATE",
        "SELECT failures, last_attempt_at, blocked_until, succeeded_at FROM login_throttle WHERE id = ?",
    );
    let row = fetch_optional!(tx, (i64, i64, i64, Option<i64>), sql, id.to_vec())?;
    let (failures, last, blocked_until, succeeded_at) = row.ok_or(StoreError::NotFound)?;
    let failures = if now.since(Millis(last)) >= FORGET_AFTER { 0 } else { failures };
    Ok(State { failures, blocked_until: Millis(blocked_until), succeeded_at: succeeded_at.map(Millis) })
}

/// Takes back what [`admit`] counted: the password was right. The name at this place begins anew and is known there;
/// the others lose this one failure only, else a guesser with an own account could clear them.
///
/// # Errors
/// What the database says.
pub async fn succeeded(tx: &mut Tx, receipt: &Receipt, now: Millis) -> Result<(), StoreError> {
    for (counter, id) in &receipt.0 {
        if counter.is_narrow() {
            execute!(
                tx,
                "UPDATE login_throttle SET failures = 0, blocked_until = 0, succeeded_at = ? WHERE id = ?",
                now.0,
                id.clone(),
            )?;
        } else {
            take_back(tx, id).await?;
        }
    }
    Ok(())
}

/// Takes back what [`admit`] counted: the password was not looked at.
///
/// # Errors
/// What the database says.
pub async fn withdrawn(tx: &mut Tx, receipt: &Receipt) -> Result<(), StoreError> {
    for (_, id) in &receipt.0 {
        take_back(tx, id).await?;
    }
    Ok(())
}

/// Whether a failure of this attempt is to be written to the audit log: once in [`LOG_EVERY`] for a name at one place.
/// True counts as written.
///
/// # Errors
/// What the database says.
pub async fn is_log_due(tx: &mut Tx, receipt: &Receipt, now: Millis) -> Result<bool, StoreError> {
    let Some((_, id)) = receipt.0.iter().find(|(counter, _)| counter.is_narrow()) else {
        return Ok(false);
    };
    let ago = now.0.saturating_sub(Millis(0).plus(LOG_EVERY).0);
    let matched = execute!(
        tx,
        "UPDATE login_throttle SET logged_at = ? WHERE id = ? AND (logged_at IS NULL OR logged_at <= ?)",
        now.0,
        id.clone(),
        ago,
    )?;
    Ok(matched > 0)
}

async fn take_back(tx: &mut Tx, id: &[u8]) -> Result<(), StoreError> {
    execute!(
        tx,
        "UPDATE login_throttle SET failures = failures - 1, blocked_until = 0 WHERE id = ? AND failures > 0",
        id.to_vec(),
    )?;
    Ok(())
}

/// Drops counters that have nothing to say any more, at most `limit`. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_stale(tx: &mut Tx, now: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM login_throttle WHERE last_attempt_at < ? AND (succeeded_at IS NULL OR succeeded_at < ?)
         ORDER BY last_attempt_at LIMIT ?",
        "DELETE FROM login_throttle WHERE id IN (SELECT id FROM login_throttle
         WHERE last_attempt_at < ? AND (succeeded_at IS NULL OR succeeded_at < ?) ORDER BY last_attempt_at LIMIT ?)",
    );
    let ago = |duration: Duration| now.0.saturating_sub(Millis(0).plus(duration).0);
    execute!(tx, sql, ago(FORGET_AFTER), ago(KNOWN_FOR), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_past_the_free_failures_and_is_bounded() {
        let wait = |failures| Counter::NameFromAddress.wait_after(failures).as_secs();
        assert_eq!(
            [wait(1), wait(4), wait(5), wait(6), wait(7), wait(20), wait(i64::MAX)],
            [0, 0, 1, 2, 4, 900, 900]
        );
    }

    #[test]
    fn counters_are_apart_by_purpose_name_and_network() {
        let id = |purpose, name, address: &str, counter| {
            Attempt { purpose, name, address: address.parse().ok(), browser: None }.id(counter)
        };
        let pair = |name, address| id(Purpose::Login, name, address, Counter::NameFromAddress);
        let registration = |name, address| id(Purpose::Registration, name, address, Counter::NameFromAddress);
        assert_ne!(pair("ann", "192.0.2.1"), pair("ann", "192.0.2.2"));
        assert_ne!(pair("ann", "192.0.2.1"), pair("Ann", "192.0.2.1"));
        assert_ne!(pair("", "192.0.2.1"), registration("", "192.0.2.1"));
        assert_eq!(registration("ann", "192.0.2.1"), registration("bob", "192.0.2.1"));
        assert_eq!(pair("ann", "2001:db8::1"), pair("ann", "2001:db8::ffff"));
        assert_ne!(pair("ann", "2001:db8::1"), pair("ann", "2001:db8:0:1::1"));
        assert_eq!(pair("ann", "::ffff:192.0.2.1"), pair("ann", "192.0.2.1"));
        let address = |name| id(Purpose::Login, name, "192.0.2.1", Counter::Address);
        assert_eq!(address("ann"), address("bob"));
    }
}
