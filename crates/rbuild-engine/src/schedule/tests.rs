use std::fmt::Write as _;

use expect_test::{Expect, expect};
use rbuild_plan::{Inputs, Plan, Planning, plan};

use super::Schedule;
use crate::graph::Graph;

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
    check_all(&[dockerfile], expected);
}

/// The same of several plans, of which steps are equal that are called the same.
#[track_caller]
fn check_all(dockerfiles: &[&str], expected: &Expect) {
    let plans: Vec<Plan> = dockerfiles.iter().map(|it| planned(it)).collect();
    let steps = plans.iter().flat_map(|plan| &plan.steps);
    let titles: Vec<&str> = steps.map(|step| &step.title[..]).collect();
    let graph = Graph::of(&plans).queue(&titles);
    let mut schedule = Schedule::new(&graph);
    let mut waves = String::new();
    while !schedule.is_done() {
        let wave: Vec<_> = std::iter::from_fn(|| schedule.start()).collect();
        let of = |&number: &usize| {
            let task = graph.task(number);
            let title = &plans[task.build].step(task.step).title;
            match plans.len() {
                1 => title.clone(),
                _ => format!("{}: {title}", task.build),
            }
        };
        let titles: Vec<String> = wave.iter().map(of).collect();
        writeln!(waves, "{}", titles.join(" | ")).unwrap();
        for number in wave {
            schedule.finish(number);
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

#[test]
fn plans_do_not_wait_for_each_other() {
    check_all(
        &[
            "FROM scratch\nRUN a1\nRUN a2\n",
            "FROM scratch\nRUN b1\nRUN b2\n",
        ],
        &expect![[r#"
            0: RUN a1 | 1: RUN b1
            0: RUN a2 | 1: RUN b2
        "#]],
    );
}

#[test]
fn of_equal_steps_one_starts_and_the_others_wait_for_it() {
    check_all(
        &[
            "FROM scratch AS own\nRUN a\nFROM scratch\nRUN same\nRUN a2\nCOPY --from=own /x /\n",
            "FROM scratch\n",
            "FROM scratch\nRUN same\nRUN b2\n",
            "FROM scratch\nRUN same\nRUN c2\n",
        ],
        &expect![[r#"
            0: RUN a | 0: RUN same
            0: RUN a2 | 2: RUN same | 3: RUN same
            0: COPY --from=own /x / | 2: RUN b2 | 3: RUN c2
        "#]],
    );
}
