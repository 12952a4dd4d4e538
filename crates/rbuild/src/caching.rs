//! `--no-cache`, `--no-cache-filter`, `--cache-ttl`, `--require-cached`: which results count.
//!
//! Knows: how they are written, and which stages there are. Does not know: what a result is.
//!
//! Spec: cli.md 2.2, wish 7.

use std::collections::BTreeSet;

use rbuild_dockerfile::{Dockerfile, suggest::did_you_mean};
use rbuild_engine::{Caching, Stages};
use rbuild_plan::{Plan, StageId};

use crate::{amount, cli::StepArgs, failure::Failure};

/// What the flags say; stages are names.
pub struct CacheWish {
    all_refreshed: bool,
    refreshed: Vec<String>,
    max_age: Option<i64>,
    required: Vec<String>,
}

impl CacheWish {
    /// What `args` say.
    ///
    /// # Errors
    /// If the duration is none.
    pub fn of(args: &StepArgs) -> Result<Self, Failure> {
        let age = |text: &String| match text.trim() {
            "0" => Ok(0),
            text => amount::seconds(text).ok_or_else(|| {
                Failure::message(format!("--cache-ttl `{text}` is not a duration"))
                    .with_hint("write it like 90s, 24h or 7d")
            }),
        };
        let max_age = args.cache_ttl.as_ref().map(age).transpose()?;
        Ok(Self {
            all_refreshed: args.no_cache || max_age == Some(0),
            refreshed: args.no_cache_filter.clone(),
            max_age,
            required: args.require_cached.clone(),
        })
    }

    /// The same for the stages of `plan`, which `file` became.
    ///
    /// # Errors
    /// If there is no stage of a name.
    pub fn for_plan(&self, file: &Dockerfile, plan: &Plan) -> Result<Caching, Failure> {
        let named = |flag: &str, names: &[String]| {
            let ids = names.iter().map(|name| stage((flag, name), file, plan));
            let ids = ids.collect::<Result<BTreeSet<_>, Failure>>()?;
            Ok::<_, Failure>(Stages::Only(ids.into_iter().flatten().collect()))
        };
        Ok(Caching {
            refreshed: match self.all_refreshed {
                true => Stages::All,
                false => named("--no-cache-filter", &self.refreshed)?,
            },
            max_age: self.max_age,
            required: match self.required.iter().any(String::is_empty) {
                true => Stages::All,
                false => named("--require-cached", &self.required)?,
            },
        })
    }
}

/// The stage that `flag` calls `name`; `None` if it is not built.
fn stage(
    (flag, name): (&str, &str),
    file: &Dockerfile,
    plan: &Plan,
) -> Result<Option<StageId>, Failure> {
    let names = || {
        file.stages
            .iter()
            .map(|stage| stage.name.as_ref().map(|it| &it.value[..]))
    };
    let is_named = |of: Option<&str>| of.is_some_and(|of| of.eq_ignore_ascii_case(name));
    let number = name
        .parse()
        .ok()
        .filter(|number| *number < file.stages.len());
    let Some(index) = names().position(is_named).or(number) else {
        let failure = Failure::message(format!("{flag} `{name}` names no stage"));
        return Err(match did_you_mean(name, names().flatten()) {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        });
    };
    let ids = (0..).map(StageId).zip(&plan.stages);
    Ok(ids
        .filter(|(_, stage)| stage.index == index)
        .map(|(id, _)| id)
        .next())
}

#[cfg(test)]
mod tests {
    use rbuild_engine::Stages;
    use rbuild_plan::{Inputs, Planning, plan};

    use super::CacheWish;

    /// Which stages of a file with the targets `a`, `unused` and the last one are refreshed.
    #[track_caller]
    fn check(names: &[&str], expected: Option<&[u32]>) {
        let text = "FROM scratch AS a\nFROM scratch AS unused\nFROM a\nRUN x\n";
        let (file, _) = rbuild_dockerfile::parse(text);
        let Planning::Ready(plan) = plan(&file, text, &Inputs::default()) else {
            unreachable!("it needs nothing");
        };
        let wish = CacheWish {
            all_refreshed: false,
            refreshed: names.iter().map(ToString::to_string).collect(),
            max_age: None,
            required: Vec::new(),
        };
        let found = wish
            .for_plan(&file, &plan)
            .ok()
            .map(|caching| match caching.refreshed {
                Stages::Only(ids) => ids.iter().map(|id| id.0).collect::<Vec<_>>(),
                other => unreachable!("{other:?}"),
            });
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn k2_stages_are_named_or_numbered() {
        check(&[], Some(&[]));
        check(&["A"], Some(&[0]));
        check(&["0", "2"], Some(&[0, 1]));
        check(&["unused"], Some(&[]));
        check(&["b"], None);
        check(&["3"], None);
    }
}
