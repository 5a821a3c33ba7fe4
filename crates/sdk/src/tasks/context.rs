//! The context of the task that runs on this thread.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use super::SecretsManager;

thread_local! {
    /// What stands in for the process's own secrets, the innermost last, each with its number.
    static ENTERED: RefCell<Vec<(u64, SecretsManager)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// What surrounds a task while it runs.
#[derive(Clone, Debug)]
pub struct Context {
    secrets: SecretsManager,
}

impl Context {
    /// The secrets that the task may read.
    #[must_use]
    pub fn secrets(&self) -> &SecretsManager {
        &self.secrets
    }
}

/// The context of the task that runs on this thread: the process's own variables and files, or what a
/// [mock](crate::testing) has put in their place.
#[must_use]
pub fn current_context() -> Context {
    let entered = ENTERED.with_borrow(|entered| entered.last().map(|(_, secrets)| secrets.clone()));
    Context { secrets: entered.unwrap_or_default() }
}

/// While this lives, the thread's context has other secrets. It may end in any order with others.
pub(crate) struct Entered {
    number: u64,
    /// It belongs to its thread.
    not_send: PhantomData<*const ()>,
}

impl Entered {
    pub(crate) fn new(secrets: SecretsManager) -> Self {
        let number = NEXT.replace(NEXT.get() + 1);
        ENTERED.with_borrow_mut(|entered| entered.push((number, secrets)));
        Self { number, not_send: PhantomData }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // At the end of a thread its locals may be gone already, and with them what would be taken away here.
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().retain(|(number, _)| *number != self.number));
    }
}
