use std::fmt::Write as _;

use expect_test::{Expect, expect};
use rbuild_plan::{Inputs, Plan, Planning, plan};

use super::Schedule;

pub(crate) fn planned(dockerfile: &str) -> Plan {
    let (file, diagnostics) = rbuild_dockerfile::parse(dockerfile);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    match plan(&file, dockerfile, &Inputs::default()) {
        Planning::Ready(plan) => *plan,
        other => unreachable!("{other:?}"),
    }
}

/// Starts all that may start, then ends all that was started, and again: a line each time.
#[track_caller]
fn check(dockerfile: &str, expected: &Expect) {
    let plan = planned(dockerfile);
    let mut schedule = Schedule::new(&plan);
    let mut waves = String::new();
    while !schedule.is_done() {
        let wave: Vec<_> = std::iter::from_fn(|| schedule.start()).collect();
        let titles: Vec<_> = wave.iter().map(|id| &plan.step(*id).title[..]).collect();
        writeln!(waves, "{}", titles.join(" | ")).unwrap();
        for id in wave {
            schedule.finish(id);
        }
    }
    expected.assert_eq(&waves);
}

#[test]
fn steps_of_a_stage_follow_each_other() {
    check(
        "FROM scratch\nRUN a\nRUN b\nRUN c\n",
        &expect![[r#"
            RUN a
            RUN b
            RUN c
        "#]],
    );
}

#[test]
fn a_stage_waits_only_for_the_step_that_it_copies_from() {
    check(
        "FROM scratch AS a\nRUN a1\nRUN a2\n\
         FROM scratch AS b\nRUN b1\nCOPY --from=a /x /\nRUN b2\n\
         FROM scratch\nRUN c1\nCOPY --from=b /x /\n",
        &expect![[r#"
            RUN a1 | RUN b1 | RUN c1
            RUN a2
            COPY --from=a /x /
            RUN b2
            COPY --from=b /x /
        "#]],
    );
}

#[test]
fn mounts_are_waited_for() {
    check(
        "FROM scratch AS a\nRUN a1\nFROM scratch\nRUN b1\n\
         RUN --mount=from=a,target=/a b2\n",
        &expect![[r#"
            RUN a1 | RUN b1
            RUN --mount=from=a,target=/a b2
        "#]],
    );
}

#[test]
fn stages_on_the_same_stage_go_on_together() {
    check(
        "FROM scratch AS base\nRUN base\nFROM base AS a\nRUN a\nFROM base AS b\nRUN b\n\
         FROM base\nCOPY --from=a /x /\nCOPY --from=b /x /\n",
        &expect![[r#"
            RUN base
            RUN a | RUN b
            COPY --from=a /x /
            COPY --from=b /x /
        "#]],
    );
}

#[test]
fn a_stage_can_come_after_another_without_needing_it() {
    check(
        "FROM scratch AS a\nRUN a1\nRUN a2\nFROM --after=a scratch\nRUN b\n",
        &expect![[r#"
            RUN a1
            RUN a2
            RUN b
        "#]],
    );
}
