//! Fetch containers: those that an earlier pass has put into the pod, and names for new ones.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::injection::{EnvVar, FetchContainer};
use crate::outline::ContainerOutline;

/// What tells the fetch containers of one manager apart: the command, and the values of the variables of its own.
type Content<'p> = (&'p [String], Vec<Option<&'p str>>);

/// The init containers of a pod, in the light of the names of fetch containers.
///
/// Everything is looked up in maps: a pod of the largest size has tens of thousands of containers.
pub(super) struct Fetchers<'p> {
    existing: &'p [ContainerOutline<'p>],
    names: HashSet<&'p str>,
    /// By the first part of the name: containers of that kind that nobody has claimed yet, by content.
    unclaimed: HashMap<&'static str, HashMap<Content<'p>, VecDeque<usize>>>,
    /// By the first part of the name: all numbers below are taken.
    next: HashMap<&'static str, usize>,
}

impl<'p> Fetchers<'p> {
    pub(super) fn new(existing: &'p [ContainerOutline<'p>]) -> Self {
        let names = existing.iter().map(|container| &*container.name).collect();
        Self { existing, names, unclaimed: HashMap::new(), next: HashMap::new() }
    }

    /// The container of this name and content that an earlier pass has added; each is found once.
    pub(super) fn claim(&mut self, wanted: &'p FetchContainer) -> Option<usize> {
        let existing = self.existing;
        let kind = self.unclaimed.entry(wanted.name_prefix).or_insert_with(|| {
            let mut by_content: HashMap<Content<'p>, VecDeque<usize>> = HashMap::new();
            let of_kind = existing.iter().enumerate().filter(|(_, there)| is_numbered(there, wanted.name_prefix));
            for (index, there) in of_kind {
                let values = wanted.env.iter().map(|own| plain_value(there, own)).collect();
                by_content.entry((there.command(), values)).or_default().push_back(index);
            }
            by_content
        });
        let values = wanted.env.iter().map(|own| own.source.value()).collect();
        kind.get_mut(&(&*wanted.command, values))?.pop_front()
    }

    /// A name for a new container. It carries the number of init containers so far, as in the reference, or the next
    /// free one.
    pub(super) fn name(&mut self, prefix: &'static str, so_far: usize) -> String {
        let next = self.next.entry(prefix).or_default();
        let mut number = so_far.max(*next);
        let mut name = format!("{prefix}{number}");
        while self.names.contains(&*name) {
            number += 1;
            name = format!("{prefix}{number}");
        }
        *next = number + 1;
        name
    }
}

fn is_numbered(container: &ContainerOutline<'_>, prefix: &str) -> bool {
    let number = container.name.strip_prefix(prefix);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn plain_value<'p>(container: &'p ContainerOutline<'_>, variable: &EnvVar) -> Option<&'p str> {
    let there = container.env.iter().find(|there| *there.name == *variable.name)?;
    there.value_from.is_none().then_some(&*there.value)
}
