//! The configuration of a command, from its arguments.

use std::ffi::OsString;

use flyte_secrets_config::{Inputs, Loaded, is_switch, load};
use flyte_secrets_core::Profile;

use crate::Failed;
use crate::args::ConfigArgs;
use crate::output::Message;

/// Flags that name a setting, `--webhook.certDir=…`, apart from all other arguments.
#[derive(Debug, Default)]
pub(crate) struct SplitArguments {
    /// For the command line's parser.
    pub(crate) rest: Vec<OsString>,
    /// Settings: key and value.
    pub(crate) settings: Vec<(String, String)>,
}

/// Takes settings out of the arguments: any long flag with a dot in its name. As with Go's flags, one
/// without `=` takes the next argument; one that is on or off, or is followed by a flag, is `true`.
pub(crate) fn split_arguments(arguments: impl IntoIterator<Item = OsString>) -> SplitArguments {
    let mut split = SplitArguments::default();
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.to_str().and_then(setting) else {
            let last = argument == "--";
            split.rest.push(argument);
            if last {
                break;
            }
            continue;
        };
        split.settings.push(match flag.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => {
                let is_value = |next: &OsString| {
                    let next = next.to_string_lossy();
                    if is_switch(flag) { ["true", "false"].contains(&&*next) } else { !next.starts_with('-') }
                };
                let value = arguments.next_if(is_value).unwrap_or_else(|| "true".into());
                (flag.to_owned(), value.to_string_lossy().into_owned())
            }
        });
    }
    split.rest.extend(arguments);
    split
}

/// The flag without its dashes, if it names a setting.
fn setting(argument: &str) -> Option<&str> {
    argument.strip_prefix("--").filter(|flag| {
        let name = flag.split('=').next().unwrap_or_default();
        name.contains('.') && !name.starts_with('.')
    })
}

/// Where settings come from besides files.
pub(crate) struct Surroundings {
    /// Settings given as flags.
    pub(crate) flags: Vec<(String, String)>,
    /// The profile that the program's name stands for.
    pub(crate) implied_profile: Option<Profile>,
}

impl Surroundings {
    /// Loads the configuration of a command that runs beside others on a machine.
    pub(crate) fn load(&self, args: &ConfigArgs) -> Result<Loaded, Failed> {
        self.load_with(args, environment())
    }

    /// Loads the configuration of a webhook as it is in its own namespace, seen from elsewhere.
    pub(crate) fn load_in(&self, args: &ConfigArgs, namespace: &str) -> Result<Loaded, Failed> {
        let mut environment = environment();
        environment.retain(|(name, _)| name != "POD_NAMESPACE");
        environment.push(("POD_NAMESPACE".to_owned(), namespace.to_owned()));
        self.load_with(args, environment)
    }

    /// Loads the configuration of a command that reads nothing but what it is given.
    pub(crate) fn load_offline(&self, args: &ConfigArgs) -> Result<Loaded, Failed> {
        self.load_with(args, Vec::new())
    }

    fn load_with(&self, args: &ConfigArgs, environment: Vec<(String, String)>) -> Result<Loaded, Failed> {
        let mut flags = self.flags.clone();
        if let Some(profile) = args.profile.map(Profile::from) {
            let name = match profile {
                Profile::Flyte1 => "flyte1",
                Profile::Flyte2 => "flyte2",
            };
            flags.push(("webhook.profile".to_owned(), name.to_owned()));
        }
        let inputs = Inputs { files: args.files.clone(), flags, environment, implied_profile: self.implied_profile };
        load(&inputs).map_err(|errors| Failed::Config(Box::new(errors)))
    }
}

fn environment() -> Vec<(String, String)> {
    let variables = std::env::vars_os();
    variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

/// Tells a configuration's warnings.
pub(crate) fn tell_warnings(loaded: &Loaded, as_json: bool) {
    for message in &loaded.warnings {
        Message::Warning { message }.tell(as_json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(arguments: &[&str]) -> SplitArguments {
        split_arguments(arguments.iter().map(OsString::from))
    }

    #[test]
    fn settings_are_told_from_other_flags_by_their_dot() {
        let ours = split(&["x", "webhook", "--webhook.certDir=/a=b", "--config", "f.yaml", "--once"]);
        assert_eq!(ours.rest, ["x", "webhook", "--config", "f.yaml", "--once"]);
        assert_eq!(ours.settings, [("webhook.certDir".to_owned(), "/a=b".to_owned())]);
    }

    #[test]
    fn a_setting_takes_the_next_argument_or_is_true() {
        let ours = split(&["x", "--webhook.listenPort", "1", "--webhook.localCert", "--config=f"]);
        assert_eq!(ours.rest, ["x", "--config=f"]);
        assert_eq!(ours.settings[0].1, "1");
        assert_eq!(ours.settings[1].1, "true");
    }

    #[test]
    fn a_setting_that_is_on_or_off_leaves_a_command_alone() {
        let ours = split(&["x", "--webhook.localCert", "webhook", "--webhook.localCert", "false", "init-certs"]);
        assert_eq!(ours.rest, ["x", "webhook", "init-certs"]);
        assert_eq!(ours.settings.iter().map(|(_, value)| &**value).collect::<Vec<_>>(), ["true", "false"]);
    }

    #[test]
    fn nothing_behind_two_dashes_is_a_setting() {
        let ours = split(&["x", "--", "--webhook.certDir=a"]);
        assert_eq!(ours.rest, ["x", "--", "--webhook.certDir=a"]);
        assert!(ours.settings.is_empty());
    }
}
