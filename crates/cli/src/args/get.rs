//! The arguments of `get`.

use clap::Args;

use super::TextOutput;

const EXAMPLES: &str = "\
Examples:
  password=$(flyte-secrets get user-info password)
  flyte-secrets get certificates ca.der --raw > ca.der
  openssl x509 -in \"$(flyte-secrets get certificates ca.pem --path)\"
  flyte-secrets get '' api_key            a secret that was asked for without a group
  flyte-secrets get user-info password -o json

It looks where flytekit does: in the variable FLYTE_SECRETS_ENV_PREFIX + GROUP_VERSION_KEY, then in the file
FLYTE_SECRETS_DEFAULT_DIR/group/version/FLYTE_SECRETS_FILE_PREFIX + key. On your own computer, outside of a task,
the variable counts without the prefix too.

Exit codes: 0 found, 6 not found, 1 anything else.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct GetArgs {
    /// The group, as the task asks for it; '' where it has none
    pub(crate) group: String,
    /// The key, as the task asks for it; '' where it has none
    pub(crate) key: String,
    /// The version of the group
    #[arg(long, value_name = "VERSION")]
    pub(crate) group_version: Option<String>,
    /// Print the value byte for byte, white space around it and its line ends included
    #[arg(long)]
    pub(crate) raw: bool,
    /// Print the path where a file with the secret is looked for, and read nothing
    #[arg(long, conflicts_with_all = ["raw", "env_name", "output", "reveal"])]
    pub(crate) path: bool,
    /// Print the name of the variable that is looked for, and read nothing
    #[arg(long, conflicts_with_all = ["raw", "output", "reveal"])]
    pub(crate) env_name: bool,
    /// What to print: the value, or as JSON where it stands
    #[arg(short, long, value_enum, default_value_t = TextOutput::Text)]
    pub(crate) output: TextOutput,
    /// With -o json: the value too, as 'value' or, where it is no text, as 'value_base64'
    #[arg(long)]
    pub(crate) reveal: bool,
}
