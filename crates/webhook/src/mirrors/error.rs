//! Why a mirror could not be had.

use crate::kubernetes::{ApiError, ApiErrorKind};

use super::MAX_VALUE;

/// Why a pod cannot refer to a mirror. The text never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// There is a Secret of that name which is not a mirror of this source; it is not touched.
    #[error(
        "the Secret {name} in namespace {namespace} stands where the mirror of {mirrored} belongs, and is not that mirror; \
         it is left alone. Remove it if nothing needs it"
    )]
    Taken {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What would be mirrored.
        mirrored: String,
    },
    /// The value does not fit into a Secret.
    #[error(
        "the value of {mirrored} has {size} bytes, and a Kubernetes Secret holds {MAX_VALUE} at most; split it, or let the task fetch it by \
         itself"
    )]
    TooLarge {
        /// What would be mirrored.
        mirrored: String,
        /// Its size in bytes.
        size: usize,
    },
    /// A variable was asked for and the value is not text.
    #[error("the value of {mirrored} is not UTF-8, and variables hold text only; ask for it as a file")]
    NotText {
        /// What would be mirrored.
        mirrored: String,
    },
    /// The source is not what it was when the look-up found it.
    #[error("{mirrored} changed while the pod was being admitted ({how}); try again")]
    Changed {
        /// What is mirrored.
        mirrored: String,
        /// What it is now.
        how: String,
    },
    /// The mirror holds another value than the look-up found, and the source could not be asked which one is newer.
    #[error("the mirror of {mirrored} differs from what was found, and its source cannot be read again: {why}")]
    Source {
        /// What is mirrored.
        mirrored: String,
        /// Why not.
        why: String,
    },
    /// The API server did not do what was needed.
    #[error(transparent)]
    Api(ApiError),
    /// Others kept changing the mirror.
    #[error("others change the Secret {name} in namespace {namespace} all the time; try again")]
    Contended {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The admission's time is up.
    #[error("there was no time left to see to the Secret {name} in namespace {namespace}; try again")]
    Late {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl MirrorError {
    /// Whether the same pod may be admitted later (503), or never with this value (400).
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::TooLarge { .. } | Self::NotText { .. })
    }

    /// The reason in a word, for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "taken",
            Self::TooLarge { .. } => "too_large",
            Self::NotText { .. } => "not_text",
            Self::Changed { .. } => "changed",
            Self::Source { .. } => "source",
            Self::Api(error) => match error.kind {
                ApiErrorKind::Forbidden => "forbidden",
                ApiErrorKind::Unreachable => "unreachable",
                _ => "rejected",
            },
            Self::Contended { .. } => "contended",
            Self::Late { .. } => "late",
        }
    }

    /// Whether more time might have helped.
    pub(super) const fn is_about_time(&self) -> bool {
        match self {
            Self::Late { .. } => true,
            Self::Api(error) => matches!(error.kind, ApiErrorKind::Unreachable),
            _ => false,
        }
    }
}
