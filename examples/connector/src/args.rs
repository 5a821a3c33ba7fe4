//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use reqwest::Url;

const EXAMPLES: &str = "\
A task of the type http_job with a container becomes a Job of a Kubernetes API server.
Whoever may call --listen starts Jobs with the API key: let only Flyte reach it.

The API key
  It is the secret --api-key, asked for with every call, so a rotated key works without a restart.
  --secrets process   this process's variable FLYTE_SECRET_<key>, else the file /etc/secrets/<key>
  --secrets local     the encrypted local store of `flyte-secrets secret`: the key of the task's
                      project, else of its domain, else of its organization
  In Flyte 2 a connection can name another key, and a namespace:
    {\"secrets\": {\"api_key\": \"<key>\"}, \"configs\": {\"namespace\": \"<name>\"}}

Examples:
  FLYTE_SECRET_jobs_api_key=$(kubectl create token runner) \\
    flyte-secrets-connector --api-url https://10.0.0.1 --ca-file ca.crt --namespace jobs
  kubectl create token runner |
    flyte-secrets secret create jobs_api_key --domain development --project flytesnacks
  flyte-secrets-connector --api-url https://10.0.0.1 --ca-file ca.crt --secrets local";

/// A Flyte connector that runs containers as Kubernetes Jobs, through the HTTP API
///
/// An example of a plugin that needs a secret. It speaks the protocols of Flyte 1 (agents) and Flyte 2 (connectors) over
/// gRPC, and gRPC's health protocol.
#[derive(Parser, Debug)]
#[command(name = "flyte-secrets-connector", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    /// Where to listen for Flyte. Plain text, as Flyte's `insecure: true`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    /// The address of the Kubernetes API server, or of a proxy before it
    #[arg(long, value_name = "URL")]
    pub(crate) api_url: Url,
    /// The certificate authority of --api-url, in PEM [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Where Jobs run [default: the namespace that Flyte has for the task]
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The type of the tasks, in their templates
    #[arg(long, value_name = "TYPE", default_value = "http_job")]
    pub(crate) task_type: String,
    /// The address of a Job's log, with {namespace} and {job} in it
    #[arg(long, value_name = "URL")]
    pub(crate) log_url: Option<String>,
    /// Where API keys come from
    #[arg(long, value_enum, default_value_t = SecretsFrom::Process)]
    pub(crate) secrets: SecretsFrom,
    /// The key of the secret that is the API key
    #[arg(long, value_name = "KEY", default_value = "jobs_api_key")]
    pub(crate) api_key: String,
    /// What variables of secrets begin with (--secrets process)
    #[arg(long, value_name = "PREFIX", default_value = "FLYTE_SECRET_")]
    pub(crate) env_prefix: String,
    /// The folder of files of secrets (--secrets process)
    #[arg(long, value_name = "FOLDER", default_value = "/etc/secrets")]
    pub(crate) secrets_prefix: PathBuf,
    /// The organization of tasks that have none, as in Flyte 1 (--secrets local)
    #[arg(long, value_name = "NAME", default_value = "flyte")]
    pub(crate) org: String,
}

/// Where API keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecretsFrom {
    /// Variables and files of this process
    Process,
    /// The encrypted local store
    Local,
}
