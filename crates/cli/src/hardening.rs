//! What keeps values that this process holds from ending up in a core file, or with another process of the same user.

use anyhow::Result;

/// Called before the first value is read. Afterwards no core file is written of this process or of those that it starts
/// (`RLIMIT_CORE` is 0 and inherited), and other processes of the same user can neither trace this one nor read its memory or
/// its environment in `/proc` (prctl(2), `PR_SET_DUMPABLE`). The latter ends where a program is executed: a child is what it
/// makes of itself.
///
/// # Errors
/// If the kernel refuses: no value should be read then.
#[cfg(target_os = "linux")]
pub(crate) fn harden() -> Result<()> {
    use anyhow::Context;
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .context("cannot turn core files off, which could hold secrets (setrlimit RLIMIT_CORE)")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("cannot keep other processes from reading this one's memory (prctl PR_SET_DUMPABLE)")
}

/// Elsewhere a command that deals in values says that it is for Linux; nothing is done here.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub(crate) fn harden() -> Result<()> {
    Ok(())
}
