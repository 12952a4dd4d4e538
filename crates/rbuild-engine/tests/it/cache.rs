//! Which steps run again, and why.

use std::fs;

use expect_test::{Expect, expect};
use rbuild_engine::{Caching, Error, Stages};
use rbuild_plan::{StageId, StepId};
use rbuild_testkit::Kind;

use crate::site::{Order, Site, touch};

/// Builds `first`, edits, builds `second`; checks the events of the second build.
#[track_caller]
fn check(first: &str, edit: impl FnOnce(&Site), second: &str, expected: &Expect) {
    let Some(site) = Site::new() else { return };
    site.file("f", "one");
    site.file("d/g", "two");
    site.events(first);
    edit(&site);
    expected.assert_eq(&site.events(second));
}

/// The same Dockerfile twice.
#[track_caller]
fn check_edit(dockerfile: &str, edit: impl FnOnce(&Site), expected: &Expect) {
    check(dockerfile, edit, dockerfile, expected);
}

#[test]
fn a_first_build_runs_everything_and_tells_each_line() {
    let Some(site) = Site::new() else { return };
    site.file("f", "one");
    let events =
        site.events("FROM scratch\nCOPY f /\nRUN say a; scold b; write /x y\nWORKDIR /w\n");
    expect![[r#"
        started COPY f /
        finished COPY f /
        started RUN say a; scold b; write /x y
          Stdout "a"
          Stderr "b"
        finished RUN say a; scold b; write /x y
        started WORKDIR /w
        finished WORKDIR /w
    "#]]
    .assert_eq(&events);
}

#[test]
fn a_second_build_runs_nothing() {
    let dockerfile = "FROM scratch AS a\nCOPY f d /\nRUN say a\nWORKDIR /w\n\
                      FROM scratch\nCOPY --from=a /f /\n";
    check_edit(
        dockerfile,
        |_| {},
        &expect![[r#"
        cached COPY f d /
        cached RUN say a
        cached WORKDIR /w
        cached COPY --from=a /f /
    "#]],
    );
}

#[test]
fn times_are_no_reason_t52() {
    check_edit(
        "FROM scratch\nCOPY f d /\nRUN nothing\n",
        |site| touch(&site.path("context/f"), 1_000_000_000),
        &expect![[r#"
            cached COPY f d /
            cached RUN nothing
        "#]],
    );
}

#[test]
fn another_inode_with_the_same_content_is_no_reason() {
    check_edit(
        "FROM scratch\nCOPY f /\n",
        |site| {
            fs::remove_file(site.path("context/f")).unwrap();
            site.file("f", "one");
        },
        &expect![[r#"
            cached COPY f /
        "#]],
    );
}

#[test]
fn metadata_is_no_reason() {
    check(
        "FROM scratch\nRUN write /a a\nCOPY f /\n",
        |_| {},
        "FROM scratch\nLABEL a=b\nRUN write /a a\nCMD x\nUSER 0\nEXPOSE 80\nVOLUME /v\nCOPY f /\n",
        &expect![[r#"
            cached RUN write /a a
            cached COPY f /
        "#]],
    );
}

#[test]
fn env_is_a_reason_for_commands_alone() {
    check(
        "FROM scratch\nCOPY f /\nWORKDIR /w\nRUN nothing\n",
        |_| {},
        "FROM scratch\nENV a=b\nCOPY f /\nWORKDIR /w\nRUN nothing\n",
        &expect![[r#"
            cached COPY f /
            cached WORKDIR /w
            started RUN nothing
            finished RUN nothing
        "#]],
    );
}

#[test]
fn an_argument_is_a_reason_from_the_first_command_after_it_k1() {
    let Some(site) = Site::new() else { return };
    let dockerfile = "FROM scratch\nRUN write /a a\nARG V=1\nWORKDIR /w\nRUN write /b $V\n";
    site.events(dockerfile);
    let order = |args| Order {
        args,
        ..dockerfile.into()
    };
    let unused = site.events(order(&[("OTHER", "2")]));
    assert!(!unused.contains("started"), "{unused}");
    expect![[r#"
        cached RUN write /a a
        cached WORKDIR /w
        started RUN write /b $V
        finished RUN write /b $V
    "#]]
    .assert_eq(&site.events(order(&[("V", "2")])));
}

#[test]
fn a_changed_file_is_a_reason_for_those_who_copy_it_and_what_follows() {
    check_edit(
        "FROM scratch\nCOPY d /d\nCOPY f /\nRUN nothing\n",
        |site| site.file("f", "another"),
        &expect![[r#"
            cached COPY d /d
            started COPY f /
            finished COPY f /
            started RUN nothing
            finished RUN nothing
        "#]],
    );
}

#[test]
fn a_changed_mode_or_name_is_a_reason() {
    check_edit(
        "FROM scratch\nCOPY f /\n",
        |site| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(site.path("context/f"), mode).unwrap();
        },
        &expect![[r#"
            started COPY f /
            finished COPY f /
        "#]],
    );
    check_edit(
        "FROM scratch\nCOPY d /\n",
        |site| fs::rename(site.path("context/d/g"), site.path("context/d/h")).unwrap(),
        &expect![[r#"
            started COPY d /
            finished COPY d /
        "#]],
    );
}

#[test]
fn what_the_ignore_file_hides_is_no_reason() {
    let Some(site) = Site::new() else { return };
    site.file(".dockerignore", "d\n!d/g\n.dockerignore\n");
    site.file("d/g", "g");
    site.events("FROM scratch\nCOPY . /\n");
    site.file("d/h", "hidden");
    expect![[r#"
        cached COPY . /
    "#]]
    .assert_eq(&site.events("FROM scratch\nCOPY . /\n"));
}

#[test]
fn a_stage_that_makes_the_same_bytes_again_does_not_disturb_its_users_t55() {
    check(
        "FROM scratch AS a\nRUN write /out x; write /log 1\nFROM scratch\nCOPY --from=a /out /\nRUN nothing\n",
        |_| {},
        "FROM scratch AS a\nRUN write /out x; write /log 2\nFROM scratch\nCOPY --from=a /out /\nRUN nothing\n",
        &expect![[r#"
            started RUN write /out x; write /log 2
            finished RUN write /out x; write /log 2
            cached COPY --from=a /out /
            cached RUN nothing
        "#]],
    );
}

#[test]
fn owners_in_a_stage_are_a_reason() {
    check(
        "FROM scratch AS a\nRUN write /out x\nFROM scratch\nCOPY --from=a /out /\n",
        |_| {},
        "FROM scratch AS a\nRUN write /out x; chown 5:6 /out\nFROM scratch\nCOPY --from=a /out /\n",
        &expect![[r#"
            started RUN write /out x; chown 5:6 /out
            finished RUN write /out x; chown 5:6 /out
            started COPY --from=a /out /
            finished COPY --from=a /out /
        "#]],
    );
}

#[test]
fn a_content_hit_is_remembered_by_its_definition() {
    let Some(site) = Site::new() else { return };
    let stage = |log| {
        format!(
            "FROM scratch AS a\nRUN write /out x; write /log {log}\nFROM scratch\nCOPY --from=a /out /\n"
        )
    };
    site.events(&stage(1)[..]);
    site.events(&stage(2)[..]);
    // Without its tree the stage cannot be looked into: only the definition is left.
    expect![[r#"
        cached RUN write /out x; write /log 2
        cached COPY --from=a /out /
    "#]]
    .assert_eq(&site.events(&stage(2)[..]));
}

#[test]
fn without_cache_everything_runs_and_is_remembered_k2() {
    let Some(site) = Site::new() else { return };
    site.file("f", "one");
    let dockerfile = "FROM scratch\nCOPY f /\nRUN write /x y\n";
    let old = site.state(dockerfile);
    let fresh = site.build(Order {
        caching: Caching::refreshed(),
        ..dockerfile.into()
    });
    expect![[r#"
        started COPY f /
        finished COPY f /
        started RUN write /x y
        finished RUN write /x y
    "#]]
    .assert_eq(&fresh.events);
    let fresh = fresh.result.unwrap().pop().unwrap();
    assert_ne!(fresh.layers, old.layers);
    assert_eq!(site.state(dockerfile), fresh);
}

#[test]
fn a_vanished_layer_is_a_miss_t53() {
    let Some(site) = Site::new() else { return };
    let dockerfile = "FROM scratch\nRUN write /a a\nRUN write /b b\n";
    let state = site.state(dockerfile);
    let layers = site.path("store/layers");
    fs::remove_dir_all(layers.join(state.layers[0].to_string())).unwrap();
    expect![[r#"
        started RUN write /a a
        finished RUN write /a a
        cached RUN write /b b
    "#]]
    .assert_eq(&site.events(dockerfile));
    let state = site.state(dockerfile);
    assert_eq!(site.tree(&state.layers).paths(), ["/", "/a", "/b"]);
}

/// Builds in two stages, where `a` is read by a COPY, and deletes what stage `a` made.
fn without_the_first_stage(site: &Site, dockerfile: &str) {
    let states = site.build(dockerfile).result.unwrap();
    for state in &states[..2] {
        let layer = state.added.unwrap().0;
        fs::remove_dir_all(site.path(&format!("store/layers/{layer}"))).unwrap();
    }
}

const TWO_STAGES: &str = "FROM scratch AS a\nRUN write /x x\nRUN write /y y\n\
                          FROM scratch\nCOPY --from=a /y /z\n";

#[test]
fn what_nobody_opens_is_not_made_again() {
    let Some(site) = Site::new() else { return };
    without_the_first_stage(&site, TWO_STAGES);
    let all_cached = "cached RUN write /x x\ncached RUN write /y y\ncached COPY --from=a /y /z\n";
    assert_eq!(site.events(TWO_STAGES), all_cached);
    assert!(
        site.forecast(TWO_STAGES)
            .starts_with("cached RUN write /x x\n")
    );
}

#[test]
fn what_is_opened_is_made_again_with_what_it_stands_on() {
    let Some(site) = Site::new() else { return };
    without_the_first_stage(&site, TWO_STAGES);
    let more = TWO_STAGES.replace("/y /z", "/x /z");
    expect![[r#"
        cached RUN write /x x
        cached RUN write /y y
        started RUN write /x x
        finished RUN write /x x
        started RUN write /y y
        finished RUN write /y y
        started COPY --from=a /x /z
        finished COPY --from=a /x /z
    "#]]
    .assert_eq(&site.events(&more[..]));
    let layers = site.state(&more[..]).layers;
    assert_eq!(site.tree(&layers).paths(), ["/", "/z"]);
    // It is there now.
    let again = TWO_STAGES.replace("/y /z", "/y /w");
    assert!(!site.events(&again[..]).contains("started RUN"));
}

#[test]
fn what_a_power_cut_may_have_emptied_is_made_again() {
    let Some(site) = Site::durable() else { return };
    let states = site.build(TWO_STAGES).result.unwrap();
    for state in &states[..2] {
        let layer = site.path(&format!("store/layers/{}", state.added.unwrap().0));
        let record = fs::read_to_string(layer.join("record.json")).unwrap();
        let (before, _) = record.split_once("\"boot\":\"").unwrap();
        let record = format!("{before}\"boot\":\"another\"}}\n");
        fs::write(layer.join("record.json"), record).unwrap();
        for emptied in fs::read_dir(layer.join("diff")).unwrap() {
            fs::write(emptied.unwrap().path(), "").unwrap();
        }
    }
    let more = TWO_STAGES.replace("/y /z", "/x /z");
    let layers = site.state(&more[..]).layers;
    let file = site.tree(&layers).0["/z"].kind.clone();
    assert_eq!(file, Kind::File(1, "\"x\"".to_owned()));
}

#[test]
fn what_is_made_again_can_fail_and_must_not_where_it_has_to_be_cached() {
    let Some(site) = Site::new() else { return };
    without_the_first_stage(&site, TWO_STAGES);
    let more = TWO_STAGES.replace("/y /z", "/x /z");
    let required = Caching {
        required: Stages::Only([StageId(0)].into()),
        ..Caching::default()
    };
    let failed = site.build(Order {
        caching: required,
        ..Order::from(&more[..])
    });
    let error = failed.result.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Uncached {
                step: StepId(0),
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn k2_what_reads_a_stage_that_is_made_anew_looks_at_its_files() {
    let Some(site) = Site::new() else { return };
    let dockerfile = "FROM scratch AS a\nRUN new /y; write /same s\nFROM a AS b\nRUN write /u u\n\
                      FROM scratch\nCOPY --from=a /same /\nCOPY --from=b /u /\nCOPY --from=a /y /\n";
    let build = |caching: Caching| {
        let built = site.build(Order {
            caching,
            ..Order::from(dockerfile)
        });
        built.result.unwrap();
        built.events
    };
    build(Caching::default());
    let anew = Caching {
        refreshed: Stages::Only([StageId(0)].into()),
        ..Caching::default()
    };
    expect![[r#"
        started RUN new /y; write /same s
        finished RUN new /y; write /same s
        started RUN write /u u
        finished RUN write /u u
        cached COPY --from=a /same /
        cached COPY --from=b /u /
        started COPY --from=a /y /
        finished COPY --from=a /y /
    "#]]
    .assert_eq(&build(anew));
}

#[test]
fn a_failing_step_keeps_the_results_before_it() {
    let Some(site) = Site::new() else { return };
    let failed = site.build("FROM scratch\nRUN write /a a\nRUN say before; write /b b; fail 3\n");
    expect![[r#"
        started RUN write /a a
        finished RUN write /a a
        started RUN say before; write /b b; fail 3
          Stdout "before"
    "#]]
    .assert_eq(&failed.events);
    expect![[r#"
        the build failed
        the command exited with status 3
    "#]]
    .assert_eq(&crate::site::causes(&failed.result.unwrap_err()));
    expect![[r#"
        cached RUN write /a a
        started RUN nothing
        finished RUN nothing
    "#]]
    .assert_eq(&site.events("FROM scratch\nRUN write /a a\nRUN nothing\n"));
}

/// The note in which the digests of the context are kept.
fn note(site: &Site) -> std::path::PathBuf {
    let mut place = site.path("store/notes/context");
    while place.is_dir() {
        place = fs::read_dir(&place)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
    }
    place
}

/// Builds at the time `now`, spoils the remembered digests, and builds again: whether the second
/// build believed them.
#[track_caller]
fn believes_its_notes(now: i64, between: impl FnOnce(&Site)) -> Option<bool> {
    let site = Site::new()?;
    site.file("f", "one");
    let build = || {
        site.events(Order {
            now,
            ..Order::from("FROM scratch\nCOPY f /\n")
        })
    };
    build();
    let note = note(&site);
    let mut bytes = fs::read(&note).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&note, bytes).unwrap();
    between(&site);
    Some(build().contains("started"))
}

#[test]
fn an_unchanged_file_of_the_context_is_not_read_again() {
    let believed = believes_its_notes(crate::site::LATER, |_| {});
    assert_ne!(believed, Some(false));
}

#[test]
fn a_file_with_another_time_is_read_again() {
    let touched = |site: &Site| touch(&site.path("context/f"), 1_000_000_000);
    let believed = believes_its_notes(crate::site::LATER, touched);
    assert_ne!(believed, Some(true));
}

#[test]
fn a_file_that_changed_in_the_second_of_the_build_is_read_again() {
    let Some(site) = Site::new() else { return };
    site.file("f", "one");
    let now = std::os::unix::fs::MetadataExt::ctime(&site.path("context/f").metadata().unwrap());
    let (before, after) = [now, now + 1]
        .map(|now| {
            site.events(Order {
                now,
                caching: Caching::refreshed(),
                ..Order::from("FROM scratch\nCOPY f /\n")
            });
            fs::metadata(note(&site)).unwrap().len()
        })
        .into();
    assert!(
        before < after,
        "{before} {after}: the file is trusted one second later"
    );
}

#[test]
fn a_command_that_had_too_much_memory_fails_for_that_reason_unless_it_succeeds() {
    let Some(site) = Site::new() else { return };
    let failure = site.failure("FROM scratch\nRUN starve 137\n");
    let reason = "the command exited with status 137: it needs more memory than it may have";
    assert!(failure.contains(reason), "{failure}");
    assert!(site.build("FROM scratch\nRUN starve 0\n").result.is_ok());
}

#[test]
fn a_failing_build_remembers_the_digests_of_the_context() {
    let Some(site) = Site::new() else { return };
    site.file("f", "one");
    site.failure("FROM scratch\nCOPY f /\nRUN fail 1\n");
    assert!(fs::metadata(note(&site)).unwrap().len() > 48);
}

#[test]
fn c22_a_linked_copy_is_the_same_on_every_base() {
    check(
        "FROM scratch\nRUN write /x 1\nCOPY --link f /d/\nRUN say a\n",
        |_| {},
        "FROM scratch\nRUN write /x 2\nCOPY --link f /d/\nRUN say a\n",
        &expect![[r#"
            started RUN write /x 2
            finished RUN write /x 2
            cached COPY --link f /d/
            started RUN say a
              Stdout "a"
            finished RUN say a
        "#]],
    );
}

#[test]
fn c22_a_linked_copy_of_other_content_is_another_one() {
    check_edit(
        "FROM scratch\nRUN write /x 1\nCOPY --link f /d/\n",
        |site| site.file("f", "other"),
        &expect![[r#"
            cached RUN write /x 1
            started COPY --link f /d/
            finished COPY --link f /d/
        "#]],
    );
}

#[test]
fn c22_a_linked_copy_can_be_there_twice() {
    let twice = "FROM scratch\nCOPY --link f /d/\nRUN rm /d/f\nCOPY --link f /d/\nRUN write /x 1\n";
    let Some(site) = Site::new() else { return };
    for content in ["one", "two"] {
        site.file("f", content);
        for _ in 0..2 {
            let state = site.state(twice);
            assert!(site.tree(&state.layers).to_string().contains("/d/f"));
        }
    }
}

#[test]
fn each_layer_is_told_of_when_it_is_frozen() {
    let Some(site) = Site::new() else { return };
    let dockerfile = "FROM scratch\nRUN write /x 1\nRUN nothing\nRUN write /y 1\n";
    let built = site.build(dockerfile);
    let layers = built.result.unwrap().pop().unwrap().layers;
    assert_eq!(built.frozen, layers);
    assert_eq!(site.build(dockerfile).frozen, [], "they were frozen before");
}

#[test]
fn t43_what_a_bind_mount_hides_is_no_reason() {
    let Some(site) = Site::new() else { return };
    site.file(".dockerignore", "secret\n.dockerignore\n");
    site.file("f", "1");
    site.file("secret", "1");
    let dockerfile = "FROM scratch\nRUN --mount=type=bind,target=/m write /x 1\n";
    let executed = |content: &str, of: &str| {
        site.file(of, content);
        site.events(dockerfile).starts_with("start")
    };
    assert!(executed("1", "f"));
    assert!(!executed("2", "secret"));
    assert!(executed("2", "f"));
}
