//! The serving certificate: making it, judging it, keeping it in files or in a Secret, and serving it while it
//! changes.
//!
//! The API server calls the webhook over TLS and trusts the `caBundle` of the MutatingWebhookConfiguration. All
//! replicas share one CA and one certificate, which [`init()`] puts into a Secret that is mounted as files; [`Reloader`] follows
//! those files, whoever writes them (cert-manager as well).

mod files;
mod init;
mod inspect;
mod issue;
mod key_pair;
mod names;
mod reload;
mod resolver;

pub use files::{FilesError, load, write};
pub use init::{InitError, InitSettings, Outcome, init, init_files};
pub(crate) use inspect::is_signed_by;
pub use inspect::{Inspected, Problem, inspect};
pub use issue::{CertificateAuthority, IssueError};
pub use key_pair::{CA_CRT, KeyPairPem, TLS_CRT, TLS_KEY};
pub use names::{CertificateNames, InvalidName};
pub use reload::{Looked, ReloadError, Reloader};
pub use resolver::{CertificateResolver, server_config};
