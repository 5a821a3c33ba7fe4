//! The processes of pods, which are this machine's too.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A process of a pod.
pub(crate) struct Process {
    pub(crate) id: u32,
}

/// The processes of a pod that run the program of that name.
pub(crate) fn processes(pod: &Value, program: &str) -> Vec<Process> {
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let ids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all = ids.map(|id| Process { id });
    // The kubelet names the control group of a pod after its uid.
    all.filter(|process| process.file("comm").trim_end() == program && process.file("cgroup").contains(uid)).collect()
}

impl Process {
    /// A line of `/proc/ID/status`.
    pub(crate) fn status(&self, name: &str) -> String {
        let status = self.file("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The options of its root file system.
    pub(crate) fn root_options(&self) -> String {
        let mounts = self.file("mountinfo");
        let root = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| fields[4] == "/");
        root.expect("there is a root")[5].to_owned()
    }

    /// Its arguments, with a blank between them.
    pub(crate) fn command_line(&self) -> String {
        self.file("cmdline").trim_end_matches('\0').replace('\0', " ")
    }

    /// The columns behind a name in `/proc/ID/limits`: soft, hard, unit.
    pub(crate) fn limit(&self, name: &str) -> Vec<String> {
        let limits = self.file("limits");
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {limits}"));
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// `kill -9`
    pub(crate) fn kill(&self) {
        assert!(Command::new("kill").args(["-KILL", &self.id.to_string()]).status().unwrap().success());
    }

    /// A file of `/proc/ID`; empty where the process has ended.
    fn file(&self, name: &str) -> String {
        fs::read_to_string(PathBuf::from(format!("/proc/{}", self.id)).join(name)).unwrap_or_default()
    }
}
