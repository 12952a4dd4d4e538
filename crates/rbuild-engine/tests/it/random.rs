//! A build with a cache gives what a build without one gives, whatever was edited in between.

use std::{fs, num::NonZero};

use proptest::{
    prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest},
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
    "RUN --mount=target=/m seen /m /e",
    "RUN --mount=target=/m,source=d,rw seen /m /a",
    "RUN --mount=type=cache,target=/m nothing",
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
    "COPY --link f /d/",
    "COPY --link --from=a /a* /e* /linked/",
    "RUN --mount=from=a,target=/m seen /m /log",
    "RUN --mount=from=a,source=/d,target=/m seen /m /log",
    "ARG A=5\nRUN env /env",
    "COPY --exclude=g d /excluded",
    "COPY --parents d/f* /",
];

/// `--build-arg`.
const ARGS: [&[(&str, &str)]; 3] = [&[], &[("A", "3")], &[("A", "6")]];

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
    delete_layers,
    delete_layers,
];

/// Deletes about half of the layers.
fn delete_layers(site: &Site) {
    let layers = fs::read_dir(site.path("store/layers"));
    for layer in layers.into_iter().flatten().flatten() {
        if layer.file_name().as_encoded_bytes()[0] % 2 == 0 {
            fs::remove_dir_all(layer.path()).unwrap();
        }
    }
}

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

/// The trees of all steps and which of them have a layer in the history, or why there are none; `gone`
/// is what a step is whose files nobody wanted.
fn outcome(site: &Site, order: Order<'_>) -> Vec<String> {
    let is_here = |layer| site.path(&format!("store/layers/{layer}")).exists();
    let parallel = order.jobs.get() > 1;
    match site.build(order).result {
        Ok(states) => states
            .iter()
            .map(|state| match state.layers.iter().all(is_here) {
                true => format!("{}{}", site.tree(&state.layers), state.added.is_some()),
                false => "gone".to_owned(),
            })
            .collect(),
        // Of several steps that must fail, any may be the first.
        Err(_) if parallel => vec!["failed".to_owned()],
        Err(error) => vec![crate::site::causes(&error)],
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
                (any::<Index>(), any::<bool>()),
            ),
            2..6,
        ),
    ) {
        let (Some(kept), Some(fresh)) = (Site::new(), Site::new()) else { return Ok(()) };
        for (first, second, edit, (args, parallel)) in builds {
            for site in [&kept, &fresh] {
                edit.get(EDITS)(site);
            }
            let text = dockerfile(&first, &second);
            let args: &&[(&str, &str)] = args.get(&ARGS[..]);
            let order = |caching| Order {
                args,
                caching,
                jobs: NonZero::new(1 + 3 * usize::from(parallel)).unwrap(),
                ..text[..].into()
            };
            let cached = outcome(&kept, order(Caching::default()));
            let expected = outcome(&fresh, order(Caching::refreshed()));
            prop_assert_eq!(cached.len(), expected.len());
            prop_assert_eq!(cached.last(), expected.last(), "{}", text);
            for (cached, expected) in cached.iter().zip(&expected) {
                prop_assert!(cached == expected || cached == "gone", "{}", text);
            }
        }
    }
}
