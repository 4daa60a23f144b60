//! The columns of the matrix: an account of each type, of each kind that its upstream is reached in.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
pub(crate) use tests::COLUMNS;
use tests::{Account, Column, Gateway};

/// What the accounts are made for, whether it tries the cells or not.
const SDKS: [&str; 2] = ["python", "node"];
pub(crate) const WIRES: [&str; 4] = ["chat", "responses", "messages", "gemini"];
/// Accounts of one wire and SDK in a column, besides the one that all share.
const LANES: usize = 3;
const AT_A_TIME: usize = 8;

/// Makes the accounts of all columns at the gateway, and gives what the programs read of them.
pub(crate) async fn make(gateway: &Gateway) -> Value {
    let all = COLUMNS.iter().flat_map(accounts).collect::<Vec<_>>();
    let made = stream::iter(all).map(async |account| account.make(gateway).await);
    made.buffer_unordered(AT_A_TIME).collect::<Vec<_>>().await;
    // The node learns of changes in their order, so that with one more it knows them all.
    Account::new(&COLUMNS[0], "-last").make(gateway).await;
    gateway.caller().await.offered("claude-sonnet-5-last").await;
    COLUMNS.iter().map(cell).collect()
}

fn lane(sdk: &str, wire: &str, number: usize) -> String {
    format!("-{sdk}-{wire}-{number}")
}

/// The one that all programs share, whose lane is empty, and those of the lanes.
fn accounts(column: &'static Column) -> impl Iterator<Item = Account> {
    let lanes = SDKS.into_iter().flat_map(|sdk| {
        let numbered = move |wire| (0..LANES).map(move |number| lane(sdk, wire, number));
        WIRES.into_iter().flat_map(numbered)
    });
    [String::new()].into_iter().chain(lanes).map(move |lane| Account::new(column, lane))
}

fn cell(column: &'static Column) -> Value {
    let shared = Account::new(column, "");
    let lanes_of = |sdk: &str, wire: &str| -> Value {
        let accounts = (0..LANES).map(|number| Account::new(column, lane(sdk, wire, number)));
        accounts.map(|one| json!({ "model": one.asked(), "emulator_key": one.key() })).collect()
    };
    let by_wire =
        |sdk: &str| -> Value { WIRES.iter().map(|wire| ((*wire).to_owned(), lanes_of(sdk, wire))).collect() };
    let lanes: Value = SDKS.iter().map(|sdk| ((*sdk).to_owned(), by_wire(sdk))).collect();
    let thinker = column.thinker.map(|model| format!("{},{model}", column.account_type));
    json!({
        "column": column.name,
        "account_type": column.account_type,
        "model": shared.asked(),
        "reasoning_model": thinker.unwrap_or_else(|| shared.asked()),
        "emulator_key": shared.key(),
        "lanes": lanes,
    })
}
