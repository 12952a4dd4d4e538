//! Files made of random lines: planning always answers, and its answer is well formed.

use proptest::prelude::{any, prop, prop_assert, proptest};
use proptest::sample::Index;
use rbuild_oci::ImageConfig;
use rbuild_plan::{
    BaseImage, Extent, Inputs, Planning, Tree, dump, lookups, outline, plan, survey,
};

/// Right and wrong ones, with names that refer to each other.
const LINES: &[&str] = &[
    "FROM scratch AS a",
    "FROM a AS b",
    "FROM B",
    "FROM alpine AS a",
    "FROM $V",
    "FROM --platform=$BUILDPLATFORM b AS alpine",
    "ARG V=a W",
    "ARG V",
    "ENV V=$W W=$V",
    "ENV ${V:-x}=1",
    "LABEL a=$V",
    "RUN x",
    "RUN [\"x\"]",
    "WORKDIR $V/..",
    "USER $V",
    "EXPOSE 80-82 $W",
    "STOPSIGNAL KILL",
    "VOLUME /a $V",
    "SHELL [\"s\"]",
    "CMD c",
    "ENTRYPOINT e",
    "COPY --from=a /x /y",
    "COPY --from=0 . .",
    "COPY --from=alpine --chown=$V x y/",
    "COPY --chmod=7 a b /",
    "ONBUILD COPY --from=a x /",
    "ONBUILD ARG V=b",
    "COPY --from=$V x /",
    "RUN --mount=from=b,target=/m x",
    "FROM --after=a alpine AS b",
];

proptest! {
    #[test]
    fn planning_always_answers(
        picks in prop::collection::vec(any::<Index>(), 0..20),
        targets in prop::collection::vec("[ab0-3]", 0..3),
        all: bool,
    ) {
        let lines: Vec<&str> = picks.iter().map(|pick| *pick.get(LINES)).collect();
        let text = format!("FROM scratch\n{}\n", lines.join("\n"));
        let (file, _) = rbuild_dockerfile::parse(&text);
        let extent = if all { Extent::All } else { Extent::Needed };
        let mut inputs = Inputs { targets, extent, ..Inputs::default() };
        if let Some(plan) = survey(&file, &text, &inputs).plan {
            prop_assert!(lookups(&file, &plan).iter().all(|it| text.get(it.span.clone()).is_some()));
            outline(&file, &plan, &inputs);
        }
        for _ in 0..2 {
            let missing = match plan(&file, &text, &inputs) {
                Planning::Needs(missing) => missing,
                Planning::Rejected(diagnostics) => {
                    prop_assert!(!diagnostics.is_empty());
                    return Ok(());
                }
                Planning::Ready(plan) => {
                    prop_assert!(plan.targets.len() == inputs.targets.len().max(1));
                    for target in plan.targets.iter().map(|&id| plan.stage(id)) {
                        let layers = target.history.iter().filter_map(|entry| entry.step).max();
                        if let Tree::Step(last) = target.tree {
                            prop_assert!(layers == Some(last), "{}", dump(&plan));
                        }
                    }
                    return Ok(());
                }
            };
            prop_assert!(!missing.is_empty());
            for image in missing {
                let tree_key = image.to_string();
                let config = ImageConfig::default();
                inputs.bases.insert(image, BaseImage { tree_key, config });
            }
        }
        prop_assert!(false, "the same images are asked for again");
    }
}
