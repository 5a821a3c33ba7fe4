//! One request to the API server: bounded in time, with an error for people.

use std::fmt;
use std::time::Duration;

use flyte_secrets_core::mirror::is_mirror_name;
use flyte_secrets_stores::SPANS;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

/// How long one request may take in all.
const DEADLINE: Duration = Duration::from_secs(15);
/// What the name of every image-pull Secret starts with.
const IMAGE_PULL: &str = "img-pull-";
/// No more of a message of the API server than this is repeated, in bytes.
const MAX_MESSAGE: usize = 1024;

/// A verb of Kubernetes' RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read all objects of a kind.
    List,
    /// Hear of changes.
    Watch,
    /// Make an object.
    Create,
    /// Replace an object.
    Update,
    /// Change an object in part; server-side apply too.
    Patch,
    /// Remove an object.
    Delete,
}

impl Verb {
    const ALL: [Self; 7] = [Self::Get, Self::List, Self::Watch, Self::Create, Self::Update, Self::Patch, Self::Delete];

    /// The verb as RBAC writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The object that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, in the plural, as RBAC writes it.
    pub resource: &'static str,
    /// The namespace; `None` for resources of the cluster, and for those of all namespaces.
    pub namespace: Option<String>,
    /// The object's name; empty for all of them.
    pub name: String,
}

