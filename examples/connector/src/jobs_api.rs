//! The web API: Jobs of a Kubernetes API server, over HTTPS, with a bearer token.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, Client, Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 4 << 20;
/// The most that is said of an answer, in characters.
const MAX_SAID: usize = 300;
/// For one request and its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service.
#[derive(Debug)]
pub(crate) struct JobsApi {
    client: Client,
    base: Url,
}

/// Whether the service took the API key.
pub(crate) enum Answer<T> {
    /// It did.
    Done(T),
    /// 401 or 403, and what it said.
    TurnedDown(StatusCode, String),
}

impl<T> Answer<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Done(done) => Answer::Done(change(done)),
            Self::TurnedDown(status, said) => Answer::TurnedDown(status, said),
        }
    }
}

impl JobsApi {
    /// The service at `base`; its certificate comes from the platform's roots, or those in `ca`.
    pub(crate) fn new(base: &Url, ca: Option<&Path>) -> Result<Self> {
        let loopback = matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match base.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => bail!(
                "--api-url is neither https:// nor http:// of this machine: API keys would be readable on the way"
            ),
        }
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            bail!("--api-url holds a user, a password or a query; give the address alone");
        }
        let mut builder = Client::builder()
            .user_agent(concat!("flyte-secrets-connector/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry the key elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(PATIENCE / 2)
            .timeout(PATIENCE);
        if let Some(ca) = ca {
            let pem = std::fs::read(ca).with_context(|| format!("cannot read --ca-file {}", ca.display()))?;
            let roots = Certificate::from_pem_bundle(&pem).ok().filter(|roots| !roots.is_empty());
            let roots = roots.with_context(|| format!("--ca-file {} holds no certificate in PEM", ca.display()))?;
            builder = builder.tls_certs_only(roots);
        }
        Ok(Self { client: builder.build().context("no HTTPS client can be made")?, base: base.clone() })
    }

    /// Makes a Job. One of that name that is there is given, whoever made it.
    pub(crate) async fn create(&self, key: &Bearer, namespace: &str, job: &Value) -> Result<Answer<Value>, Failure> {
        let path = jobs(namespace, None);
        let answer = self.send(key, Method::POST, &path, Some(job)).await?;
        let exists = answer.status == StatusCode::CONFLICT && answer.reason() == Some("AlreadyExists");
        if !exists {
            return self.judge(key, answer);
        }
        let name = job["metadata"]["name"].as_str().unwrap_or_default();
        Ok(match self.get(key, namespace, name).await? {
            Answer::TurnedDown(status, said) => Answer::TurnedDown(status, said),
            Answer::Done(Some(job)) => Answer::Done(job),
            // It went away in between.
            Answer::Done(None) => return Err(self.unavailable("the Job is being deleted; try again".to_owned())),
        })
    }

    /// A Job; `None` where there is none.
    pub(crate) async fn get(
        &self,
        key: &Bearer,
        namespace: &str,
        name: &str,
    ) -> Result<Answer<Option<Value>>, Failure> {
        let answer = self.send(key, Method::GET, &jobs(namespace, Some(name)), None).await?;
        self.unless_missing(key, answer)
    }

    /// Ends a Job and its pods, at once. One that is not there is fine.
    pub(crate) async fn delete(&self, key: &Bearer, namespace: &str, name: &str) -> Result<Answer<()>, Failure> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        let answer = self.send(key, Method::DELETE, &jobs(namespace, Some(name)), Some(&options)).await?;
        Ok(self.unless_missing(key, answer)?.map(drop))
    }

    /// The last lines that a Job's newest pod wrote; none where there is no pod or it has not begun.
    pub(crate) async fn log(
        &self,
        key: &Bearer,
        namespace: &str,
        name: &str,
        lines: u64,
    ) -> Result<Answer<Vec<String>>, Failure> {
        let pods =
            format!("api/v1/namespaces/{namespace}/pods?limit=1&labelSelector=batch.kubernetes.io%2Fjob-name%3D{name}");
        let answer = self.send(key, Method::GET, &pods, None).await?;
        let list = match self.judge(key, answer)? {
            Answer::Done(list) => list,
            Answer::TurnedDown(status, said) => return Ok(Answer::TurnedDown(status, said)),
        };
        let pod = &list["items"][0];
        let (Some(pod), Some("Running" | "Succeeded" | "Failed")) =
            (pod["metadata"]["name"].as_str(), pod["status"]["phase"].as_str())
        else {
            return Ok(Answer::Done(Vec::new()));
        };
        let limit = MAX_ANSWER / 2;
        let path = format!("api/v1/namespaces/{namespace}/pods/{pod}/log?tailLines={lines}&limitBytes={limit}");
        let answer = self.send(key, Method::GET, &path, None).await?;
        if answer.status.is_success() {
            let text = String::from_utf8_lossy(&answer.body);
            return Ok(Answer::Done(text.lines().map(str::to_owned).collect()));
        }
        Ok(self.judge(key, answer)?.map(|_| Vec::new()))
    }

    /// The service's address, for messages.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    async fn send(&self, key: &Bearer, method: Method, path: &str, body: Option<&Value>) -> Result<Raw, Failure> {
        let address = format!("{}/{path}", self.address());
        let mut request = self.client.request(method, address).header(AUTHORIZATION, key.header.clone());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let broken = |error: reqwest::Error| self.unavailable(with_causes(&error.without_url()));
        let mut answer = request.send().await.map_err(broken)?;
        let (status, mut body) = (answer.status(), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(self.unavailable(format!("the answer is larger than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Raw { status, body })
    }

    /// An answer's document, or what it means that there is none.
    fn judge(&self, key: &Bearer, answer: Raw) -> Result<Answer<Value>, Failure> {
        let status = answer.status;
        if status.is_success() {
            return match serde_json::from_slice(&answer.body) {
                Ok(document) => Ok(Answer::Done(document)),
                // The parser's words might quote the document.
                Err(_) => Err(self.unavailable("the answer is no JSON".to_owned())),
            };
        }
        let (api, said) = (self.address().to_owned(), answer.said(key));
        match status.as_u16() {
            401 | 403 => Ok(Answer::TurnedDown(status, said)),
            status @ (408 | 429) => Err(Failure::Unavailable { api, said: format!("HTTP {status}: {said}") }),
            status @ 400..500 => Err(Failure::Refused { api, status, said }),
            status => Err(Failure::Unavailable { api, said: format!("HTTP {status}: {said}") }),
        }
    }

    fn unless_missing(&self, key: &Bearer, answer: Raw) -> Result<Answer<Option<Value>>, Failure> {
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Answer::Done(None));
        }
        Ok(self.judge(key, answer)?.map(Some))
    }

    fn unavailable(&self, said: String) -> Failure {
        Failure::Unavailable { api: self.address().to_owned(), said }
    }
}

