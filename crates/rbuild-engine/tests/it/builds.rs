//! What builds do that are done together: they share workers, and what they have in common.

use std::num::NonZero;

use expect_test::{Expect, expect};
use rbuild_engine::Caching;

use crate::site::{Order, Site};

const A: &str = "FROM scratch AS tools\nRUN new /tool\nFROM scratch\nCOPY --from=tools /tool /a\n";
const B: &str = "FROM scratch AS tools\nRUN new /tool\nFROM scratch\nCOPY --from=tools /tool /b\n";

/// With that many workers.
fn order(jobs: usize) -> Order<'static> {
    Order {
        jobs: NonZero::new(jobs).unwrap(),
        ..Order::from("")
    }
}

/// The same, and nothing counts that was done before.
fn anew(jobs: usize) -> Order<'static> {
    Order {
        caching: Caching::refreshed(),
        ..order(jobs)
    }
}

#[track_caller]
fn check(dockerfiles: &[&str], order: &Order<'_>, failed: Option<usize>, expected: &Expect) {
    let Some(site) = Site::new() else { return };
    let (events, failed_here) = site.together(dockerfiles, order);
    expected.assert_eq(&events);
    assert_eq!(failed_here, failed);
}

#[test]
fn one_worker_does_one_build_after_the_other() {
    check(
        &[
            "FROM scratch\nRUN say a1\nRUN say a2\n",
            "FROM scratch\nRUN say b1\nRUN say b2\n",
        ],
        &order(1),
        None,
        &expect![[r#"
            0: started RUN say a1
            0:   Stdout "a1"
            0: finished RUN say a1
            0: started RUN say a2
            0:   Stdout "a2"
            0: finished RUN say a2
            1: started RUN say b1
            1:   Stdout "b1"
            1: finished RUN say b1
            1: started RUN say b2
            1:   Stdout "b2"
            1: finished RUN say b2
        "#]],
    );
}

#[test]
fn two_workers_do_two_builds_at_the_same_time() {
    let Some(site) = Site::new() else { return };
    // Ends only if each runs while the other one does.
    let dockerfiles = [
        "FROM scratch\nRUN meet; write /a x\n",
        "FROM scratch\nRUN meet; write /b x\n",
    ];
    let (_, failed) = site.together(&dockerfiles, &order(2));
    assert_eq!(failed, None);
}

#[test]
fn what_builds_have_in_common_is_executed_once() {
    for order in [order(1), anew(1)] {
        check(
            &[A, B],
            &order,
            None,
            &expect![[r#"
                0: started RUN new /tool
                0: finished RUN new /tool
                0: started COPY --from=tools /tool /a
                0: finished COPY --from=tools /tool /a
                1: cached RUN new /tool
                1: started COPY --from=tools /tool /b
                1: finished COPY --from=tools /tool /b
            "#]],
        );
    }
}

#[test]
fn nobody_waits_for_a_lock_where_builds_have_steps_in_common() {
    for order in [order(4), anew(4)] {
        let Some(site) = Site::new() else { return };
        let (events, failed) = site.together(&[A, B, A, B], &order);
        let count = |what: &str| events.lines().filter(|line| line.contains(what)).count();
        let counts = ["started RUN", "cached RUN", "started COPY", "cached COPY"].map(count);
        assert_eq!(counts, [1, 3, 2, 2], "{events}");
        assert_eq!((count("waiting"), failed), (0, None), "{events}");
    }
}

#[test]
fn what_was_made_anew_is_another_time_the_next_time() {
    let Some(site) = Site::new() else { return };
    site.together(&[A, B], &order(1));
    let (events, _) = site.together(&[A, B], &anew(1));
    assert!(events.starts_with("0: started RUN new /tool\n"), "{events}");
    assert!(events.contains("1: cached RUN new /tool\n"), "{events}");
}

#[test]
fn the_first_failure_ends_all_builds() {
    check(
        &[
            "FROM scratch\nRUN say a\n",
            "FROM scratch\nRUN fail 3\nRUN say b\n",
            "FROM scratch\nRUN say c\n",
        ],
        &order(1),
        Some(1),
        &expect![[r#"
            0: started RUN say a
            0:   Stdout "a"
            0: finished RUN say a
            1: started RUN fail 3
        "#]],
    );
}
