//! The webhook's own variables and files.

use std::fs;
use std::os::unix::net::UnixListener;

use flyte_secrets_core::{MountRequirement, Profile, Secret, SecretManagerType as Manager, Settings};
use flyte_secrets_webhook::admission::{Code, Outcome, Sources, Variables};
use tempfile::TempDir;

use crate::common::{decide, group_and_key, patched, pod, refusal, settings, variable};

struct Webhook {
    folder: TempDir,
    settings: Settings,
    sources: Sources,
}

impl Webhook {
    fn new(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(Profile::Flyte2, &[Manager::Global]);
        settings.global.secrets_prefix = folder.path().to_path_buf();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources = Sources { variables: Variables::new(variables, "FLYTE_SECRET_"), ..Sources::default() };
        fs::create_dir(folder.path().join("g")).unwrap();
        Self { folder, settings, sources }
    }

    fn with_file(content: &[u8]) -> Self {
        let webhook = Self::new(&[]);
        fs::write(webhook.folder.path().join("g/k"), content).unwrap();
        webhook
    }

    async fn value(&self, request: Secret) -> Option<String> {
        let pod = pod(&[request]);
        let admission = decide(&self.settings, &self.sources, &pod).await;
        variable(&patched(&admission, &pod), "_UNION_G_K").map(str::to_owned)
    }

    /// The reason with which Global declines.
    async fn declines(&self, request: Secret) -> String {
        let admission = decide(&self.settings, &self.sources, &pod(&[request])).await;
        assert_eq!(refusal(&admission).code, Code::BadRequest, "{}", refusal(&admission).message);
        match &admission.handled[0].attempts[0].outcome {
            Outcome::Declines(reason) => reason.clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_variable_comes_before_a_file() {
    let webhook = Webhook::new(&[("FLYTE_SECRET_G_K", "from the variable")]);
    fs::write(webhook.folder.path().join("g/k"), "from the file").unwrap();
    assert_eq!(webhook.value(group_and_key("g", "k")).await.unwrap(), "from the variable");
}

#[tokio::test]
async fn a_file_is_used_as_it_is_line_end_included() {
    let webhook = Webhook::with_file(b"from $the file\n");
    assert_eq!(webhook.value(group_and_key("g", "k")).await.unwrap(), "from $$the file\n");
}

#[tokio::test]
async fn a_variable_that_is_set_but_empty_counts_as_found() {
    let webhook = Webhook::new(&[("FLYTE_SECRET_G_K", "")]);
    assert_eq!(webhook.value(group_and_key("g", "k")).await, None, "an empty value is left out of the pod");
}

#[tokio::test]
async fn only_variables_with_the_prefix_can_be_asked_for() {
    let variables = [("FLYTE_SECRET_G_K".to_owned(), "in".to_owned()), ("AWS_SECRET_G_K".to_owned(), "out".to_owned())];
    assert_eq!(format!("{:?}", Variables::new(variables, "FLYTE_SECRET_")), "1 variables");
}

#[tokio::test]
async fn what_is_missing_is_told_by_the_names_that_were_looked_for() {
    let webhook = Webhook::new(&[]);
    let reason = webhook.declines(group_and_key("g", "k")).await;
    let file = webhook.folder.path().join("g/k");
    assert_eq!(reason, format!("found neither the variable \"FLYTE_SECRET_G_K\" nor the file {file:?}"));
}

#[tokio::test]
async fn what_is_no_file_counts_as_missing() {
    let webhook = Webhook::new(&[]);
    fs::create_dir(webhook.folder.path().join("g/folder")).unwrap();
    let _socket = UnixListener::bind(webhook.folder.path().join("g/socket")).unwrap();
    fs::write(webhook.folder.path().join("g/file"), "").unwrap();
    for key in ["folder", "socket", "file/below", &"k".repeat(300)] {
        let reason = webhook.declines(group_and_key("g", key)).await;
        assert!(reason.starts_with("found neither"), "{key}: {reason}");
    }
}

#[tokio::test]
async fn a_file_over_a_mebibyte_is_declined_and_one_of_just_that_size_is_not() {
    let reason = Webhook::with_file(&vec![b'a'; (1 << 20) + 1]).declines(group_and_key("g", "k")).await;
    assert!(reason.ends_with("it is larger than 1 MiB"), "{reason}");
    let value = Webhook::with_file(&vec![b'a'; 1 << 20]).value(group_and_key("g", "k")).await;
    assert_eq!(value.unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn a_file_that_is_not_utf8_is_declined() {
    let reason = Webhook::with_file(b"\xff\xfe").declines(group_and_key("g", "k")).await;
    assert_eq!(reason, "found a value that is not UTF-8, which no variable can hold");
}

#[tokio::test]
async fn a_failure_that_nobody_foresaw_is_worth_asking_again() {
    let webhook = Webhook::new(&[]);
    let link = webhook.folder.path().join("g/k");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    let admission = decide(&webhook.settings, &webhook.sources, &pod(&[group_and_key("g", "k")])).await;
    assert_eq!(refusal(&admission).code, Code::Unavailable);
}

#[tokio::test]
async fn a_file_without_permission_is_declined_with_the_way_out() {
    use std::os::unix::fs::PermissionsExt;
    let webhook = Webhook::with_file(b"secret");
    let file = webhook.folder.path().join("g/k");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        return; // The superuser may read everything.
    }
    let reason = webhook.declines(group_and_key("g", "k")).await;
    assert!(reason.contains("make it readable for the webhook's user"), "{reason}");
}

#[tokio::test]
async fn no_part_of_a_path_leads_out_of_the_folder() {
    let webhook = Webhook::with_file(b"secret");
    let outside = webhook.folder.path().join("outside");
    fs::write(&outside, "outside").unwrap();
    for (group, key) in [("g", "../outside"), ("..", "k"), ("g", outside.to_str().unwrap()), ("g", "k\0")] {
        let reason = webhook.declines(group_and_key(group, key)).await;
        assert!(reason.starts_with("makes a file path of the "), "{reason}");
    }
}

#[tokio::test]
async fn files_are_not_for_global() {
    let request = Secret { mount_requirement: MountRequirement::FILE, ..group_and_key("g", "k") };
    let reason = Webhook::with_file(b"secret").declines(request).await;
    assert_eq!(reason, "sets environment variables only; ask for mount_requirement ENV_VAR or ANY");
}
