//! Lists of ten thousand: pages cost what they show, not what there is.

use std::collections::BTreeSet;

use shared::id::GroupId;

use super::*;
use crate::store::{
    accounts::{self, AccountFilter},
    api_keys::{self, KeyFilter},
    db::fetch_one,
};

struct Many {
    api: TestApi,
    token: String,
    owner: UserId,
    group: GroupId,
}

impl Many {
    /// Ten thousand and one of each.
    async fn on(database: Database) -> Self {
        let api = TestApi::on(database);
        let (owner, token) = api.signed_in("olga", Role::Operator).await;
        let made = async |path: &str, body: Value| {
            let made = api.post(path).by(&token).json(body).send().await.expect(StatusCode::CREATED);
            made.body["id"].as_str().unwrap().to_owned()
        };
        let account = json!({"name": "first", "type": "claude-console", "credentials": {"api_key": "sk-x"}});
        let account = made("/api/admin/accounts", account).await.parse().unwrap();
        let group = made("/api/admin/account-groups", json!({"name": "all"})).await.parse().unwrap();
        let key = made("/api/api-keys", json!({"name": "first"})).await.parse().unwrap();
        test_support::seed_many(&api.app.store, account, key, group).await;
        Self { api, token, owner, group }
    }

    async fn page(&self, path: &str) -> Value {
        self.api.get(path).by(&self.token).send().await.expect(StatusCode::OK).body
    }

    /// How many things a list shows, page by page.
    async fn count(&self, list: &str, rows: &str, query: &str) -> usize {
        let (mut seen, mut shown, mut cursor) = (BTreeSet::new(), 0, String::new());
        loop {
            let page = self.page(&format!("{list}?limit=200&{query}{cursor}")).await;
            for row in page[rows].as_array().unwrap() {
                seen.insert(row["id"].to_string());
                shown += 1;
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), shown, "each once");
        shown
    }

    async fn everything_is_found(&self) {
        let group = format!("group={}&enabled=false", self.group);
        for (list, rows, query, expected) in [
            ("/api/admin/accounts", "accounts", "", 10_001),
            ("/api/admin/accounts", "accounts", "enabled=true&status=valid", 5_001),
            ("/api/admin/accounts", "accounts", "search=seeded%2099", 111),
            ("/api/admin/accounts", "accounts", &group, 5_000),
            ("/api/api-keys", "api_keys", "status=active", 5_001),
            ("/api/api-keys", "api_keys", "search=SEEDED%20123&status=disabled", 5),
        ] {
            assert_eq!(self.count(list, rows, query).await, expected, "{list} {query}");
        }
        let counts = self.page("/api/admin/accounts/counts").await;
        assert_eq!(
            (&counts["available"], &counts["disabled"], &counts["total"]),
            (&json!(5_001), &json!(5_000), &json!(10_001))
        );
        let group = self.page("/api/admin/account-groups").await;
        assert_eq!(group["account_groups"][0]["account_ids"].as_array().unwrap().len(), 10_001);
    }

    async fn each_filter_keeps_the_order_of_an_index(&self) {
        let mut tx = self.api.app.store.read().await.unwrap();
        let none = AccountFilter::default;
        let mut plans = Vec::new();
        for filter in [
            none(),
            AccountFilter { enabled: Some(false), ..none() },
            AccountFilter { valid: Some(true), account_type: Some("ccr".to_owned()), ..none() },
            AccountFilter { search: Some("99".to_owned()), ..none() },
            AccountFilter { group: Some(self.group), ..none() },
        ] {
            plans.push(accounts::plan_of_list(&mut tx, &filter).await.unwrap());
        }
        let none = KeyFilter::default;
        for filter in [
            none(),
            KeyFilter { user: Some(self.owner), ..none() },
            KeyFilter { search: Some("99".to_owned()), ..none() },
        ] {
            plans.push(api_keys::plan(&mut tx, &filter).await.unwrap());
        }
        for plan in plans {
            for bad in ["SCAN", "TEMP B-TREE", "filesort", "ALL", "temporary"] {
                assert!(!plan.contains(bad), "{plan}");
            }
        }
        let counting = accounts::plan_of_count(&mut tx, START).await.unwrap();
        assert!(counting.contains("accounts_by_standing"), "{counting}");
        assert!(counting.contains("COVERING") || counting.contains("Using index"), "{counting}");
    }

    /// What the server was made to execute for a page.
    async fn statements_of(&self, path: &str) -> i64 {
        const EXECUTED: &str = "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status
            WHERE variable_name = 'COM_STMT_EXECUTE'";
        let executed = async || {
            let mut tx = self.api.app.store.read().await.unwrap();
            fetch_one!(&mut tx, (i64,), EXECUTED).unwrap().0
        };
        let before = executed().await;
        self.page(path).await;
        executed().await - before
    }

    async fn a_long_page_takes_no_more_statements_than_a_short_one(&self) {
        for list in [
            "/api/admin/accounts?search=seeded",
            "/api/admin/accounts?enabled=true",
            "/api/api-keys?status=active",
            "/api/admin/users?search=o",
            "/api/admin/account-groups?search=a",
        ] {
            let short = self.statements_of(&format!("{list}&limit=2")).await;
            let long = self.statements_of(&format!("{list}&limit=150")).await;
            assert!(short > 1, "{list}: {short}");
            assert_eq!(long, short, "{list}");
        }
    }

    async fn a_page_from_the_middle_reads_its_rows_only(&self) {
        const READ: &str = "SELECT CAST(SUM(variable_value) AS SIGNED) FROM information_schema.session_status
            WHERE variable_name IN ('HANDLER_READ_NEXT', 'HANDLER_READ_KEY', 'HANDLER_READ_FIRST',
                'HANDLER_READ_PREV', 'HANDLER_READ_RND', 'HANDLER_READ_RND_NEXT')";
        let mut tx = self.api.app.store.read().await.unwrap();
        let middle = shared::id::AccountId::from_bytes(*b"0000000000005000");
        let filter = AccountFilter { enabled: Some(true), ..AccountFilter::default() };
        let before = fetch_one!(&mut tx, (i64,), READ).unwrap().0;
        let measured = fetch_one!(&mut tx, (i64,), READ).unwrap().0;
        let page = accounts::list(&mut tx, &filter, Some(middle), 50).await.unwrap();
        let after = fetch_one!(&mut tx, (i64,), READ).unwrap().0;
        assert_eq!((page.len(), page[0].name.as_str()), (50, "Seeded 5001"));
        let read = (after - measured) - (measured - before);
        assert!((50..500).contains(&read), "{read}");
    }
}

#[tokio::test]
async fn ten_thousand_on_sqlite() {
    let many = Many::on(test_support::sqlite().await).await;
    many.everything_is_found().await;
    many.each_filter_keeps_the_order_of_an_index().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_on_mariadb() {
    let many = Many::on(test_support::mariadb().await).await;
    many.everything_is_found().await;
    many.each_filter_keeps_the_order_of_an_index().await;
    many.a_long_page_takes_no_more_statements_than_a_short_one().await;
    many.a_page_from_the_middle_reads_its_rows_only().await;
}
