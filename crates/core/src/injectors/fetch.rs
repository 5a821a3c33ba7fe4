//! What AWS, GCP and Azure share: a container that fetches into a volume in memory.

use super::{Decline, folder_variables};
use crate::injection::{EnvVar, Fetch, FetchContainer, Injection, SeenFile, Volume, VolumeSource};
use crate::paths::SECRETS_DIR;
use crate::settings::FetchContainerSettings;

/// The container's own part; the rest is the same for all.
pub(super) struct Fetcher<'a> {
    pub(super) name_prefix: &'static str,
    pub(super) volume: &'static str,
    pub(super) settings: &'a FetchContainerSettings,
    pub(super) command: Vec<String>,
    pub(super) env: Vec<EnvVar>,
    pub(super) mount_path: &'static str,
}

impl Fetcher<'_> {
    /// The injection that brings `file`.
    pub(super) fn injection(self, file: SeenFile) -> Result<Injection, Decline> {
        Ok(Injection {
            env: folder_variables().to_vec(),
            volume: Some(Volume {
                mount_path: SECRETS_DIR.to_owned(),
                source: VolumeSource::Memory { name: self.volume },
            }),
            fetch: Some(Fetch::Own(FetchContainer {
                name_prefix: self.name_prefix,
                image: self.settings.image.clone(),
                command: self.command,
                env: self.env,
                mount_path: self.mount_path,
                resources: self.settings.resources.clone(),
            })),
            files: vec![file],
            ..Injection::default()
        })
    }
}

/// A script for the container's shell.
pub(super) fn shell(script: String) -> Vec<String> {
    vec!["sh".to_owned(), "-ec".to_owned(), script]
}
