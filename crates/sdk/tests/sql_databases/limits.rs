//! Bounds, and what is left behind them: nothing.

use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use flyte_secrets_sdk::sql::{Limits, Output, SqlError};

use crate::places::{all, inputs, look_up, mariadb, postgresql, sqlite};

#[tokio::test]
async fn a_result_that_is_too_large_is_an_error_and_its_changes_are_undone() {
    for place in all() {
        let _ = place.execute("DROP TABLE bounded", inputs([])).await;
        place.execute("CREATE TABLE bounded (a int)", inputs([])).await.unwrap();
        let task = place.task("INSERT INTO bounded VALUES (1), (2), (3) RETURNING a");
        let rows = task.clone().with_limits(Limits { rows: 2, ..Limits::default() });
        let error = rows.run(&inputs([]), look_up, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, SqlError::TooLarge { limit: 2, unit: "rows" }), "{}: {error}", place.name);
        let bytes = task.with_limits(Limits { bytes: 20, ..Limits::default() });
        let error = bytes.run(&inputs([]), look_up, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, SqlError::TooLarge { limit: 20, unit: "bytes" }), "{}: {error}", place.name);
        assert_eq!(place.rows("SELECT COUNT(*) FROM bounded", inputs([])).await.unwrap(), "0\n", "{}", place.name);
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_database() {
    for (place, query) in [
        (postgresql(), "SELECT count(*) FROM generate_series(1, 100000000000)"),
        (mariadb(), "SELECT SLEEP(60) FROM (SELECT 1) t WHERE SLEEP(60)"),
        (sqlite(), "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"),
    ] {
        let limits = Limits { statement_timeout: Duration::from_millis(300), ..Limits::default() };
        let begin = Instant::now();
        let error = place.task(query).with_limits(limits).run(&inputs([]), look_up, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, SqlError::TimedOut { what: "the statement", .. }), "{}: {error}", place.name);
        assert!(begin.elapsed() < Duration::from_secs(2), "{}: {:?}", place.name, begin.elapsed());
    }
}

/// A place that is full after the first batch.
struct Full;

impl Output for Full {
    fn begin(&mut self, _: &Schema) -> Result<(), SqlError> {
        Ok(())
    }

    fn write(&mut self, _: &RecordBatch) -> Result<(), SqlError> {
        Err(SqlError::Output("no space left".to_owned()))
    }

    fn end(&mut self) -> Result<(), SqlError> {
        panic!("the end of an output that failed")
    }
}

#[tokio::test]
async fn an_output_that_fails_undoes_the_statement() {
    for place in all() {
        let _ = place.execute("DROP TABLE undone", inputs([])).await;
        place.execute("CREATE TABLE undone (a int)", inputs([])).await.unwrap();
        let task = place.task("INSERT INTO undone VALUES (1) RETURNING a");
        let error = task.run(&inputs([]), look_up, &mut Full).await.unwrap_err();
        assert_eq!(error.to_string(), "the rows could not be written: no space left");
        assert_eq!(place.rows("SELECT COUNT(*) FROM undone", inputs([])).await.unwrap(), "0\n", "{}", place.name);
    }
}
