//! Tasks over a SQLite file, with nothing installed:
//!
//! ```text
//! cargo run -p flyte-secrets-sdk --features sql-sqlite --example sql-task
//! ```
//!
//! The name of the file is a secret here, because SQLite has no passwords; with PostgreSQL or MySQL it would be
//! `("password".to_owned(), secret)`, and everything else would be the same.

use std::collections::BTreeMap;
use std::io::Write;

use flyte_secrets_core::secret::Secret;
use flyte_secrets_sdk::sql::{Csv, Input, Inputs, SqlConfig, SqlError, SqlTask};
use flyte_secrets_sdk::tasks::current_context;
use flyte_secrets_sdk::testing::Secrets;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("orders.db").display().to_string();
    // In a pod the webhook has put it there.
    let mock = Secrets::new().value("orders", "file", None, file).mock()?;
    let _guard = mock.enter();
    let context = current_context();
    let look_up = |secret: &Secret| context.secrets().look_up(secret);
    let secret = Secret { group: "orders".to_owned(), key: "file".to_owned(), ..Secret::default() };
    let config = SqlConfig {
        uri: "sqlite://".to_owned(),
        secret_connect_args: BTreeMap::from([("database".to_owned(), secret)]),
        ..SqlConfig::default()
    };
    let mut nothing = Vec::new();

    let create =
        SqlTask::new(config.clone(), "CREATE TABLE orders (customer TEXT, item TEXT, price REAL)").without_rows();
    create.run(&Inputs::new(), look_up, &mut nothing).await?;

    let insert = "INSERT INTO orders VALUES ({{ .inputs.customer }}, {{ .inputs.item }}, {{ .inputs.price }})";
    let insert = SqlTask::new(config.clone(), insert).without_rows();
    for (customer, item, price) in
        [("Ann", "lamp", 30.0), ("Bob'; DROP TABLE orders; --", "desk", 120.5), ("Ann", "chair", 45.0)]
    {
        let inputs = inputs([("customer", customer.into()), ("item", item.into()), ("price", price.into())]);
        insert.run(&inputs, look_up, &mut nothing).await?;
    }

    let select = "SELECT customer, count(*) AS orders, sum(price) AS total FROM orders WHERE item LIKE '%{{ .inputs.part }}%' GROUP BY 1";
    let select = SqlTask::new(config.clone(), select);
    let mut csv = Csv::new(std::io::stdout());
    let summary = select.run(&inputs([("part", "a".into())]), look_up, &mut csv).await;
    drop(csv);
    writeln!(std::io::stdout(), "{} rows", summary?.rows)?;

    // What is wrong is said without any value.
    let wrong = SqlTask::new(config, "SELECT * FROM {{ .inputs.table }}");
    let error: SqlError =
        wrong.run(&inputs([("table", "orders".into())]), look_up, &mut nothing).await.expect_err("a name is no value");
    writeln!(std::io::stdout(), "{error}")?;
    Ok(())
}

fn inputs<const N: usize>(inputs: [(&str, Input); N]) -> Inputs {
    inputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
