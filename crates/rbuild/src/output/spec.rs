//! `type=TYPE,KEY=VALUE…`: how an output is written on the command line.
//!
//! Knows: the spelling, and what makes no sense at a place of that kind whatever is built.
//! Does not know: how anything is written there.
//!
//! Spec: cli.md 2.7.

use std::path::Path;

use rbuild_dockerfile::comma_separated;
use rbuild_export::{Looks, Others};
use rbuild_http::Security;
use rbuild_oci::{Format, LocalPlace, Location, Name};

use super::{Kind, Output, Tags, remarks::Remarks};
use crate::{
    attributes::{compress, flag},
    target::Target,
};

/// The attributes of a `--output`, as written.
#[derive(Default)]
struct Attributes<'a> {
    kind: Option<&'a str>,
    destination: Option<&'a str>,
    names: Vec<&'a str>,
    push: bool,
    tags: Tags,
    security: Option<Security>,
    is_tar: Option<bool>,
    rewrite: Option<bool>,
    split: Option<bool>,
    others: Option<Others>,
    looks: Looks,
    remarks: Remarks,
}

/// Understands `type=TYPE,KEY=VALUE…`, or just `DIR` or `-` (a tar of the files).
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(spec: &str) -> Result<Output, String> {
    let fields = fields(spec)?;
    let mut attributes = Attributes::default();
    let short = match spec {
        "-" => Some(Kind::Tar(Target::Stdout)),
        _ if !spec.contains('=') && !spec.is_empty() => {
            Some(Kind::Local(spec.into(), Others::Kept))
        }
        _ => None,
    };
    let kind = match short {
        Some(kind) => kind,
        None => {
            for field in &fields {
                attributes.add(field)?;
            }
            attributes.kind()?
        }
    };
    attributes.refuse_pointless(&kind)?;
    Ok(Output {
        kind,
        tags: attributes.tags,
        looks: attributes.looks,
        security: attributes.security,
        remarks: attributes.remarks,
        rewrite: attributes.rewrite,
        split: attributes.split,
    })
}

/// What commas separate; quotes have to be in order.
fn fields(spec: &str) -> Result<Vec<String>, String> {
    let fields = comma_separated(spec).into_iter();
    let checked = fields.map(|field| match field.is_closed {
        true => Ok(field.text),
        false => Err("a quote has no end, or something follows it".to_owned()),
    });
    checked.collect()
}

impl<'a> Attributes<'a> {
    /// Adds `part`; one without a key continues a list of names.
    fn add(&mut self, part: &'a str) -> Result<(), String> {
        let Some((key, value)) = part.split_once('=') else {
            if self.names.is_empty() {
                return Err(format!("`{part}` has no `=`"));
            }
            self.names.push(part);
            return Ok(());
        };
        match key {
            "type" => self.kind = Some(value),
            "dest" => self.destination = Some(value),
            "name" => self.names.extend(value.split(',')),
            "push" => self.push = flag(key, value)?,
            "push-by-digest" => {
                self.tags = match flag(key, value)? {
                    true => Tags::Omitted,
                    false => Tags::Written,
                };
            }
            // What has a name here is found as NAME@DIGEST anyway.
            "name-canonical" => drop(flag(key, value)?),
            "tar" => self.is_tar = Some(flag(key, value)?),
            "platform-split" => self.split = Some(flag(key, value)?),
            "rewrite-timestamp" => self.rewrite = Some(flag(key, value)?),
            "oci-mediatypes" => {
                self.looks.format = Some(match flag(key, value)? {
                    true => Format::Oci,
                    false => Format::Docker,
                });
            }
            "mode" => self.others = Some(others(value)?),
            "registry.insecure" => {
                self.security = flag(key, value)?.then_some(Security::Insecure);
            }
            _ if compress(&mut self.looks.compress, key, value)? => {}
            _ if self.remarks.add(key, value)? => {}
            _ => return Err(format!("`{key}` is not supported")),
        }
        Ok(())
    }

    fn kind(&self) -> Result<Kind, String> {
        let kind = self.kind.ok_or("type= is missing")?;
        let target = || match self.destination {
            Some("") | None => Err("dest= must name a file, or `-` for standard output"),
            Some(path) => Ok(Target::of(Some(Path::new(path)))),
        };
        let directory = || match self.destination {
            Some("" | "-") | None => Err("dest= must name a directory"),
            Some(path) => Ok(path.to_owned()),
        };
        let tag = self.names.first().map(|name| (*name).to_owned());
        let in_directory = self.is_tar == Some(false);
        Ok(match kind {
            "image" | "registry" if self.push || kind == "registry" => {
                let place = |name: &&str| name.parse::<Location>();
                let places = self.names.iter().map(place).collect::<Result<_, _>>();
                Kind::Places(places.map_err(|error| error.to_string())?)
            }
            "image" => Kind::Names(self.new_names()?),
            "oci" if in_directory => Kind::Layout(LocalPlace {
                path: directory()?,
                tag,
                digest: None,
            }),
            "oci" => Kind::OciArchive(target()?, tag),
            "docker" if in_directory => Kind::Directory(directory()?),
            "docker" => Kind::DockerArchive(target()?, self.new_names()?.into_iter().next()),
            "tar" => Kind::Tar(target()?),
            "local" => Kind::Local(directory()?.into(), self.others.unwrap_or_default()),
            other => {
                return Err(format!(
                    "there is no type `{other}`: image, registry, oci, docker, tar and local are"
                ));
            }
        })
    }

