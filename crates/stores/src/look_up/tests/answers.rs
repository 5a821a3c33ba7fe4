//! The look-up is what asking one question after another would be, and only its time differs.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::support::{Reply, Store, id, look_ups, ms, value};

/// One store's answer for the three scopes.
type Answers = Vec<(u64, Reply)>;

/// Longer than any delay.
const DEADLINE: Duration = ms(5000);

fn reply() -> impl Strategy<Value = Reply> {
    use FailureClass::{Denied, Empty, Late, Malformed, NotFound, Throttled, Unavailable};
    prop_oneof![
        10 => Just(Reply::Fails(NotFound)),
        3 => Just(value("filled in below")),
        1 => Just(Reply::Hangs),
        1 => Just(Reply::Panics("as the test says")),
        3 => prop::sample::select(vec![Denied, Empty, Late, Malformed, Throttled, Unavailable]).prop_map(Reply::Fails),
    ]
}

fn stores() -> impl Strategy<Value = Vec<Answers>> {
    prop::collection::vec(prop::collection::vec((0..100_u64, reply()), 3), 1..=4)
}

/// What is expected: the value's text or the failure's class, the questions up to there, and each one's delay.
#[derive(Debug, PartialEq)]
struct Expected {
    outcome: Result<String, FailureClass>,
    asked: Vec<(String, String)>,
    delays: Vec<Duration>,
}

/// The definition.
fn one_after_another(stores: &[Answers]) -> Expected {
    let (mut asked, mut delays) = (Vec::new(), Vec::new());
    for scope in 0..3 {
        for (number, answers) in stores.iter().enumerate() {
            let (delay, reply) = &answers[scope];
            asked.push((id().scopes()[scope].to_string(), NAMES[number].to_owned()));
            delays.push(if matches!(reply, Reply::Hangs) { DEADLINE } else { ms(*delay) });
            let outcome = match reply {
                Reply::Fails(FailureClass::NotFound) => continue,
                Reply::Value(_) => Ok(format!("value of {} in scope {scope}", NAMES[number])),
                Reply::Fails(class) => Err(*class),
                Reply::Panics(_) => Err(FailureClass::Malformed),
                Reply::Hangs => Err(FailureClass::Late),
            };
            return Expected { outcome, asked, delays };
        }
    }
    Expected { outcome: Err(FailureClass::NotFound), asked, delays }
}

const NAMES: [&str; 4] = ["store 0", "store 1", "store 2", "store 3"];

fn fakes(stores: &[Answers]) -> Vec<Arc<Store>> {
    let fake = |(number, answers): (usize, &Answers)| {
        let (name, answers) = (NAMES[number], answers.clone());
        Store::new(name, move |asked, _| {
            let scope = id().scopes().iter().position(|scope| scope == asked).unwrap();
            let (delay, reply) = answers[scope].clone();
            let reply = match reply {
                Reply::Value(_) => value(format!("value of {name} in scope {scope}")),
                other => other,
            };
            (ms(delay), reply)
        })
    };
    stores.iter().enumerate().map(fake).collect()
}

fn settings(scopes: Scopes, cached: bool) -> LookUpSettings {
    let settings = if cached { LookUpSettings::default() } else { LookUpSettings::uncached() };
    // What more attempts do to the time is random.
    LookUpSettings { scopes, attempts: 1, ..settings }
}

fn check(stores: &[Answers], scopes: Scopes, cached: bool) -> Result<(), TestCaseError> {
    let expected = one_after_another(stores);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (found, took) = runtime.block_on(async {
        let begun = Instant::now();
        let look_ups = look_ups(&fakes(stores), settings(scopes, cached));
        let found = look_ups.find(&id(), Freshness::Cached, begun + DEADLINE).await;
        (found, begun.elapsed())
    });
    match found {
        Ok(found) => {
            let asked = (found.id.to_string(), found.store.clone());
            prop_assert_eq!(Some(&asked), expected.asked.last());
            prop_assert_eq!(Ok(found.value.expose_text().unwrap().to_owned()), expected.outcome);
        }
        Err(error) => {
            let asked: Vec<_> = error.asked.iter().map(|one| (one.id.to_string(), one.store.clone())).collect();
            prop_assert_eq!(asked, expected.asked);
            prop_assert_eq!(Err(error.class()), expected.outcome);
        }
    }
    let promised = match scopes {
        Scopes::Parallel => expected.delays.iter().max().copied().unwrap_or_default(),
        Scopes::Sequential => expected.delays.iter().sum::<Duration>().min(DEADLINE),
    };
    // A timer may be a millisecond late.
    let slack = ms(expected.delays.len() as u64 + 1);
    prop_assert!(took >= promised && took <= promised + slack, "took {:?}, promised {:?}", took, promised);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn all_at_once_gives_the_answer_of_one_after_another_in_the_time_of_the_slowest(
        stores in stores(), cached in any::<bool>(),
    ) {
        check(&stores, Scopes::Parallel, cached)?;
    }

    #[test]
    fn one_after_another_asks_no_further_than_needed_and_takes_the_sum(stores in stores(), cached in any::<bool>()) {
        check(&stores, Scopes::Sequential, cached)?;
    }
}

#[tokio::test(start_paused = true)]
async fn one_after_another_makes_no_call_behind_the_answer() {
    let store = Store::new("store", |asked, _| {
        (ms(1), if asked.project.is_empty() { value("domain's") } else { super::support::NOT_FOUND })
    });
    let settings = LookUpSettings { scopes: Scopes::Sequential, ..LookUpSettings::default() };
    super::support::find(&look_ups(&[Arc::clone(&store)], settings), &id()).await.unwrap();
    assert_eq!(store.calls(), 2);
}
