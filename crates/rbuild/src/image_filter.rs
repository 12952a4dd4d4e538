//! `images --filter`: which images are listed.
//!
//! Filters of one kind are alternatives, kinds must all fit, as in podman.

use std::collections::BTreeMap;

use rbuild_oci::Name;
use rbuild_store::Store;

use crate::{amount::seconds_ago, failure::Failure, find::find, settings};

/// What a listed image must be like.
#[derive(Debug, Default)]
pub struct ImageFilter {
    dangling: Option<bool>,
    labels: Vec<(String, Option<String>)>,
    not_labels: Vec<(String, Option<String>)>,
    references: Vec<String>,
    /// How ids may begin.
    ids: Vec<String>,
    /// Something is wanted that no image is.
    is_impossible: bool,
    /// Times of images that it must be older than, seconds since 1970.
    before: Option<i64>,
    /// The same, younger.
    since: Option<i64>,
}

/// What filters look at.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// `None` if the image has none.
    pub name: Option<&'a Name>,
    /// Digits of its id.
    pub id: &'a str,
    /// The image's labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Seconds since 1970; 0 if the image does not say.
    pub created: i64,
}

impl ImageFilter {
    /// Understands the flags; `created` says when an image was made.
    ///
    /// # Errors
    /// For a filter that is not known, or an image that is not there.
    pub fn parse(
        flags: &[String],
        store: &Store,
        created: &dyn Fn(&str) -> Option<i64>,
    ) -> Result<Self, Failure> {
        let mut filter = Self::default();
        let time = |text: &str| -> Result<i64, Failure> {
            Ok(created(&find(store, text)?.record.config).unwrap_or(0))
        };
        for flag in flags {
            let bad =
                |why: &str| Failure::message(format!("cannot understand --filter `{flag}`: {why}"));
            let (key, value) = flag.split_once('=').ok_or_else(|| bad("it has no `=`"))?;
            let truth = || value.parse().map_err(|_| bad("it is true or false"));
            match key {
                "dangling" => filter.dangling = Some(truth()?),
                // Neither are there here.
                "readonly" | "intermediate" => filter.is_impossible |= truth()?,
                "label" => filter.labels.push(pair(value)),
                "label!" => filter.not_labels.push(pair(value)),
                "id" => filter
                    .ids
                    .push(value.trim_start_matches("sha256:").to_owned()),
                "until" => {
                    let now = settings::now();
                    let ago = seconds_ago(value, now).ok_or_else(|| bad("it is no time"))?;
                    filter.precede(now.saturating_sub(ago));
                }
                "reference" => filter.references.push(value.to_owned()),
                "before" => filter.precede(time(value)?),
                "since" | "after" => filter.since = Some(time(value)?),
                _ => {
                    return Err(bad(
                        "there are dangling, label, label!, reference, id, before, since, until, readonly and intermediate",
                    ));
                }
            }
        }
        Ok(filter)
    }

    /// Lets only images fit that are older than `time`, too.
    fn precede(&mut self, time: i64) {
        self.before = Some(self.before.map_or(time, |other| other.min(time)));
    }

