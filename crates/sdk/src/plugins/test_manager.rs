//! A manager that knows what a test says, and remembers what it was asked for.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures::future::BoxFuture;
use secrecy::SecretString;

use super::{SecretManager, SecretManagerError};

#[derive(Default)]
pub(super) struct TestManager {
    pub(super) values: BTreeMap<String, &'static str>,
    pub(super) asked: Mutex<Vec<String>>,
}

impl TestManager {
    pub(super) fn with(values: &[(&str, &'static str)]) -> Self {
        let values = values.iter().map(|(id, value)| ((*id).to_owned(), *value)).collect();
        Self { values, asked: Mutex::default() }
    }
}

impl SecretManager for TestManager {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<SecretString, SecretManagerError>> {
        Box::pin(async move {
            if let Ok(mut asked) = self.asked.lock() {
                asked.push(key.to_owned());
            }
            match self.values.get(key) {
                Some(value) => Ok(SecretString::from((*value).to_owned())),
                None => Err(SecretManagerError::NotFound { key: key.to_owned(), looked: "asked the test".to_owned() }),
            }
        })
    }
}
