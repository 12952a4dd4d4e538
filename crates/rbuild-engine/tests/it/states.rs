//! The state after each step: how many layers, and what is in them.

use expect_test::{Expect, expect};

use crate::site::Site;

/// Builds and checks how many layers there are after each step.
#[track_caller]
fn check(dockerfile: &str, expected: &[usize]) {
    let Some(site) = Site::new() else { return };
    site.file("f", "one");
    std::fs::create_dir(site.path("context/empty")).unwrap();
    for run in ["first", "cached"] {
        let states = site.build(dockerfile).result.unwrap();
        let layers: Vec<usize> = states.iter().map(|state| state.layers.len()).collect();
        assert_eq!(layers, expected, "{run}");
    }
}

#[test]
fn each_step_that_changes_files_adds_a_layer() {
    check(
        "FROM scratch\nRUN write /a a\nCOPY f /\nWORKDIR /w\n",
        &[1, 2, 3],
    );
    check("FROM scratch\nRUN write /a a\nRUN rm /a\n", &[1, 2]);
    check("FROM scratch\nRUN write /a a\nRUN chmod 600 /a\n", &[1, 2]);
    check("FROM scratch\nRUN chmod 700 /\nRUN nothing\n", &[1, 1]);
}

#[test]
fn a_step_that_changed_nothing_adds_no_layer() {
    check("FROM scratch\nRUN nothing\n", &[0]);
    check(
        "FROM scratch\nRUN write /a a\nRUN say a\nRUN write /b b\n",
        &[1, 1, 2],
    );
    check(
        "FROM scratch\nRUN mkdir /w\nWORKDIR /w\nWORKDIR /\n",
        &[1, 1],
    );
    check("FROM scratch\nRUN write /a a; rm /a\n", &[0]);
    check("FROM scratch\nCOPY *.none /d\n", &[0]);
}

#[test]
fn an_empty_directory_is_copied_as_its_content_and_makes_the_destination() {
    check("FROM scratch\nCOPY empty /d\n", &[1]);
}

#[test]
fn stages_stand_on_the_layers_of_their_base() {
    check(
        "FROM scratch AS a\nRUN write /a a\nFROM a AS b\nRUN write /b b\nFROM a\nCOPY --from=b /b /\n",
        &[1, 2, 2],
    );
}

/// What the layer of the last step holds, as it is on disk; a `3` is a deletion.
#[track_caller]
fn check_layer(dockerfile: &str, expected: &Expect) {
    let Some(site) = Site::new() else { return };
    let state = site.state(dockerfile);
    let (layer, _) = state.added.unwrap();
    let diff = site.store.layer(&layer).unwrap().unwrap().diff;
    let mut out = String::new();
    list(&diff, "", &mut out);
    expected.assert_eq(&out);
}

fn list(dir: &rbuild_sys::Dir, path: &str, out: &mut String) {
    for entry in dir.entries().unwrap() {
        let path = format!("{path}/{}", String::from_utf8_lossy(&entry.name));
        let stat = dir.stat(&entry.name).unwrap();
        let opaque = dir.xattr(&entry.name, b"user.overlay.opaque").unwrap();
        let note = match (stat.is_whiteout(), opaque) {
            (true, _) => " deleted",
            (_, Some(_)) => " opaque",
            _ => "",
        };
        out.push_str(&format!("{path} {:?}{note}\n", stat.kind));
        if stat.is_dir() {
            list(&dir.child(&entry.name).unwrap(), &path, out);
        }
    }
}

#[test]
fn a_layer_holds_what_its_step_changed_and_no_more() {
    check_layer(
        "FROM scratch\nRUN write /a a; mkdir /d; write /d/e e; write /d/f f\n\
         RUN rm /a; append /d/e e; rm /d/f\n",
        &expect![[r#"
            /a CharDevice deleted
            /d Directory
            /d/e File
            /d/f CharDevice deleted
        "#]],
    );
}

#[test]
fn a_directory_that_was_made_anew_hides_the_old_one() {
    check_layer(
        "FROM scratch\nRUN mkdir /d; write /d/e e\nRUN rm /d; mkdir /d; write /d/f f\n",
        &expect![[r#"
            /d Directory opaque
            /d/f File
        "#]],
    );
}

#[test]
fn a_command_sees_its_environment_and_home() {
    let Some(site) = Site::new() else { return };
    let state = site.state("FROM scratch\nARG A=1\nENV B=2 A=3\nRUN env /e\n");
    let env = site.look(&state.layers, |root| {
        std::io::read_to_string(root.read(b"e").unwrap()).unwrap()
    });
    expect![[r#"
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        B=2
        A=3
        HOME=/"#]]
    .assert_eq(&env);
}