    /// Whether `image` is listed.
    pub fn fits(&self, image: &Candidate<'_>) -> bool {
        let labelled = |(key, value): &(String, Option<String>)| {
            let found = image.labels.get(key);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        let called = |pattern: &String| {
            image
                .name
                .is_some_and(|name| forms(name).iter().any(|form| fits(pattern, form)))
        };
        let is_meant = |start: &String| image.id.starts_with(start.as_str());
        !self.is_impossible
            && self
                .dangling
                .is_none_or(|wanted| wanted == image.name.is_none())
            && self.labels.iter().all(labelled)
            && !self.not_labels.iter().any(labelled)
            && (self.ids.is_empty() || self.ids.iter().any(is_meant))
            && (self.references.is_empty() || self.references.iter().any(called))
            && self.before.is_none_or(|time| image.created < time)
            && self.since.is_none_or(|time| image.created > time)
    }
}

/// `KEY[=VALUE]`.
fn pair(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// What a pattern may mean by a name: all of it, without its tag, and both without what leads to
/// the last component.
fn forms(name: &Name) -> [&str; 4] {
    let (whole, repository) = (name.as_str(), name.repository());
    let last = repository.rfind('/').map_or(0, |slash| slash + 1);
    [whole, repository, &whole[last..], &repository[last..]]
}

/// Whether `text` fits the shell pattern: `*` is anything but slashes, `?` any character but one.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    let mut text_rest = text.chars();
    match pattern_rest.next() {
        None => text.is_empty(),
        Some('*') => {
            fits(pattern_rest.as_str(), text)
                || text_rest.next().is_some_and(|c| c != '/') && fits(pattern, text_rest.as_str())
        }
        Some('?') => {
            text_rest.next().is_some_and(|c| c != '/')
                && fits(pattern_rest.as_str(), text_rest.as_str())
        }
        Some(literal) => {
            text_rest.next() == Some(literal) && fits(pattern_rest.as_str(), text_rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use rbuild_oci::Name;

    use super::{Candidate, ImageFilter};

    #[track_caller]
    fn check(filter: &ImageFilter, name: Option<&str>, expected: bool) {
        let name = name.and_then(Name::parse);
        let labels = [("k".to_owned(), "v".to_owned())].into();
        let candidate = Candidate {
            name: name.as_ref(),
            id: "0123456789ab",
            labels: &labels,
            created: 100,
        };
        assert_eq!(filter.fits(&candidate), expected, "{filter:?}");
    }

    #[test]
    fn references_are_patterns_of_the_name_or_its_end() {
        for (pattern, expected) in [
            ("quay.io/team/app:1", true),
            ("quay.io/team/app", true),
            ("app", true),
            ("app:1", true),
            ("a*", true),
            ("ap?:*", true),
            ("quay.io/*/app", true),
            ("quay.io/*", false),
            ("team/app", false),
            ("app:2", false),
        ] {
            let filter = ImageFilter {
                references: vec![pattern.to_owned()],
                ..ImageFilter::default()
            };
            check(&filter, Some("quay.io/team/app:1"), expected);
        }
    }

    #[test]
    fn labels_times_and_names_must_all_fit() {
        let label = |key: &str, value: Option<&str>| ImageFilter {
            labels: vec![(key.to_owned(), value.map(str::to_owned))],
            ..ImageFilter::default()
        };
        check(&label("k", None), None, true);
        check(&label("k", Some("v")), None, true);
        check(&label("k", Some("w")), None, false);
        check(&label("x", None), None, false);
        let unlabelled = |key: &str| ImageFilter {
            not_labels: vec![(key.to_owned(), None)],
            ..ImageFilter::default()
        };
        check(&unlabelled("k"), None, false);
        check(&unlabelled("x"), None, true);
        for (id, expected) in [("0123", true), ("123", false)] {
            let ids = vec!["ffff".to_owned(), id.to_owned()];
            let filter = ImageFilter {
                ids,
                ..ImageFilter::default()
            };
            check(&filter, None, expected);
        }
        let impossible = ImageFilter {
            is_impossible: true,
            ..ImageFilter::default()
        };
        check(&impossible, None, false);
        let dangling = |wanted| ImageFilter {
            dangling: Some(wanted),
            ..ImageFilter::default()
        };
        check(&dangling(true), None, true);
        check(&dangling(true), Some("localhost/a:1"), false);
        check(&dangling(false), Some("localhost/a:1"), true);
        let times = |before, since| ImageFilter {
            before,
            since,
            ..ImageFilter::default()
        };
        check(&times(Some(101), Some(99)), None, true);
        check(&times(Some(100), None), None, false);
        check(&times(None, Some(100)), None, false);
    }
}
