//! A build with a cache gives what a build without one gives, whatever was edited in between.

use std::fs;

use proptest::{
    prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest},
    sample::Index,
};
use rbuild_engine::Caching;

use crate::site::{Order, Site};

/// Instructions of the first stage.
const FIRST: &[&str] = &[
    "RUN write /a 1",
    "RUN write /a 2; chown 5:6 /a",
    "RUN mkdir /d; write /d/x 1",
    "RUN join /a /e",
    "RUN env /e",
    "ENV A=1",
    "ENV A=2",
    "ARG A=3",
    "WORKDIR /d",
    "COPY . /c",
    "COPY f* /d/",
    "COPY d e* /d/",
    "LABEL a=b",
];

/// Instructions of the second one.
const SECOND: &[&str] = &[
    "RUN join /log /d/f",
    "RUN append /log x",
    "RUN rm /d",
    "COPY --from=a / /d/",
    "COPY --from=a --chown=7 /a* /d/",
    "COPY --from=a /c /",
    "COPY d/../f /d/f",
    "COPY --chmod=700 d /d",
    "COPY l /",
    "WORKDIR sub",
    "USER 5",
    "USER 0",
];

/// What happens to the context between two builds.
const EDITS: &[fn(&Site)] = &[
    |_| {},
    |site| site.file("f", "1"),
    |site| site.file("f", "2"),
    |site| site.file("d/f", "1"),
    |site| site.file("d/g", "2"),
    |site| site.file("e1", ""),
    |site| site.file(".dockerignore", "d/g"),
    |site| site.file(".dockerignore", "*\n!d\n!f\n!l"),
    |site| drop(fs::remove_file(site.path("context/.dockerignore"))),
    |site| drop(fs::remove_file(site.path("context/d/g"))),
    |site| {
        let (f, g) = (site.path("context/f"), site.path("context/g"));
        drop(fs::rename(&g, site.path("context/h")));
        drop(fs::rename(&f, &g));
        drop(fs::rename(site.path("context/h"), &f));
    },
    |site| {
        drop(fs::remove_file(site.path("context/l")));
        site.link("f", "l");
    },
    |site| {
        drop(fs::remove_file(site.path("context/l")));
        site.link("d", "l");
    },
];

fn dockerfile(first: &[Index], second: &[Index]) -> String {
    let lines = |of: &[&str], picks: &[Index]| {
        let picked: Vec<&str> = picks.iter().map(|pick| *pick.get(of)).collect();
        picked.join("\n")
    };
    format!(
        "FROM scratch AS a\n{}\nFROM scratch\nRUN write /log begin\n{}\n",
        lines(FIRST, first),
        lines(SECOND, second)
    )
}

/// The trees of all steps, or why there are none.
fn outcome(site: &Site, dockerfile: &str, caching: Caching) -> String {
    let order = Order {
        caching,
        ..dockerfile.into()
    };
    match site.build(order).result {
        Ok(states) => states
            .iter()
            .map(|state| format!("{}--\n", site.tree(&state.layers)))
            .collect(),
        Err(error) => crate::site::causes(&error),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cached_builds_equal_fresh_ones(
        builds in prop::collection::vec(
            (
                prop::collection::vec(any::<Index>(), 0..4),
                prop::collection::vec(any::<Index>(), 0..5),
                any::<Index>(),
            ),
            2..6,
        ),
    ) {
        let (Some(kept), Some(fresh)) = (Site::new(), Site::new()) else { return Ok(()) };
        for (first, second, edit) in builds {
            for site in [&kept, &fresh] {
                edit.get(EDITS)(site);
            }
            let text = dockerfile(&first, &second);
            let cached = outcome(&kept, &text, Caching::default());
            prop_assert_eq!(cached, outcome(&fresh, &text, Caching::refreshed()), "{}", text);
        }
    }
}
