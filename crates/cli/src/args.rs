//! The command line: names, defaults and help.

mod get;
mod propagate;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use flyte_secrets_core::Profile;

use crate::exec::args::ExecArgs;
pub(crate) use get::GetArgs;
pub(crate) use propagate::{PropagateArgs, PropagateOutput};

const EXAMPLES: &str = "\
Examples:
  flyte-secrets dev                         see the whole way of a secret, without a cluster
  flyte-secrets inject -f pod.yaml -o diff  what the webhook would do to a pod
  flyte-secrets explain -f pod.yaml         why each request is served, or not
  flyte-secrets config show                 the effective settings and where each comes from

Exit codes:
  0  done        1  failed: bad input, configuration or surroundings
  2  the command line cannot be read        3  a pod was refused
  4  doctor found warnings                  5  doctor found errors
  6  get found no such secret
  exec ends as the command that it runs, or with 125 if that was not started

Every setting can be given as a flag with its path, --webhook.certDir=/certs, or as an environment
variable, WEBHOOK_CERTDIR; `flyte-secrets config reference` lists them all.";

const INJECT_EXAMPLES: &str = "\
Examples:
  flyte-secrets inject -f pod.yaml --values values.yaml -o diff
  kubectl get deployment web -o yaml | flyte-secrets inject -f - --ignore-label
  flyte-secrets inject -f pod.yaml --env FLYTE_SECRET_GROUP_KEY=value --secrets-prefix ./secrets

values.yaml holds what a store would: encoded ids and their values.
  u__org__flyte__domain__development__project__flytesnacks__key__api_key: a text
  u__org__flyte__domain____project____key__certificate: {binary_base64: AAEC}
  u__org__flyte__domain____project____key__broken: {error: unavailable}";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  flyte-secrets explain -f pod.yaml --config '/etc/flyte/config/*.yaml' --values values.yaml
  kubectl get pod demo -o yaml | flyte-secrets explain -f - -o json";

const ENCODE_EXAMPLES: &str = "\
Example:
  flyte-secrets annotations encode --group user-info --key user_secret --mount-requirement FILE";

const DECODE_EXAMPLES: &str = "\
Examples:
  flyte-secrets annotations decode nnsxsoraejwxsx2lmv3secq
  flyte-secrets annotations decode -f pod.yaml";

const SECRET_EXAMPLES: &str = "\
Examples:
  echo my-value | flyte-secrets secret create api_key --domain development --project flytesnacks
  flyte-secrets secret create certificate --from-file ca.der --binary
  flyte-secrets secret get api_key --domain development --project flytesnacks --reveal
  flyte-secrets secret list -o json

A scope is an organization, a domain of it (--domain), or a project of that (--project). With
--passphrase the passphrase is asked for, or read from the variable FLYTE_SECRETS_PASSPHRASE.";

const CONFIG_EXAMPLES: &str = "\
Examples:
  flyte-secrets config check --config '/etc/flyte/config/*.yaml'
  flyte-secrets config show --config flyte.yaml --webhook.listenPort=8443";

const WEBHOOK_EXAMPLES: &str = "\
Examples:
  flyte-secrets webhook --config '/etc/flyte/config/*.yaml'
  flyte-secrets webhook --webhook.certDir=/certs --webhook.listenPort=8443

POD_NAMESPACE is the webhook's own namespace. SIGTERM and SIGINT end it when its requests are answered.";

const SERVICE_EXAMPLES: &str = "\
Examples:
  flyte-secrets service --config '/etc/flyte/config/*.yaml'
  flyte-secrets service --secret.store=Local --secret.server.host=127.0.0.1 --secret.webhookURL=
  flyte --endpoint http://127.0.0.1:8093 --insecure create secret my_secret --value my_value

Whoever reaches the port may write and delete every secret: keep it within the cluster. SIGTERM and SIGINT end it
when its calls are answered. All about it: docs/secret-service.md.";