impl Object {
    /// Awaits `request`, at most 15 s.
    pub(crate) async fn call<T>(
        &self,
        verb: Verb,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ApiError> {
        self.call_until(verb, None, request).await
    }

    /// Awaits `request`, at most 15 s and never longer than `until`.
    pub(crate) async fn call_until<T>(
        &self,
        verb: Verb,
        until: Option<Instant>,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ApiError> {
        let start = Instant::now();
        let end = until.map_or(start + DEADLINE, |until| until.min(start + DEADLINE));
        let span = self.span(verb);
        let answer = match tokio::time::timeout_at(end, request.instrument(span.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.error(verb, &error)),
            Err(_) => Err(ApiError {
                verb,
                object: self.clone(),
                kind: ApiErrorKind::Unreachable,
                message: format!("no answer after {:.1} s", start.elapsed().as_secs_f64()),
            }),
        };
        match &answer {
            Ok(_) => span.record("outcome", "success"),
            Err(error) => span.record("outcome", format!("{:?}", error.kind)),
        };
        answer
    }

    /// A span for a request that an admission waits for; others are no part of a trace.
    fn span(&self, verb: Verb) -> Span {
        if Span::current().is_none() {
            return Span::none();
        }
        let (verb, resource, namespace) = (verb.name(), self.resource, self.namespace.as_deref());
        info_span!(target: SPANS, "kubernetes_request", verb, resource, namespace, outcome = Empty)
    }

    /// What a failed request means.
    fn error(&self, verb: Verb, error: &kube::Error) -> ApiError {
        let (kind, message) = match error {
            kube::Error::Api(status) => {
                let kind = if is_terminating(status) {
                    ApiErrorKind::Terminating
                } else if status.is_forbidden() && status.message.contains("exceeded quota: ") {
                    ApiErrorKind::QuotaExceeded
                } else if is_policy(&status.message) {
                    ApiErrorKind::Policy
                } else if status.is_forbidden() {
                    ApiErrorKind::Forbidden
                } else if status.is_not_found() {
                    ApiErrorKind::NotFound
                } else if status.is_already_exists() || status.is_conflict() {
                    ApiErrorKind::Conflict
                } else {
                    ApiErrorKind::Rejected { code: status.code }
                };
                (kind, shortened(&status.message))
            }
            // A parse error may repeat a part of what it could not read, which may be a secret.
            kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
                (ApiErrorKind::Malformed, "the answer is no such object".to_owned())
            }
            kube::Error::Service(cause) => (ApiErrorKind::Unreachable, shortened(&with_causes(cause.as_ref()))),
            other => (ApiErrorKind::Unreachable, shortened(&with_causes(other))),
        };
        let verb = if kind == ApiErrorKind::Forbidden { missing_verb(&message).unwrap_or(verb) } else { verb };
        ApiError { verb, object: self.clone(), kind, message }
    }

    /// The rule that allows `verb` on this object, as a line of a Role or ClusterRole.
    pub(crate) fn rule(&self, verb: Verb) -> String {
        // RBAC cannot limit `create` to a name, because the name is not known when it is checked; names that are made from
        // requests are not known when the rule is written.
        let names = match verb {
            Verb::Create | Verb::List => String::new(),
            _ if self.name.is_empty() || is_mirror_name(&self.name) || self.name.starts_with(IMAGE_PULL) => {
                String::new()
            }
            _ => format!(", resourceNames: [\"{}\"]", self.name),
        };
        format!("{{apiGroups: [\"{}\"], resources: [\"{}\"]{names}, verbs: [\"{verb}\"]}}", self.group, self.resource)
    }

    /// Where that rule belongs.
    pub(crate) fn role(&self) -> String {
        self.namespace
            .as_ref()
            .map_or_else(|| "ClusterRole".to_owned(), |namespace| format!("Role in namespace {namespace}"))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

/// What went wrong with a request, for callers that decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiErrorKind {
    /// RBAC does not allow it (403).
    Forbidden,
    /// The namespace is being removed and takes nothing new (403 with the cause `NamespaceTerminating`).
    Terminating,
    /// A ResourceQuota is used up (403).
    QuotaExceeded,
    /// An admission webhook or policy is against it.
    Policy,
    /// The object is not there (404).
    NotFound,
    /// Somebody else was faster: the object exists already, or is no longer the one that was read (409).
    Conflict,
    /// Any other refusal.
    Rejected {
        /// The HTTP status.
        code: u16,
    },
    /// No answer: no connection, TLS, credentials, or too late.
    Unreachable,
    /// An answer that is not what was asked for.
    Malformed,
}

/// A failed request to the API server. The text never holds data of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// What was to be done; for a refusal by RBAC the verb that is missing.
    pub verb: Verb,
    /// To what.
    pub object: Object,
    /// The kind of failure.
    pub kind: ApiErrorKind,
    /// What the API server, or the connection to it, says.
    pub message: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, object, kind, message } = self;
        match kind {
            ApiErrorKind::Forbidden => write!(
                f,
                "the API server forbids to {verb} {object} ({message}); add to a {} of our service account: {}",
                object.role(),
                object.rule(*verb)
            ),
            ApiErrorKind::Terminating => {
                write!(f, "cannot {verb} {object}: the namespace is being removed ({message})")
            }
            ApiErrorKind::QuotaExceeded => write!(
                f,
                "cannot {verb} {object}: the ResourceQuota is used up ({message}); raise count/secrets or remove Secrets"
            ),
            ApiErrorKind::Policy => write!(
                f,
                "cannot {verb} {object}: an admission policy of the cluster is against it ({message}); except our service \
                 account there"
            ),
            ApiErrorKind::NotFound => write!(f, "cannot {verb} {object}: it is not there ({message})"),
            ApiErrorKind::Conflict => {
                write!(f, "cannot {verb} {object}: somebody else changed it at the same time ({message})")
            }
            ApiErrorKind::Rejected { code } => {
                write!(f, "the API server refuses to {verb} {object} with {code}: {message}")
            }
            ApiErrorKind::Unreachable => write!(f, "cannot {verb} {object}: the API server is not reached: {message}"),
            ApiErrorKind::Malformed => write!(f, "cannot {verb} {object}: {message}; is this a Kubernetes API server?"),
        }
    }
}

impl std::error::Error for ApiError {}

/// The API server's NamespaceLifecycle admission says so by a cause, old ones in words alone.
fn is_terminating(status: &kube::core::Status) -> bool {
    let cause = |status: &kube::core::Status| {
        status
            .details
            .as_ref()
            .is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
    };
    status.is_forbidden() && (cause(status) || status.message.contains("because it is being terminated"))
}

/// How the API server words the refusal of a webhook and of a ValidatingAdmissionPolicy.
fn is_policy(message: &str) -> bool {
    message.contains("admission webhook \"") || message.contains("ValidatingAdmissionPolicy ")
}

