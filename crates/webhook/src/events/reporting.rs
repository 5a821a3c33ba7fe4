//! A reviewer whose refusals become Events.

use std::time::Instant;

use futures::future::BoxFuture;

use super::Events;
use crate::server::{Reviewed, Reviewer};

/// Hands in every refusal of the reviewer inside; its answers are not touched, and nothing is waited for.
#[derive(Debug)]
pub struct Reporting<R> {
    reviewer: R,
    events: Events,
}

impl<R: Reviewer> Reporting<R> {
    /// Reports what `reviewer` answers.
    #[must_use]
    pub const fn new(reviewer: R, events: Events) -> Self {
        Self { reviewer, events }
    }
}

impl<R: Reviewer> Reviewer for Reporting<R> {
    fn review<'a>(&'a self, body: &'a [u8], deadline: Instant) -> BoxFuture<'a, Reviewed> {
        Box::pin(async move {
            let reviewed = self.reviewer.review(body, deadline).await;
            self.events.reviewed(&reviewed);
            reviewed
        })
    }
}