const UNREGISTER_EXAMPLES: &str = "\
Examples:
  flyte-secrets unregister --config '/etc/flyte/config/*.yaml' --dry-run
  flyte-secrets unregister --webhook.serviceName=flyte-pod-webhook
  flyte-secrets unregister --everything --mirrors

The MutatingWebhookConfiguration is called webhook.serviceName. Webhooks of others in it stay, and so does one that
this program has not made. A second run finds nothing and is no error.";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  flyte-secrets doctor --config values.yaml --namespace flyte --service-account flyte-secrets
  kubectl exec -n flyte deploy/flyte-pod-webhook -- /flyte-secrets doctor --config '/etc/flyte/config/*.yaml'
  flyte-secrets doctor -o json | jq '.findings[] | select(.level == \"error\")'

It reads, and tries two pods as a dry run; it changes nothing. Give it the webhook's own configuration.
Exit codes: 0 fine, 1 could not run, 4 warnings, 5 errors. All findings: docs/doctor.md.";

const DEV_EXAMPLES: &str = "\
Examples:
  flyte-secrets dev           goes on serving on 127.0.0.1 until Ctrl-C
  flyte-secrets dev --once    ends by itself";

/// Brings the secrets that Flyte tasks ask for into their pods.
#[derive(Parser, Debug)]
#[command(name = "flyte-secrets", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the configuration comes from.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct ConfigArgs {
    /// A configuration file or a pattern, such as '/etc/flyte/config/*.yaml'; may be given again, later ones win
    #[arg(id = "config", long, value_name = "FILE", global = true)]
    pub(crate) files: Vec<String>,
    /// Whose behaviour is reproduced where Flyte 1 and Flyte 2 differ (webhook.profile)
    #[arg(long, value_enum, global = true)]
    pub(crate) profile: Option<ProfileArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ProfileArg {
    Flyte1,
    Flyte2,
}

impl From<ProfileArg> for Profile {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::Flyte1 => Self::Flyte1,
            ProfileArg::Flyte2 => Self::Flyte2,
        }
    }
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Serve the admission webhook
    Webhook(WebhookArgs),
    /// Serve the Secret service, which `flyte create secret` talks to
    #[command(after_help = SERVICE_EXAMPLES)]
    Service,
    /// Make the webhook's certificates and store them as a Kubernetes Secret
    InitCerts,
    /// Remove the webhook's registration from the cluster, as far as it is this program's
    Unregister(UnregisterArgs),
    /// Inject secrets into Pods and objects that hold them, as the webhook would; needs no cluster
    Inject(InjectArgs),
    /// Put requests where the pods of an object get their labels and annotations: Jobs, SparkApplications, RayClusters, …
    Propagate(PropagateArgs),
    /// Say for each request of a pod what every manager answers and what the task will see
    Explain(ExplainArgs),
    /// Run a command with the variables and files that a pod would get
    Exec(ExecArgs),
    /// Write and read the annotations in which pods carry their requests
    #[command(subcommand)]
    Annotations(AnnotationsCommand),
    /// Manage the local store: one encrypted file
    Secret(SecretArgs),
    /// Print a secret that this process was given as a Flyte task, for shells and programs without an SDK
    Get(GetArgs),
    /// Show and check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at a live cluster: what is wrong, and what to do about it
    Doctor(DoctorArgs),
    /// The whole way of a secret on this computer, without a cluster or a cloud
    Dev(DevArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = WEBHOOK_EXAMPLES)]
