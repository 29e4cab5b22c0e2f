//! Statements that are sent to SQLite together.
//!
//! A connection lives on a thread of its own, and each call to it crosses over and back, which costs as much as several
//! small statements. So a script carries all statements that need nothing of each other's results.
//!
//! Invariant: a script is made of the constants of [`crate::sql`] only; every value is bound.

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Either, Encode, Executor as _, Sqlite, Type};

/// Statements and their parameters.
#[derive(Default)]
pub(crate) struct Script {
    text: String,
    arguments: SqliteArguments,
    statements: usize,
}

/// What one statement answered.
#[derive(Default)]
pub(crate) struct Answer {
    /// Its rows.
    pub(crate) rows: Vec<SqliteRow>,
    /// How many rows it inserted, updated or deleted; of no meaning for any other statement.
    pub(crate) changed: u64,
}

impl Script {
    /// A script of one statement.
    pub(crate) fn of(sql: &'static str) -> Script {
        let mut script = Script::default();
        script.statement(sql);
        script
    }

    /// Binds the next parameter.
    pub(crate) fn with<'v, T: Encode<'v, Sqlite> + Type<Sqlite>>(mut self, value: T) -> Script {
        self.bind(value);
        self
    }

    /// Adds a statement. Its parameters are to be bound before the next one is added.
    pub(crate) fn statement(&mut self, sql: &'static str) -> &mut Script {
        self.text.push_str(sql);
        self.text.push(';');
        self.statements += 1;
        self
    }

    /// Binds the next parameter.
    pub(crate) fn bind<'v, T: Encode<'v, Sqlite> + Type<Sqlite>>(
        &mut self,
        value: T,
    ) -> &mut Script {
        let added = self.arguments.add(value);
        added.expect("integers, text and blobs are always encodable");
        self
    }

    /// How many statements it has, and how many answers it will get.
    pub(crate) fn len(&self) -> usize {
        self.statements
    }

    /// Sends the statements and collects all their rows.
    pub(crate) async fn rows(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        Ok(self
            .run(connection)
            .await?
            .into_iter()
            .flat_map(|answer| answer.rows)
            .collect())
    }

    /// Sends the statements and collects their answers, one each, in order. The first that fails ends the script.
    pub(crate) async fn run(
        self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<Answer>, sqlx::Error> {
        let mut answers = Vec::with_capacity(self.statements);
        if self.statements == 0 {
            return Ok(answers);
        }
        let mut current = Answer::default();
        let query = sqlx::query_with(AssertSqlSafe(self.text), self.arguments);
        let mut stream = connection.fetch_many(query);
        while let Some(item) = stream.try_next().await? {
            match item {
                Either::Right(row) => current.rows.push(row),
                Either::Left(done) => {
                    current.changed = done.rows_affected();
                    answers.push(std::mem::take(&mut current));
                }
            }
        }
        assert_eq!(
            answers.len(),
            self.statements,
            "each statement of a script answers once"
        );
        Ok(answers)
    }
}
