//! Results of other machines: what they change here, and what they do not.

use std::{fs, path::PathBuf};

use expect_test::expect;
use rbuild_plan::Key;
use serde_json::json;

use crate::{
    layout::Layout,
    site::{Order, Site},
};

const OTHER: &str = "FROM scratch AS a\nRUN write /x other\nFROM scratch\nCOPY --from=a /f /\n";

/// What the steps of `dockerfile` are looked up by, on a machine of its own.
fn keys(dockerfile: &str) -> Option<Vec<Vec<Key>>> {
    let built = Site::new()?.build(dockerfile);
    Some(built.recorded.into_iter().map(|(keys, _)| keys).collect())
}

/// A layout that says that the file `/f` is the result of all that has one of `keys`, and that the
/// state is the last of them.
fn import(site: &Site, keys: &[Key]) -> (Layout, PathBuf) {
    let path = site.path("import");
    let mut layout = Layout::new(&path);
    let keys: Vec<String> = keys.iter().map(Key::to_string).collect();
    let step = json!({ "keys": keys, "state": keys.last(), "layer": 0, "created": i64::MAX });
    layout.config["io.rbuild.cache.v1"] = json!({ "steps": [step] });
    layout.describe();
    layout.write();
    (layout, path)
}

#[test]
fn an_import_does_not_replace_what_is_known_here() {
    let Some(site) = Site::new() else { return };
    let own = "FROM scratch\nRUN write /x own\n";
    let known = site.build(own).recorded[0].0[0];
    let asked = keys("FROM scratch\nRUN write /x other\n").unwrap()[0][0];
    let (_, path) = import(&site, &[asked, known]);
    let hostile = Order {
        import: Some(&path),
        ..Order::from("FROM scratch\nRUN write /x other\n")
    };
    assert_eq!(site.events(hostile), "cached RUN write /x other\n");
    let state = site.state(own);
    expect![[r#"
        / d 0755 0:0
        /x f 0644 0:0 3 "own"
    "#]]
    .assert_eq(&site.tree(&state.layers).to_string());
}

#[test]
fn what_is_damaged_in_an_import_is_made_here_when_it_is_wanted() {
    let Some(site) = Site::new() else { return };
    let asked = keys("FROM scratch\nRUN write /x other\n").unwrap()[0][0];
    let (layout, path) = import(&site, &[asked]);
    fs::write(layout.blob(&layout.layer), "damaged").unwrap();
    let order = || Order {
        import: Some(&path),
        ..Order::from(OTHER)
    };
    let forecast = site.forecast(order());
    let (warning, forecast) = forecast.split_once('\n').unwrap();
    assert!(warning.starts_with("warning cannot "), "{warning}");
    expect![[r#"
        cached RUN write /x other
        unknown COPY --from=a /f /: Files(StepId(0))
    "#]]
    .assert_eq(forecast);
    let built = site.build(order());
    assert!(
        built.events.contains("started RUN write /x other\n"),
        "{}",
        built.events
    );
}

#[test]
fn results_without_a_change_have_a_time_too() {
    let Some(site) = Site::new() else { return };
    let dockerfile = "FROM scratch\nRUN say nothing\n";
    let first = site.build(dockerfile).recorded;
    assert!(first[0].1 > 0, "{first:?}");
    assert_eq!(site.build(dockerfile).recorded, first);
}
