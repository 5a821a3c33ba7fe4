//! Who changed which name: one line of the log a write, whatever became of it. Never a value.

use flyte_secrets_core::encoded_id::SecretId;

use crate::access::Action;
use crate::problem::Problem;
use crate::secrets::Caller;

/// The target of these lines, by which they can be told from others.
const TARGET: &str = "flyte_secrets::audit";

/// Notes a change, or why there was none.
pub(crate) fn note(caller: &Caller, action: Action, id: &SecretId, problem: Option<&Problem>) {
    let (identity, peer) = (&caller.identity, caller.peer.map(|peer| peer.to_string()));
    let SecretId { org, domain, project, name } = id;
    let (what, outcome) = (action.name(), problem.map_or("ok", Problem::code_name));
    tracing::info!(
        target: TARGET,
        action = what, outcome, %identity, peer, org, domain, project, name, "a secret was to be changed"
    );
}
