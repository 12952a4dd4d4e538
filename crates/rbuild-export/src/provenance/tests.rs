//! What is told of a build, and what is not.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::{ExpectFile, expect_file};
use rbuild_dockerfile::parse;
use rbuild_oci::{BlobDigest, Digest, ImageConfig, Name, Platform};
use rbuild_plan::{BaseImage, ImageRef, Inputs, Plan, Planning, StepId, plan};

use super::{Detail, Material, Origins, Provenance, without_logins};

const DOCKERFILE: &str = "\
FROM alpine:3 AS build
ARG VERSION
ADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://me:word@files.example/a.txt /a
ADD https://files.example/b.txt /b
RUN --mount=type=secret,id=token,required=true --mount=type=ssh make
FROM scratch
COPY --from=build /a /a
COPY b /b
";

fn planned(inputs: &mut Inputs) -> Plan {
    let (file, _) = parse(DOCKERFILE);
    loop {
        match plan(&file, DOCKERFILE, inputs) {
            Planning::Ready(plan) => return *plan,
            Planning::Needs(names) => inputs.bases.extend(names.into_iter().map(|name| {
                let config = ImageConfig {
                    os: "linux".to_owned(),
                    architecture: "amd64".to_owned(),
                    ..ImageConfig::default()
                };
                let tree_key = String::new();
                (name, BaseImage { tree_key, config })
            })),
            Planning::Rejected(found) => unreachable!("{found:?}"),
        }
    }
}

fn check(detail: Detail, times: Option<(i64, i64)>, expected: &ExpectFile) {
    let args = [("VERSION", "1.2"), ("http_proxy", "http://u:secret@proxy")];
    let args: BTreeMap<String, String> = args
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let mut inputs = Inputs {
        build_args: args.clone(),
        ..Inputs::default()
    };
    let platform = Platform::new("linux", "amd64", None);
    inputs.platform = platform.clone();
    let plan = planned(&mut inputs);
    let digest = BlobDigest(Digest::of(b"{}"));
    let name = Name::parse("docker.io/library/alpine:3").unwrap();
    let image = ImageRef {
        name: "alpine:3".to_owned(),
        platform: platform.clone(),
    };
    let commit = "4b220de5058abfd01ff619c9d2ff6b09a049bea0";
    let origins = Origins {
        main: Some(Material {
            uri: "git+https://git.example/app.git@v1".to_owned(),
            digest: ("gitCommit", commit.to_owned()),
        }),
        named: BTreeMap::from([(
            "tools".to_owned(),
            Material {
                uri: "https://files.example/tools.tar".to_owned(),
                digest: ("sha256", Digest::of(b"").hex()),
            },
        )]),
        locals: BTreeSet::from(["dockerfile".to_owned()]),
    };
    let b = Material {
        uri: "https://files.example/b.txt".to_owned(),
        digest: ("sha256", Digest::of(b"b").hex()),
    };
    let fetched = BTreeMap::from([((StepId(1), 0), b)]);
    let provenance = Provenance {
        detail,
        builder: None,
        plan: &plan,
        platform: &platform,
        file: ("Dockerfile", DOCKERFILE),
        origins: &origins,
        fetched: &fetched,
        target: None,
        build_args: &args,
        labels: &BTreeMap::from([("a.b".to_owned(), "c".to_owned())]),
        images: &BTreeMap::from([(image.clone(), digest)]),
        names: &BTreeMap::from([(image, name)]),
        times,
    };
    let text = format!("{:#}\n", provenance.predicate());
    expected.assert_eq(&text);
    assert!(!text.contains("word@") && !text.contains("secret@"));
}

#[test]
fn little_is_told_without_build_arguments_and_source() {
    check(Detail::Min, Some((0, 60)), &expect_file!["min.json"]);
}

#[test]
fn everything_is_told_but_logins_proxies_and_secrets() {
    check(Detail::Max, None, &expect_file!["max.json"]);
}

#[test]
fn a_login_is_not_part_of_a_place() {
    let check = |text: &str, expected: &str| assert_eq!(without_logins(text), expected);
    check("https://a:b@c.example/d@e", "https://c.example/d@e");
    check("https://c.example/d@e", "https://c.example/d@e");
    check("https://a@c.example", "https://c.example");
    check("https://a:p@x@c.example?q", "https://c.example?q");
    check("git@host:repo", "git@host:repo");
    check(
        r#"ADD ["https://a:b@c/d","https://e:f@g/h"] /"#,
        r#"ADD ["https://c/d","https://g/h"] /"#,
    );
    check("a\thttp://b:c@d http://e:f@g", "a\thttp://d http://g");
    check("https://c/?to=https://a:b@d", "https://c/?to=https://d");
}

#[test]
fn where_files_are_on_this_machine_is_not_told() {
    const HERE: &str = "FROM oci:/home/me/layout\nRUN x\nCOPY --from=oci:/home/me/other /a /\n";
    let (file, _) = parse(HERE);
    let platform = Inputs::default().platform;
    let reference = |name: &str| ImageRef {
        name: name.to_owned(),
        platform: platform.clone(),
    };
    let base = |name: &str| {
        let image = BaseImage {
            tree_key: String::new(),
            config: ImageConfig::default(),
        };
        (reference(name), image)
    };
    let inputs = Inputs {
        bases: ["oci:/home/me/layout", "oci:/home/me/other"]
            .map(base)
            .into(),
        ..Inputs::default()
    };
    let Planning::Ready(plan) = plan(&file, HERE, &inputs) else {
        unreachable!("all is known")
    };
    let digest = BlobDigest(Digest::of(b"{}"));
    let provenance = Provenance {
        detail: Detail::Max,
        builder: None,
        plan: &plan,
        platform: &platform,
        file: ("Dockerfile", ""),
        origins: &Origins::default(),
        fetched: &BTreeMap::new(),
        target: None,
        build_args: &BTreeMap::new(),
        labels: &BTreeMap::new(),
        images: &BTreeMap::from([(reference("oci:/home/me/layout"), digest)]),
        names: &BTreeMap::new(),
        times: None,
    };
    let predicate = provenance.predicate();
    let steps = &predicate["buildDefinition"]["internalParameters"]["buildConfig"]["steps"];
    assert_eq!(steps[0]["on"], format!("image:{digest}"));
    assert_eq!(steps[1]["inputs"][0], "image");
}