pub(crate) struct WebhookArgs {
    #[command(subcommand)]
    pub(crate) command: Option<WebhookCommand>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum WebhookCommand {
    /// The same as the command init-certs, as Flyte 1 spells it
    InitCerts,
}

#[derive(Args, Debug)]
#[command(after_help = UNREGISTER_EXAMPLES)]
pub(crate) struct UnregisterArgs {
    /// Ask the API server whether it would, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Remove the Secret of the certificate, if this program has made it, and the Lease too
    #[arg(long)]
    pub(crate) everything: bool,
    /// Remove this installation's mirrors of secrets from all namespaces too, needed or not
    #[arg(long)]
    pub(crate) mirrors: bool,
}

/// What stands in for the webhook's surroundings. Nothing is read of this process itself.
#[derive(Args, Debug)]
pub(crate) struct OfflineArgs {
    /// Pods, or objects with a pod template, in YAML or JSON; '-' reads standard input
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Stored values for the Embedded manager: a map of encoded ids (YAML or JSON)
    #[arg(long, value_name = "FILE")]
    pub(crate) values: Option<PathBuf>,
    /// A variable of the webhook, for the Global manager; may be given again
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// The folder in which the Global manager looks for files, instead of the configured one
    #[arg(long, value_name = "DIR")]
    pub(crate) secrets_prefix: Option<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,
    /// The user who creates the pods, for webhook.accessPolicy.trustedCreators
    #[arg(long = "as", value_name = "USER", default_value = "")]
    pub(crate) creator: String,
    /// Go on with pods that lack the label, which the API server would not send to the webhook
    #[arg(long)]
    pub(crate) ignore_label: bool,
}

#[derive(Args, Debug)]
#[command(after_help = INJECT_EXAMPLES)]
pub(crate) struct InjectArgs {
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = InjectOutput::Yaml)]
    pub(crate) output: InjectOutput,
    /// Show the values of the Secrets that are printed beside the pods
    #[arg(long)]
    pub(crate) reveal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InjectOutput {
    /// All documents, pods with their secrets
    Yaml,
    /// The same as JSON; warnings and refusals as JSON lines on standard error
    Json,
    /// One JSON patch (RFC 6902) a document, [] where nothing changes
    Patch,
    /// What changes in each object
    Diff,
}

#[derive(Args, Debug)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) offline: OfflineArgs,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = TextOutput::Text)]
    pub(crate) output: TextOutput,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextOutput {
    /// For people
    #[default]
    Text,
    /// For machines
    Json,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AnnotationsCommand {
    /// Print the annotation for a request
    Encode(EncodeArgs),
    /// Print the requests in annotations' values, or in a pod's annotations
    Decode(DecodeArgs),
}

#[derive(Args, Clone, Debug)]
#[command(after_help = ENCODE_EXAMPLES)]
pub(crate) struct EncodeArgs {
    /// The group: a Kubernetes Secret, an ARN, a Vault path, …
    #[arg(long, default_value = "")]
    pub(crate) group: String,
    /// The group's version
    #[arg(long, default_value = "")]
    pub(crate) group_version: String,
    /// The key
    #[arg(long, default_value = "")]
    pub(crate) key: String,
    /// ANY, ENV_VAR or FILE
    #[arg(long, default_value = "ANY", value_parser = ["ANY", "ENV_VAR", "FILE"])]
    pub(crate) mount_requirement: String,
    /// A variable for the value, or for the file's path
    #[arg(long, default_value = "")]
    pub(crate) env_var: String,
    /// The number in the annotation's name
    #[arg(long, default_value_t = 0)]
    pub(crate) index: usize,
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("source").required(true))]
#[command(after_help = DECODE_EXAMPLES)]
pub(crate) struct DecodeArgs {
    /// Values of annotations
    #[arg(group = "source")]
    pub(crate) values: Vec<String>,
    /// A pod, or an object with a pod template; '-' reads standard input
    #[arg(short, long = "filename", value_name = "FILE", group = "source")]
    pub(crate) file: Option<PathBuf>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = TextOutput::Text)]
    pub(crate) output: TextOutput,
}

