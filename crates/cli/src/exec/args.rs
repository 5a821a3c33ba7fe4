//! The arguments of `exec`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  flyte-secrets exec --secret db/password -- ./train.sh
  flyte-secrets exec --secret db/cert:file --secret token=API_TOKEN -- python train.py
  flyte-secrets exec --secret db/password@v2 -n flytesnacks-development -- psql
  flyte-secrets exec -f pod.yaml --container main -- sh

A secret is GROUP/KEY or KEY; then, each if needed, @VERSION, :env or :file, and =VARIABLE for a
variable of your own. Names only stand on the command line, never a value. Without a configuration
Global, the local store (flyte-secrets secret) and Kubernetes Secrets are asked, in this order. In
a pod that has its secrets already, those come first.

Exit codes:
  the command's own; 128+N if the signal N ended it
  127 there is no such command        126 it cannot be run
  125 it was not started: a secret was not served; bad input, configuration or surroundings
  2   the command line cannot be read";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExecArgs {
    /// A secret: [GROUP/]KEY[@VERSION][:env|:file][=VARIABLE]; may be given again
    #[arg(short, long = "secret", value_name = "SECRET")]
    pub(crate) secrets: Vec<String>,
    /// A request as a pod's annotation holds it (annotations encode); may be given again
    #[arg(long = "annotation", value_name = "VALUE")]
    pub(crate) annotations: Vec<String>,
    /// A Pod, or an object with a pod template, whose requests count, and Secrets that come before the cluster's; '-' is
    /// standard input
    #[arg(short, long = "filename", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The container of that pod; by default the first
    #[arg(short, long, value_name = "NAME", requires = "files")]
    pub(crate) container: Option<String>,
    /// The namespace of Kubernetes Secrets; by default the pod's, else that of the kubeconfig
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// The organization whose stored secrets are meant; by default that of the pod, else flyte
    #[arg(long)]
    pub(crate) org: Option<String>,
    /// The project; by default that of the pod, else flytesnacks, as for `pyflyte run`
    #[arg(short, long)]
    pub(crate) project: Option<String>,
    /// The domain; by default that of the pod, else development
    #[arg(short, long)]
    pub(crate) domain: Option<String>,
    /// Stored values instead of a store: a map of encoded ids (YAML or JSON)
    #[arg(long, value_name = "FILE")]
    pub(crate) values: Option<PathBuf>,
    /// Do not start if anything asked for is missing; by default that is a warning where a pod would start too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Give the command a few variables of yours only (PATH, HOME, TERM, LANG and the like) beside the secrets
    #[arg(long)]
    pub(crate) clean_env: bool,
    /// Write the files to a disk where there is no file system in memory
    #[arg(long)]
    pub(crate) allow_disk: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
