//! What is said of steps that run again. Wishes 6 and 7 of cli.md.

use std::fs;

use expect_test::{Expect, expect};
use rbuild_engine::{Caching, Stages};
use rbuild_plan::StageId;

use crate::site::{Order, Site};

/// Builds `first`, edits, builds `second`; checks why each step of the second build ran.
#[track_caller]
fn check<'a>(
    first: impl Into<Order<'a>>,
    edit: impl FnOnce(&Site),
    second: impl Into<Order<'a>>,
    expected: &Expect,
) {
    let Some(site) = Site::new() else { return };
    site.file("f", "one");
    site.file("d/g", "two");
    site.events(first);
    edit(&site);
    let built = site.build(second);
    assert!(built.result.is_ok(), "{}", built.events);
    expected.assert_eq(&built.whys);
}

#[test]
fn wish_6_files_of_the_context_are_named() {
    let dockerfile = "FROM scratch\nCOPY d /d\nCOPY f /\nRUN --mount=target=/m say a\n";
    check(
        dockerfile,
        |site| site.file("d/g", "changed"),
        dockerfile,
        &expect![[r#"
            COPY d /d: 1 file changed: d/g
            COPY f /: parent changed
            RUN --mount=target=/m say a: 1 file changed: d/g; parent changed
        "#]],
    );
    check(
        dockerfile,
        |site| fs::rename(site.path("context/d/g"), site.path("context/d/h")).unwrap(),
        dockerfile,
        &expect![[r#"
            COPY d /d: 1 file added: d/h; 1 removed: d/g
            COPY f /: parent changed
            RUN --mount=target=/m say a: 1 file added: d/h; 1 removed: d/g; parent changed
        "#]],
    );
}

#[test]
fn wish_6_files_of_a_stage_are_named() {
    let stage = |log| {
        format!(
            "FROM scratch AS a\nRUN write /x {log}; write /y 1\nFROM scratch\nCOPY --from=a / /\n"
        )
    };
    check(
        &stage(1)[..],
        |_| {},
        &stage(2)[..],
        &expect![[r#"
            RUN write /x 2; write /y 1: instruction changed, was `RUN write /x 1; write /y 1`
            COPY --from=a / /: 1 file changed: x
        "#]],
    );
}

#[test]
fn wish_6_arguments_are_shown() {
    let dockerfile = "FROM scratch\nARG V\nRUN say a\nRUN say b\n";
    let with = |args| Order {
        args,
        ..Order::from(dockerfile)
    };
    check(
        with(&[("V", "1")]),
        |_| {},
        with(&[("V", "2")]),
        &expect![[r#"
            RUN say a: ARG V: 1 → 2
            RUN say b: ARG V: 1 → 2; parent changed
        "#]],
    );
}

#[test]
fn a_first_build_and_a_lost_result_are_told_apart() {
    let dockerfile = "FROM scratch\nRUN write /a a\n";
    check(
        "FROM scratch\nWORKDIR /w\n",
        |site| fs::remove_dir_all(site.path("store/notes")).unwrap(),
        dockerfile,
        &expect![[r#"
            RUN write /a a: first time
        "#]],
    );
    for lost in ["store/layers", "store/cache"] {
        check(
            dockerfile,
            |site| fs::remove_dir_all(site.path(lost)).unwrap(),
            dockerfile,
            &expect![[r#"
                RUN write /a a: its result was deleted
            "#]],
        );
    }
}

#[test]
fn damaged_memory_is_no_error() {
    let dockerfile = "FROM scratch\nCOPY f /\n";
    check(
        dockerfile,
        |site| {
            let notes = site.path("store/notes/steps");
            let fan = fs::read_dir(notes).unwrap().next().unwrap().unwrap().path();
            let note = fs::read_dir(fan).unwrap().next().unwrap().unwrap().path();
            fs::write(note, "{\"stages\":{\"#0\":[7]}}").unwrap();
            site.file("f", "two");
        },
        dockerfile,
        &expect![[r#"
            COPY f /: first time
        "#]],
    );
}

#[test]
fn k2_single_stages_can_be_executed_anew() {
    let dockerfile =
        "FROM scratch AS a\nRUN write /a a\nFROM scratch AS b\nCOPY --from=a /a /\nRUN say b\n";
    let refreshed = Stages::Only([StageId(0)].into());
    check(
        dockerfile,
        |_| {},
        Order {
            caching: Caching {
                refreshed,
                ..Caching::default()
            },
            ..Order::from(dockerfile)
        },
        &expect![[r#"
            RUN write /a a: the cache is not used
        "#]],
    );
}

#[test]
fn old_results_expire_also_those_that_changed_nothing() {
    let dockerfile = "FROM scratch\nRUN write /a a\nRUN nothing\n";
    let within = |seconds| Order {
        caching: Caching {
            max_age: Some(seconds),
            ..Caching::default()
        },
        ..Order::from(dockerfile)
    };
    check(dockerfile, |_| {}, within(3600), &expect![""]);
    check(
        dockerfile,
        |_| {},
        within(0),
        &expect![[r#"
            RUN write /a a: its result is too old
            RUN nothing: its result is too old
        "#]],
    );
}

#[test]
fn k2_what_is_asked_for_needs_no_other_reason() {
    let dockerfile = "FROM scratch AS a\nCOPY f /\nFROM scratch AS b\nCOPY --from=a /f /\n";
    let anew = Order {
        caching: Caching::refreshed(),
        ..Order::from(dockerfile)
    };
    check(
        dockerfile,
        |_| {},
        anew,
        &expect![[r#"
        COPY f /: the cache is not used
        COPY --from=a /f /: the cache is not used
    "#]],
    );
}

#[test]
fn wish_7_what_must_be_known_is_not_executed() {
    let Some(site) = Site::new() else { return };
    site.file("f", "one");
    let dockerfile = "FROM scratch AS a\nCOPY f /\nFROM scratch AS b\nCOPY --from=a /f /\n";
    let requiring = |required: &Stages| Order {
        caching: Caching {
            required: required.clone(),
            ..Caching::default()
        },
        ..Order::from(dockerfile)
    };
    let second = Stages::Only([StageId(1)].into());
    assert_eq!(
        site.failure(requiring(&Stages::All)),
        "a step is not cached: first time\n"
    );
    site.events(dockerfile);
    assert_eq!(
        site.events(requiring(&Stages::All)),
        "cached COPY f /\ncached COPY --from=a /f /\n"
    );
    site.file("f", "two");
    let text = "a step is not cached: 1 file changed: f\n";
    assert_eq!(site.failure(requiring(&Stages::All)), text);
    assert_eq!(site.failure(requiring(&second)), text);
    assert_eq!(site.build(requiring(&second)).events, "cached COPY f /\n");
}

/// Builds `first`, edits; checks what a build of `second` would do.
#[track_caller]
fn check_forecast<'a>(
    first: &str,
    edit: impl FnOnce(&Site),
    second: impl Into<Order<'a>>,
    expected: &Expect,
) {
    let Some(site) = Site::new() else { return };
    site.file("f", "one");
    site.file("d/g", "two");
    site.events(first);
    edit(&site);
    expected.assert_eq(&site.forecast(second));
}

const STAGES: &str = "FROM scratch AS a\nCOPY f /x\nRUN join /y /x\nFROM scratch\nCOPY d /d\n\
                      COPY --from=a /y /\nRUN say a\n";

#[test]
fn nothing_would_be_done_with_what_is_known() {
    check_forecast(
        STAGES,
        |_| {},
        STAGES,
        &expect![[r#"
        cached COPY f /x
        cached RUN join /y /x
        cached COPY d /d
        cached COPY --from=a /y /
        cached RUN say a
    "#]],
    );
}

#[test]
fn what_would_be_executed_is_told_with_what_follows() {
    check_forecast(
        STAGES,
        |site| site.file("f", "two"),
        STAGES,
        &expect![[r#"
        execute COPY f /x: 1 file changed: f
        execute RUN join /y /x: parent changed
        cached COPY d /d
        unknown COPY --from=a /y /: Files(StepId(0))
        unknown RUN say a: Files(StepId(0))
    "#]],
    );
    check_forecast(
        STAGES,
        |site| site.file("d/g", "3"),
        STAGES,
        &expect![[r#"
        cached COPY f /x
        cached RUN join /y /x
        execute COPY d /d: 1 file changed: d/g
        execute COPY --from=a /y /: parent changed
        execute RUN say a: parent changed
    "#]],
    );
}

#[test]
fn k2_what_follows_an_executed_step_is_looked_up_by_its_definition() {
    let refreshed = Stages::Only([StageId(0)].into());
    let order = Order {
        caching: Caching {
            refreshed,
            ..Caching::default()
        },
        ..Order::from(STAGES)
    };
    check_forecast(
        STAGES,
        |_| {},
        order,
        &expect![[r#"
            execute COPY f /x: the cache is not used
            execute RUN join /y /x: the cache is not used
            cached COPY d /d
            unknown COPY --from=a /y /: Files(StepId(0))
            unknown RUN say a: Files(StepId(0))
        "#]],
    );
}

#[test]
fn the_content_of_a_stage_decides_also_beforehand_k3() {
    let stage = |log| format!("FROM scratch AS a\nRUN write /out x; write /log {log}\n");
    let both = |log| format!("{}FROM scratch\nCOPY --from=a /out /\n", stage(log));
    check_forecast(
        &both(1),
        |site| drop(site.events(&stage(2)[..])),
        &both(2)[..],
        &expect![[r#"
        cached RUN write /out x; write /log 2
        cached COPY --from=a /out /
    "#]],
    );
}
