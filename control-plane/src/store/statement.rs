//! SELECTs put together of what is asked for. A condition that is not asked for is not in the text, so that the
//! database finds the index of those that are.

use sqlx::{FromRow, mysql::MySqlRow, sqlite::SqliteRow};

use super::{StoreError, Tx, db::with_tx};

/// A value to bind.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Bytes(Vec<u8>),
    Text(String),
    Number(i64),
}

impl From<[u8; 16]> for Value {
    fn from(id: [u8; 16]) -> Self {
        Self::Bytes(id.to_vec())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Number(flag.into())
    }
}

#[derive(Debug, Clone)]
pub(super) struct Statement {
    sql: String,
    values: Vec<Value>,
    has_condition: bool,
}

impl Statement {
    /// `select`: all that stands before WHERE.
    pub(super) fn new(select: impl Into<String>) -> Self {
        Self { sql: select.into(), values: Vec::new(), has_condition: false }
    }

    /// The condition with its one `?`, where there is a value.
    pub(super) fn given(mut self, condition: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.push(condition);
            self.values.push(value.into());
        }
        self
    }

    /// The condition with as many `?` as there are values.
    pub(super) fn given_all(mut self, condition: &str, values: Vec<Value>) -> Self {
        self.push(condition);
        self.values.extend(values);
        self
    }

    /// A condition without a value, where there is one.
    pub(super) fn holding(mut self, condition: Option<&str>) -> Self {
        if let Some(condition) = condition {
            self.push(condition);
        }
        self
    }

    /// Rows behind a key of 16 bytes; all of them where there is none.
    pub(super) fn after(self, condition: &str, key: Option<[u8; 16]>) -> Self {
        self.given(condition, Some(key.map_or(Value::Bytes(Vec::new()), Value::from)))
    }

    /// The text is part of one of the columns, in any case (SQLite: of ASCII letters).
    pub(super) fn containing(mut self, columns: &[&str], text: Option<&str>) -> Self {
        if let Some(pattern) = text.map(like) {
            let each = columns.iter().map(|column| format!("LOWER({column}) LIKE LOWER(?) ESCAPE '!'"));
            self.push(&format!("({})", each.collect::<Vec<_>>().join(" OR ")));
            self.values.extend(columns.iter().map(|_| Value::Text(pattern.clone())));
        }
        self
    }

    /// Rows with the same value of an expression become one; behind all conditions.
    pub(super) fn grouped(mut self, by: &str) -> Self {
        self.sql.push_str(&format!(" GROUP BY {by}"));
        self
    }

    /// The end of the statement: its order, and rows at most.
    pub(super) fn first(mut self, order: &str, limit: u32) -> Self {
        self.sql.push_str(&format!(" ORDER BY {order} LIMIT {limit}"));
        self
    }

    fn push(&mut self, condition: &str) {
        self.sql.push_str(if self.has_condition { " AND " } else { " WHERE " });
        self.sql.push_str(condition);
        self.has_condition = true;
    }

    pub(super) async fn fetch<R>(self, tx: &mut Tx) -> Result<Vec<R>, StoreError>
    where
        R: Send + Unpin + for<'r> FromRow<'r, MySqlRow> + for<'r> FromRow<'r, SqliteRow>,
    {
        with_tx!(tx, |connection| {
            let mut query = sqlx::query_as::<_, R>(sqlx::AssertSqlSafe(self.sql));
            for value in self.values {
                query = match value {
                    Value::Bytes(bytes) => query.bind(bytes),
                    Value::Text(text) => query.bind(text),
                    Value::Number(number) => query.bind(number),
                };
            }
            query.fetch_all(connection).await.map_err(StoreError::from)
        })
    }

    /// How the database would find the rows: on SQLite the lines of its query plan, on MySQL the type of access, the
    /// index and what else it does.
    #[cfg(test)]
    pub(super) async fn plan(self, tx: &mut Tx) -> Result<String, StoreError> {
        use sqlx::Row as _;
        let sql = tx.sql("EXPLAIN ", "EXPLAIN QUERY PLAN ").to_owned() + &self.sql;
        let mut lines = Vec::new();
        match tx {
            Tx::MySql(transaction) => {
                let query = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), self.values);
                for row in query.fetch_all(&mut **transaction).await? {
                    let texts = ["type", "key", "Extra"].map(|column| row.get::<Option<String>, _>(column));
                    lines.extend(texts.into_iter().flatten());
                }
            }
            Tx::Sqlite(transaction) => {
                let query = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), self.values);
                let rows = query.fetch_all(&mut **transaction).await?;
                lines.extend(rows.iter().map(|row| row.get::<String, _>("detail")));
            }
        }
        Ok(lines.join(" | "))
    }
}

#[cfg(test)]
fn bound<'q, D: sqlx::Database>(
    query: sqlx::query::Query<'q, D, D::Arguments>,
    values: Vec<Value>,
) -> sqlx::query::Query<'q, D, D::Arguments>
where
    Vec<u8>: sqlx::Encode<'q, D> + sqlx::Type<D>,
    String: sqlx::Encode<'q, D> + sqlx::Type<D>,
    i64: sqlx::Encode<'q, D> + sqlx::Type<D>,
{
    values.into_iter().fold(query, |query, value| match value {
        Value::Bytes(bytes) => query.bind(bytes),
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
    })
}

/// `%text%`, with what LIKE gives a meaning escaped by `!`.
fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_takes_no_pattern() {
        assert_eq!(like("50%_Off!"), "%50!%!_Off!!%");
    }

    #[test]
    fn what_is_not_asked_for_is_not_in_the_text() {
        let all = Statement::new("SELECT id FROM t").given("a = ?", None::<i64>).containing(&["b"], None);
        assert_eq!(all.first("id", 3).sql, "SELECT id FROM t ORDER BY id LIMIT 3");
        let some =
            Statement::new("SELECT id FROM t").after("id > ?", None).containing(&["b", "c"], Some("x"));
        assert_eq!(some.values.len(), 3);
        assert!(some.sql.contains(" WHERE id > ? AND (LOWER(b) LIKE"), "{}", some.sql);
    }
}