/// The verb that a 403 speaks of (`… cannot create resource "secrets" …`). A server-side apply of what is
/// not there asks for `patch` first and then for `create`.
fn missing_verb(message: &str) -> Option<Verb> {
    Verb::ALL.into_iter().find(|verb| message.contains(&format!(" cannot {verb} resource ")))
}

/// An error with its causes, each once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

fn shortened(message: &str) -> String {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn secret() -> Object {
        Object { group: "", resource: "secrets", namespace: Some("flyte".to_owned()), name: "certs".to_owned() }
    }

    fn status(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(kube::core::Status::failure(message, reason).with_code(code).boxed())
    }

    #[test]
    fn a_403_names_the_verb_the_object_and_the_rule() {
        let error = secret().error(Verb::Get, &status(403, "Forbidden", "no"));
        assert_eq!(error.kind, ApiErrorKind::Forbidden);
        assert_eq!(
            error.to_string(),
            "the API server forbids to get secrets certs in namespace flyte (no); add to a Role in namespace flyte of our \
             service account: {apiGroups: [\"\"], resources: [\"secrets\"], resourceNames: [\"certs\"], verbs: [\"get\"]}"
        );
    }

    #[test]
    fn a_403_for_the_create_inside_an_apply_names_create_without_resource_names() {
        let object = Object { namespace: None, resource: "mutatingwebhookconfigurations", ..secret() };
        let message = "User \"x\" cannot create resource \"mutatingwebhookconfigurations\"";
        let text = object.error(Verb::Patch, &status(403, "Forbidden", message)).to_string();
        assert!(text.contains("forbids to create"), "{text}");
        assert!(text.contains("ClusterRole"), "{text}");
        assert!(text.contains("verbs: [\"create\"]"), "{text}");
        assert!(!text.contains("resourceNames"), "{text}");
    }

    #[test]
    fn a_403_that_is_not_about_rbac_says_what_it_is_about() {
        let cases = [
            ("secrets \"a\" is forbidden: exceeded quota: q, requested: secrets=1", ApiErrorKind::QuotaExceeded),
            ("unable to create new content in namespace x because it is being terminated", ApiErrorKind::Terminating),
            ("admission webhook \"no.example.com\" denied the request: no", ApiErrorKind::Policy),
            (
                "secrets \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
                ApiErrorKind::Policy,
            ),
            ("secrets is forbidden: User \"x\" cannot create resource \"secrets\"", ApiErrorKind::Forbidden),
        ];
        for (message, kind) in cases {
            assert_eq!(secret().error(Verb::Create, &status(403, "Forbidden", message)).kind, kind, "{message}");
        }
    }

    #[test]
    fn a_rule_for_names_that_are_made_from_requests_and_for_lists_names_none() {
        let mirror = format!("flyte-mirror-{}", "0".repeat(40));
        for (name, verb) in [(mirror.as_str(), Verb::Get), ("img-pull-0", Verb::Update), ("", Verb::List)] {
            let object = Object { name: name.to_owned(), ..secret() };
            assert!(!object.rule(verb).contains("resourceNames"), "{name}");
        }
    }

    #[test]
    fn both_409_reasons_are_conflicts() {
        for reason in ["AlreadyExists", "Conflict"] {
            assert_eq!(secret().error(Verb::Create, &status(409, reason, "")).kind, ApiErrorKind::Conflict);
        }
    }

    #[test]
    fn an_unreadable_answer_is_not_repeated() {
        let parse = serde_json::from_str::<u8>("\"hunter2\"").unwrap_err();
        assert!(parse.to_string().contains("hunter2"));
        let text = secret().error(Verb::Get, &kube::Error::SerdeError(parse)).to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cut = shortened(&"ä".repeat(MAX_MESSAGE));
        assert_eq!(cut.len(), MAX_MESSAGE);
        assert_eq!(shortened(&format!("a{}", "ä".repeat(MAX_MESSAGE))).len(), MAX_MESSAGE - 1);
    }
}
