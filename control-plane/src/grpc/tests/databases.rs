//! Each case on both databases, on a fresh one each time.

use super::replica::{self, Replica};
use crate::{
    app::App,
    settings::Settings,
    store::{Store, StoreOptions, test_support},
};

/// A fresh database, which several replicas may use.
pub(super) struct Database {
    url: String,
    /// Absent: someone else keeps the server.
    _keep: Option<test_support::Database>,
}

impl Database {
    pub(super) async fn sqlite() -> Self {
        let database = test_support::sqlite().await;
        Self { url: database.url.clone(), _keep: Some(database) }
    }

    pub(super) async fn on(server: &test_support::Database, name: &str) -> Self {
        let database = Self { url: server.empty_neighbour(name), _keep: None };
        database.store().await.migrate().await.unwrap();
        database
    }

    async fn store(&self) -> Store {
        Store::connect(&self.url, &StoreOptions::default()).await.unwrap()
    }

    pub(super) async fn app(&self) -> App {
        replica::app(self.store().await, |_| {})
    }

    pub(super) async fn replica(&self) -> Replica {
        Replica::start(self.store().await).await
    }

    pub(super) async fn replica_with(&self, adjust: impl FnOnce(&mut Settings)) -> Replica {
        Replica::start_with(self.store().await, adjust).await
    }
}

/// Makes tests of cases: one each on SQLite, and one of them all on a MariaDB, which takes a while to start.
macro_rules! both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(super::Database::sqlite().await).await;
                }
            )+
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn all_on_mariadb() {
            let server = crate::store::test_support::mariadb().await;
            $($case(Database::on(&server, stringify!($case)).await).await;)+
        }
    };
}

pub(super) use both;