    /// Refuses what cannot be obeyed at a place of that kind.
    fn refuse_pointless(&self, kind: &Kind) -> Result<(), String> {
        if self.tags == Tags::Omitted && !matches!(kind, Kind::Places(_)) {
            return Err("`push-by-digest` is for registries".to_owned());
        }
        if self.security.is_some() && !matches!(kind, Kind::Places(_)) {
            return Err(
                "`registry.insecure` is for type=registry, and image with push=true".to_owned(),
            );
        }
        if self.split.is_some() && !matches!(kind, Kind::Local(..) | Kind::Tar(_)) {
            return Err("`platform-split` is for type=local and type=tar".to_owned());
        }
        if self.others.is_some() && !matches!(kind, Kind::Local(..)) {
            return Err("`mode` is for type=local".to_owned());
        }
        let has_words = matches!(
            kind,
            Kind::Names(_) | Kind::Places(_) | Kind::OciArchive(..) | Kind::Layout(_)
        ) && self.looks.format != Some(Format::Docker);
        match self.remarks.is_empty() || has_words {
            true => Ok(()),
            false => Err("there is no place for annotations in it".to_owned()),
        }
    }

    fn new_names(&self) -> Result<Vec<Name>, String> {
        let named = self.names.iter().map(|name| {
            let reference: Result<rbuild_oci::Reference, _> = name.parse();
            reference.map(|reference| reference.local_name())
        });
        named
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())
    }
}

/// What `mode` says of what is in the directory.
fn others(value: &str) -> Result<Others, String> {
    match value {
        "copy" => Ok(Others::Kept),
        "delete" => Ok(Others::Removed),
        _ => Err(format!("`mode` is copy or delete, not `{value}`")),
    }
}

#[cfg(test)]
mod tests {
    use rbuild_export::Others;
    use rbuild_http::Security;

    use super::{Kind, Tags, parse};
    use crate::target::Target;

    #[track_caller]
    fn check(spec: &str, expected: &Kind) {
        assert_eq!(&parse(spec).unwrap().kind, expected, "{spec}");
    }

    fn file(path: &str) -> Target {
        Target::File(path.into())
    }

    #[test]
    fn a_type_says_what_is_written() {
        check(
            "type=oci,dest=a.tar",
            &Kind::OciArchive(file("a.tar"), None),
        );
        check(
            "type=oci,dest=-,name=x:1",
            &Kind::OciArchive(Target::Stdout, Some("x:1".to_owned())),
        );
        let local = |others| Kind::Local("d".into(), others);
        check("dest=d,type=local,mode=copy", &local(Others::Kept));
        check("dest=d,type=local,mode=delete", &local(Others::Removed));
        check("type=tar,dest=f", &Kind::Tar(file("f")));
        check("type=docker,dest=f", &Kind::DockerArchive(file("f"), None));
        check("type=docker,dest=d,tar=false", &Kind::Directory("d".into()));
        check("type=registry", &Kind::Places(Vec::new()));
        let place = |name: &str| name.parse().unwrap();
        check(
            "type=image,name=quay.io/a:1,quay.io/b,push=true",
            &Kind::Places(vec![place("quay.io/a:1"), place("quay.io/b")]),
        );
    }

    #[test]
    fn a_field_in_quotes_may_have_commas() {
        let place = |name: &str| name.parse().unwrap();
        check(
            "type=registry,\"name=quay.io/a:1,quay.io/b\"",
            &Kind::Places(vec![place("quay.io/a:1"), place("quay.io/b")]),
        );
        check(
            "\"type=local\",\"dest=a\"\"b,c\"",
            &Kind::Local("a\"b,c".into(), Others::Kept),
        );
        for bad in ["\"type=registry", "\"type=registry\"x", "\"\"\""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_alone_is_a_directory_and_a_dash_a_tar() {
        check("out", &Kind::Local("out".into(), Others::Kept));
        check("-", &Kind::Tar(Target::Stdout));
    }

    #[test]
    fn jobs_of_a_matrix_push_by_digest_alone() {
        let spec = "type=image,name=quay.io/a,push-by-digest=true,name-canonical=true,push=true";
        assert_eq!(parse(spec).unwrap().tags, Tags::Omitted);
        assert_eq!(parse("type=registry").unwrap().tags, Tags::Written);
    }

    #[test]
    fn a_registry_is_trusted_further_only_where_that_is_said() {
        for (spec, expected) in [
            ("type=registry", None),
            ("type=registry,registry.insecure=false", None),
            (
                "type=image,name=quay.io/a,push=true,registry.insecure=true",
                Some(Security::Insecure),
            ),
            (
                "type=registry,registry.insecure=1",
                Some(Security::Insecure),
            ),
        ] {
            assert_eq!(parse(spec).unwrap().security, expected, "{spec}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for spec in [
            "",
            "type=oci",
            "type=local,dest=-",
            "type=oci,dest=d,tar=maybe",
            "type=oci,dest=x,compression=estargz",
            "type=oci,dest=x,colour=blue",
            "type=oci,dest=x,push-by-digest=true",
            "type=registry,registry.insecure=maybe",
            "type=image,name=a,registry.insecure=true",
            "type=oci,dest=x,registry.insecure=true",
            "type=local,dest=x,mode=mirror",
            "type=tar,dest=x,mode=delete",
            "type=oci,dest=x,platform-split=true",
            "type=local,dest=x,annotation.a=b",
            "type=docker,dest=x,annotation.a=b",
            "type=registry,oci-mediatypes=false,annotation.a=b",
            "type=registry,annotation-index-descriptors.a=b",
            "type=cacheonly",
            "dest=x",
        ] {
            assert!(parse(spec).is_err(), "{spec}");
        }
    }
}