/// An API key as a header.
#[derive(Clone)]
pub(crate) struct Bearer {
    value: SecretString,
    header: HeaderValue,
}

impl Bearer {
    /// `None` if the key holds what no header can hold. Line ends behind it are left out: files have them.
    pub(crate) fn of(value: &SecretString) -> Option<Self> {
        let key = value.expose_secret().trim_end_matches(['\r', '\n']);
        let text = SecretString::from(["Bearer ", key].concat());
        let mut header = HeaderValue::from_str(text.expose_secret()).ok().filter(|_| !key.is_empty())?;
        // Kept out of logs and of header compression's table.
        header.set_sensitive(true);
        Some(Self { value: SecretString::from(key.to_owned()), header })
    }

    /// Whether two keys are the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.value.expose_secret() == other.value.expose_secret()
    }
}

/// An answer that was read.
struct Raw {
    status: StatusCode,
    body: Vec<u8>,
}

impl Raw {
    /// `reason` of a Kubernetes `Status`.
    fn reason(&self) -> Option<&'static str> {
        let status: Value = serde_json::from_slice(&self.body).ok()?;
        (status["reason"] == "AlreadyExists").then_some("AlreadyExists")
    }

    /// What may be repeated of a `Status`: reason and message, short and on one line, and nothing of them if they hold the key.
    fn said(&self, key: &Bearer) -> String {
        let status: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |member: &str| status[member].as_str().unwrap_or_default();
        let whole = format!("{} {}", text("reason"), text("message"));
        if whole.trim().is_empty() || whole.contains(key.value.expose_secret()) {
            return "no reason given".to_owned();
        }
        whole.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SAID).collect()
    }
}

fn jobs(namespace: &str, name: Option<&str>) -> String {
    let jobs = format!("apis/batch/v1/namespaces/{namespace}/jobs");
    name.map_or(jobs.clone(), |name| format!("{jobs}/{name}"))
}

/// An error and its causes on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
#[path = "jobs_api_tests.rs"]
mod tests;
