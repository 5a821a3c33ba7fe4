//! The calls to GCP Secret Manager of whoever writes.

use bytes::Bytes;
use flyte_secrets_core::value::SecretValue;
use google_cloud_gax::error::Error;
use google_cloud_secretmanager_v1::client::SecretManagerService;
use google_cloud_secretmanager_v1::model::replication::Automatic;
use google_cloud_secretmanager_v1::model::{Replication, Secret, SecretPayload, UpdateSecretRequest};
use zeroize::Zeroizing;

use super::claim::Labels;
use super::client::GcpClient;
use super::write_failure::{self, Action};
use crate::writer::{WriteError, WriteFailure};
use crate::writing::{MAX_LISTED, too_many};

/// How many secrets are told in one call.
const PAGE: i32 = 1_000;

/// GCP Secret Manager of one project.
#[derive(Debug)]
pub(super) struct Api {
    client: GcpClient,
}

impl Api {
    pub(super) const fn new(client: GcpClient) -> Self {
        Self { client }
    }

    /// Makes a secret without a version.
    pub(super) async fn create(&self, name: &str, labels: &Labels) -> Result<Secret, WriteError> {
        let parent = self.project();
        let replication = Replication::new().set_automatic(Automatic::new());
        let secret = Secret::new().set_replication(replication).set_labels(labels.clone());
        let ask = |client: SecretManagerService| {
            client.create_secret().set_parent(&parent).set_secret_id(name).set_secret(secret.clone()).send()
        };
        self.call(Action::Create, ask).await
    }

    /// Everything of a secret but its versions; `None` if it is not there.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Secret>, WriteError> {
        let path = self.secret(name);
        let found = found(self.call(Action::Get, |client| client.get_secret().set_name(&path).send()).await)?;
        match found {
            Some(secret) if id_of(&secret) != name => {
                Err(WriteError::new(WriteFailure::Unavailable, "GCP answered with something else than the secret"))
            }
            found => Ok(found),
        }
    }

    /// Gives a secret these labels, if it is still as it was read.
    pub(super) async fn relabel(&self, read: &Secret, labels: &Labels) -> Result<Secret, WriteError> {
        let secret = Secret::new().set_name(self.secret(id_of(read))).set_etag(&*read.etag).set_labels(labels.clone());
        let mut request = UpdateSecretRequest::new().set_secret(secret);
        request.update_mask.get_or_insert_default().paths = vec!["labels".to_owned()];
        self.call(Action::Update, |client| client.update_secret().with_request(request.clone()).send()).await
    }

    /// Deletes a secret and its versions for good, if it is still as it was read; an empty etag fits any.
    pub(super) async fn delete(&self, name: &str, etag: &str) -> Result<(), WriteError> {
        let path = self.secret(name);
        let ask = |client: SecretManagerService| client.delete_secret().set_name(&path).set_etag(etag).send();
        self.call(Action::Delete, ask).await
    }

    /// Adds a version, which is the latest one from now on.
    pub(super) async fn add_version(&self, name: &str, value: &SecretValue) -> Result<(), WriteError> {
        let path = self.secret(name);
        let sum = crc32c::crc32c(value.expose_bytes());
        let ask = |client: SecretManagerService| {
            let data = Bytes::from_owner(Zeroizing::new(value.expose_bytes().to_vec()));
            let payload = SecretPayload::new().set_data(data).set_data_crc32c(i64::from(sum));
            client.add_secret_version().set_parent(&path).set_payload(payload).send()
        };
        self.call(Action::AddVersion, ask).await.map(drop)
    }

    /// Whether a secret ever got a version. By its number a version is found as soon as it is there, by `latest` perhaps later.
    pub(super) async fn has_version(&self, name: &str) -> Result<bool, WriteError> {
        let path = format!("{}/versions/1", self.secret(name));
        let ask = |client: SecretManagerService| client.get_secret_version().set_name(&path).send();
        Ok(found(self.call(Action::GetVersion, ask).await)?.is_some())
    }

    /// All secrets whose names hold this text, up to the most that are put in order.
    pub(super) async fn list(&self, part: &str) -> Result<Vec<Secret>, WriteError> {
        let (parent, filter) = (self.project(), format!("name:{part}"));
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let ask = |client: SecretManagerService| {
                let call = client.list_secrets().set_parent(&parent).set_page_size(PAGE);
                call.set_filter(&filter).set_page_token(&token).send()
            };
            let page = self.call(Action::List, ask).await?;
            all.extend(page.secrets);
            if all.len() > MAX_LISTED {
                return Err(too_many());
            }
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            token = page.next_page_token;
        }
    }

    async fn call<T, F>(&self, action: Action, ask: impl Fn(SecretManagerService) -> F) -> Result<T, WriteError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answer = self.client.call(ask).await;
        answer.map_err(|error| write_failure::of_call(&error, action, self.client.project()))
    }

    fn project(&self) -> String {
        format!("projects/{}", self.client.project())
    }

    fn secret(&self, name: &str) -> String {
        format!("{}/secrets/{name}", self.project())
    }
}

/// The last part of a secret's name, which is `projects/<number>/secrets/<id>`.
pub(super) fn id_of(secret: &Secret) -> &str {
    secret.name.rsplit('/').next().unwrap_or_default()
}

/// An answer about something that may not be there.
fn found<T>(answer: Result<T, WriteError>) -> Result<Option<T>, WriteError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.failure() == WriteFailure::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
