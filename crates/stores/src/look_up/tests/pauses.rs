use super::*;

#[test]
fn a_pause_is_between_a_half_and_the_whole_of_a_step_that_doubles_up_to_two_seconds() {
    for (attempt, step) in [(1, 100), (2, 200), (3, 400), (5, 1600), (6, 2000), (40, 2000), (u32::MAX, 2000)] {
        let step = Duration::from_millis(step);
        assert_eq!(pause(attempt, 0.0), step / 2, "{attempt}");
        assert!(pause(attempt, 0.999) > step * 9 / 10 && pause(attempt, 0.999) < step, "{attempt}");
    }
}
