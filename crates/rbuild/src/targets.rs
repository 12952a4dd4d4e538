//! `--target` and `--tag`: which stages become images, and what those are called.
//!
//! Knows: which name belongs to which target. Does not know: which stages there are.
//!
//! Spec: cli.md 2.1, wish 17.

use rbuild_oci::Name;

use crate::{failure::Failure, find::new_name};

/// One image to be.
#[derive(Debug)]
pub struct Target {
    /// Name or number of its stage; `None` means the last one.
    pub stage: Option<String>,
    /// What it is called.
    pub names: Vec<Name>,
}

/// The images that `--target STAGE[=NAME]` and `--tag NAME` ask for, at least one, in the order
/// of the targets.
///
/// Names of `--tag` belong to the only target, or to the only one without a name of its own.
///
/// # Errors
/// If a name is none, is given to two targets, or could belong to several.
pub fn understood(targets: &[String], tags: &[String]) -> Result<Vec<Target>, Failure> {
    let tags = tags.iter().map(|tag| new_name(tag));
    let mut tags: Vec<Name> = tags.collect::<Result<_, _>>()?;
    let images = targets.iter().map(|text| target(text));
    let mut images: Vec<Target> = images.collect::<Result<_, _>>()?;
    match &mut images[..] {
        [] => images.push(Target {
            stage: None,
            names: tags,
        }),
        [only] => only.names.append(&mut tags),
        _ if tags.is_empty() => {}
        several => {
            let mut nameless = several.iter_mut().filter(|it| it.names.is_empty());
            match (nameless.next(), nameless.next()) {
                (Some(only), None) => only.names.append(&mut tags),
                (first, _) => return Err(ambiguous(&tags[0], first.is_some())),
            }
        }
    }
    refuse_twice(&images)?;
    Ok(images)
}

fn target(text: &str) -> Result<Target, Failure> {
    let (stage, names) = match text.split_once('=') {
        Some((stage, name)) => (stage, vec![new_name(name)?]),
        None => (text, Vec::new()),
    };
    if stage.is_empty() {
        return Err(Failure::message(format!(
            "--target `{text}` names no stage"
        )));
    }
    Ok(Target {
        stage: Some(stage.to_owned()),
        names,
    })
}

fn ambiguous(tag: &Name, several: bool) -> Failure {
    let why = match several {
        true => "could be for several targets",
        false => "is for no target: each has a name of its own",
    };
    Failure::message(format!("--tag `{tag}` {why}"))
        .with_hint("`--target STAGE=NAME` says which stage a name is for")
}

fn refuse_twice(images: &[Target]) -> Result<(), Failure> {
    for (index, image) in images.iter().enumerate() {
        let later = images[index + 1..].iter().flat_map(|it| &it.names);
        if let Some(name) = later.into_iter().find(|name| image.names.contains(name)) {
            return Err(Failure::message(format!("two targets are called `{name}`")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::understood;

    /// `targets` and `tags` are separated by spaces.
    #[track_caller]
    fn check(targets: &str, tags: &str, expected: Option<&str>) {
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let found = understood(&words(targets), &words(tags)).ok().map(|found| {
            let shown = found.iter().map(|target| {
                let names: Vec<String> = target.names.iter().map(ToString::to_string).collect();
                let stage = target.stage.as_deref().unwrap_or("last");
                format!("{stage}={}", names.join(","))
            });
            shown.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn wish_17_each_target_has_its_names() {
        check("", "", Some("last="));
        check(
            "",
            "x y",
            Some("last=localhost/x:latest,localhost/y:latest"),
        );
        check("a", "x", Some("a=localhost/x:latest"));
        check("a=x", "y", Some("a=localhost/x:latest,localhost/y:latest"));
        check(
            "a=x b=y:1",
            "",
            Some("a=localhost/x:latest b=localhost/y:1"),
        );
        check(
            "a b=y",
            "x",
            Some("a=localhost/x:latest b=localhost/y:latest"),
        );
        check("a b", "", Some("a= b="));
        check(
            "a=x a=y",
            "",
            Some("a=localhost/x:latest a=localhost/y:latest"),
        );
    }

    #[test]
    fn wish_17_what_is_ambiguous_is_refused() {
        check("a b", "x", None);
        check("a=x b=y", "z", None);
        check("a=x b=x", "", None);
        check("a b=x", "x", None);
        check("=x", "", None);
        check("a=", "", None);
        check("a=X", "", None);
    }
}
