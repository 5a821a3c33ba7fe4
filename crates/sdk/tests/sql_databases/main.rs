//! SQL tasks on SQLite and on real servers of PostgreSQL and MariaDB, which tests/install.sh installs.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod connections;
mod data;
mod errors;
mod limits;
mod places;
mod types;
