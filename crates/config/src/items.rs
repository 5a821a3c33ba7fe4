//! What the texts in a list have to be.

use crate::patterns;

/// What each text in a list is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    /// A pattern for Kubernetes Secrets.
    SecretPattern,
    /// A value of a label, not empty.
    LabelValue,
    /// A namespace, or a template for one.
    NamespaceTemplate,
    /// The name of a Kubernetes user.
    UserName,
    /// A ServiceAccount with its namespace.
    ServiceAccount,
    /// Whom a token is meant for (`aud` of RFC 7519).
    Audience,
}

impl Item {
    /// What a list of these is, for errors and the reference.
    pub(crate) const fn accepted(self) -> &'static str {
        match self {
            Self::SecretPattern => "a list of `name` or `namespace/name`, with `*` for anything",
            Self::LabelValue => "a list of values of a label",
            Self::NamespaceTemplate => {
                "a list of namespaces, or of templates for them such as \"{project}-{domain}\", in quotes"
            }
            Self::UserName => "a list of user names",
            Self::ServiceAccount => "a list of `namespace/name`",
            Self::Audience => "a list of audiences",
        }
    }

    /// Whether the text is one of these.
    pub(crate) fn accepts(self, text: &str) -> bool {
        match self {
            Self::SecretPattern => patterns::is_secret_pattern(text),
            Self::LabelValue => !text.is_empty() && patterns::is_label_value(text),
            Self::NamespaceTemplate => patterns::is_namespace_template(text),
            Self::UserName | Self::Audience => !text.is_empty() && !text.chars().any(char::is_control),
            Self::ServiceAccount => patterns::is_service_account(text),
        }
    }
}