#[derive(Args, Debug)]
#[command(after_help = SECRET_EXAMPLES)]
pub(crate) struct SecretArgs {
    #[command(subcommand)]
    pub(crate) command: SecretCommand,
    /// The store's file; by default below $XDG_DATA_HOME, or as configured
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) store: Option<PathBuf>,
    /// The file with the key, made on first use
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) key_file: Option<PathBuf>,
    /// The store is locked with a passphrase instead of a key file: ask for it
    #[arg(long, global = true)]
    pub(crate) passphrase: bool,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = TextOutput::Text, global = true)]
    pub(crate) output: TextOutput,
}

/// The place of a secret.
#[derive(Args, Debug, Clone)]
pub(crate) struct Place {
    /// The secret's name, the key of a request
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) scope: Scope,
}

/// A scope: of a project, a domain (no --project) or an organization (neither).
#[derive(Args, Debug, Clone)]
pub(crate) struct Scope {
    /// The organization
    #[arg(long, default_value = "flyte")]
    pub(crate) org: String,
    /// The domain
    #[arg(long, default_value = "")]
    pub(crate) domain: String,
    /// The project; needs a domain
    #[arg(long, default_value = "", requires = "domain")]
    pub(crate) project: String,
}

#[derive(Subcommand, Debug)]
pub(crate) enum SecretCommand {
    /// Store a secret; its value is read from standard input or a file, never from the command line
    Create {
        #[command(flatten)]
        place: Place,
        // Taken only to be refused in better words than the parser's, which would repeat it.
        #[arg(hide = true)]
        value: Option<String>,
        /// The value; '-' is standard input, without its last line end, or is asked for on a terminal
        #[arg(long, value_name = "FILE", default_value = "-")]
        from_file: PathBuf,
        /// Store bytes, which reach tasks as files; the default tells by the content
        #[arg(long)]
        binary: bool,
        /// Replace a secret that is there
        #[arg(long)]
        replace: bool,
    },
    /// Show a secret: its place and age, and with --reveal its value
    Get {
        #[command(flatten)]
        place: Place,
        /// Print the value, and nothing else, on standard output
        #[arg(long)]
        reveal: bool,
    },
    /// List secrets; values are not shown
    List {
        /// Only those of this organization
        #[arg(long)]
        org: Option<String>,
        /// Only those of this domain
        #[arg(long)]
        domain: Option<String>,
        /// Only those of this project
        #[arg(long)]
        project: Option<String>,
    },
    /// Delete a secret
    Delete {
        #[command(flatten)]
        place: Place,
    },
    /// Store many secrets: a map of encoded ids, as --values of inject takes it
    Import {
        /// The file (YAML or JSON); '-' reads standard input
        file: PathBuf,
        /// Replace secrets that are there
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Subcommand, Debug)]
#[command(after_help = CONFIG_EXAMPLES)]
pub(crate) enum ConfigCommand {
    /// Print the effective settings and where each comes from
    Show {
        /// What to print
        #[arg(short, long, value_enum, default_value_t = TextOutput::Text)]
        output: TextOutput,
    },
    /// Check the configuration and print all errors
    Check {
        /// What to print
        #[arg(short, long, value_enum, default_value_t = TextOutput::Text)]
        output: TextOutput,
    },
    /// Print every setting with its meaning and default, as Markdown
    Reference,
}

#[derive(Args, Debug)]
#[command(after_help = DEV_EXAMPLES)]
pub(crate) struct DevArgs {
    /// End after the demonstration
    #[arg(long)]
    pub(crate) once: bool,
    /// The port of the webhook on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9443)]
    pub(crate) port: u16,
    /// The port of the Secret service on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8093)]
    pub(crate) service_port: u16,
}

#[derive(Args, Debug)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// The namespace of the webhook; by default POD_NAMESPACE
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// Check the permissions of this ServiceAccount of that namespace, instead of your own
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<String>,
    /// The namespace in which pods are tried as a dry run; by default that of the webhook
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) test_namespace: Option<String>,
    /// How many seconds one check may take
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub(crate) timeout: u64,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = TextOutput::Text)]
    pub(crate) output: TextOutput,
}
