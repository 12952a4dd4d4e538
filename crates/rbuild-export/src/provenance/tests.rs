//! What is told of a build, and what is not.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use rbuild_dockerfile::parse;
use rbuild_oci::{ImageConfig, Name};
use rbuild_plan::{BaseImage, Inputs, Plan, Planning, plan};
use rbuild_store::{Draft, ImageRecord};

use super::{Detail, Provenance, without_login};

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
            Planning::Rejected(found) => panic!("{found:?}"),
        }
    }
}

fn check(detail: Detail, times: Option<(i64, i64)>, expected: &Expect) {
    let args = [("VERSION", "1.2"), ("http_proxy", "http://u:secret@proxy")];
    let args: BTreeMap<String, String> = args
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let mut inputs = Inputs {
        build_args: args.clone(),
        ..Inputs::default()
    };
    inputs.platform = rbuild_oci::Platform::new("linux", "amd64", None);
    let plan = planned(&mut inputs);
    let record = ImageRecord {
        config: String::new(),
        manifest: Some("{}".to_owned()),
        draft: Draft::default(),
        layers: Vec::new(),
    };
    let name = Name::parse("docker.io/library/alpine:3").unwrap();
    let provenance = Provenance {
        detail,
        builder: None,
        plan: &plan,
        file: ("Dockerfile", DOCKERFILE),
        context: "https://me:word@git.example/app.git#v1",
        target: None,
        build_args: &args,
        images: &BTreeMap::from([("alpine:3".to_owned(), record)]),
        names: &BTreeMap::from([("alpine:3".to_owned(), name)]),
        times,
    };
    let text = format!("{:#}\n", provenance.predicate());
    expected.assert_eq(&text);
    assert!(!text.contains("word@") && !text.contains("secret@"));
}

#[test]
fn little_is_told_without_build_arguments_and_source() {
    check(
        Detail::Min,
        Some((0, 60)),
        &expect![[r#"
        {
          "buildDefinition": {
            "buildType": "https://example.invalid/rbuild/docs/attestations.md@v1",
            "externalParameters": {
              "configSource": {
                "path": "Dockerfile",
                "uri": "https://git.example/app.git#v1"
              },
              "request": {
                "args": {},
                "frontend": "dockerfile.v0"
              }
            },
            "internalParameters": {
              "builderPlatform": "linux/amd64"
            },
            "resolvedDependencies": [
              {
                "digest": {
                  "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                },
                "uri": "https://files.example/a.txt"
              },
              {
                "uri": "https://files.example/b.txt"
              },
              {
                "digest": {
                  "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
                },
                "uri": "pkg:docker/alpine@3?platform=linux%2Famd64"
              }
            ]
          },
          "runDetails": {
            "builder": {
              "id": "https://example.invalid/rbuild",
              "version": {
                "rbuild": "0.1.0"
              }
            },
            "metadata": {
              "finishedOn": "1970-01-01T00:01:00Z",
              "rbuild_completeness": {
                "request": false,
                "resolvedDependencies": false
              },
              "startedOn": "1970-01-01T00:00:00Z"
            }
          }
        }
    "#]],
    );
}

#[test]
fn everything_is_told_but_logins_proxies_and_secrets() {
    check(
        Detail::Max,
        None,
        &expect![[r#"
        {
          "buildDefinition": {
            "buildType": "https://example.invalid/rbuild/docs/attestations.md@v1",
            "externalParameters": {
              "configSource": {
                "path": "Dockerfile",
                "uri": "https://git.example/app.git#v1"
              },
              "request": {
                "args": {
                  "build-arg:VERSION": "1.2"
                },
                "frontend": "dockerfile.v0",
                "secrets": [
                  {
                    "id": "token",
                    "optional": false
                  }
                ],
                "ssh": [
                  {
                    "id": "default",
                    "optional": true
                  }
                ]
              }
            },
            "internalParameters": {
              "buildConfig": {
                "steps": [
                  {
                    "id": "step0",
                    "inputs": [
                      "context"
                    ],
                    "instruction": "ADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://files.example/a.txt /a",
                    "on": "image:alpine:3",
                    "stage": "build"
                  },
                  {
                    "id": "step1",
                    "inputs": [
                      "context"
                    ],
                    "instruction": "ADD https://files.example/b.txt /b",
                    "on": "step0",
                    "stage": "build"
                  },
                  {
                    "id": "step2",
                    "inputs": [],
                    "instruction": "RUN --mount=type=secret,id=token,required=true --mount=type=ssh make",
                    "on": "step1",
                    "stage": "build"
                  },
                  {
                    "id": "step3",
                    "inputs": [
                      "step2"
                    ],
                    "instruction": "COPY --from=build /a /a",
                    "on": "scratch",
                    "stage": "1"
                  },
                  {
                    "id": "step4",
                    "inputs": [
                      "context"
                    ],
                    "instruction": "COPY b /b",
                    "on": "step3",
                    "stage": "1"
                  }
                ]
              },
              "builderPlatform": "linux/amd64"
            },
            "resolvedDependencies": [
              {
                "digest": {
                  "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                },
                "uri": "https://files.example/a.txt"
              },
              {
                "uri": "https://files.example/b.txt"
              },
              {
                "digest": {
                  "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
                },
                "uri": "pkg:docker/alpine@3?platform=linux%2Famd64"
              },
              {
                "content": "RlJPTSBhbHBpbmU6MyBBUyBidWlsZApBUkcgVkVSU0lPTgpBREQgLS1jaGVja3N1bT1zaGEyNTY6ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NSBodHRwczovL21lOndvcmRAZmlsZXMuZXhhbXBsZS9hLnR4dCAvYQpBREQgaHR0cHM6Ly9maWxlcy5leGFtcGxlL2IudHh0IC9iClJVTiAtLW1vdW50PXR5cGU9c2VjcmV0LGlkPXRva2VuLHJlcXVpcmVkPXRydWUgLS1tb3VudD10eXBlPXNzaCBtYWtlCkZST00gc2NyYXRjaApDT1BZIC0tZnJvbT1idWlsZCAvYSAvYQpDT1BZIGIgL2IK",
                "digest": {
                  "sha256": "f94ce089cf1396bf33d5eaa136374c6a812c443c96adbb5c649da99c63f84da6"
                },
                "mediaType": "text/x-dockerfile",
                "name": "Dockerfile"
              }
            ]
          },
          "runDetails": {
            "builder": {
              "id": "https://example.invalid/rbuild",
              "version": {
                "rbuild": "0.1.0"
              }
            },
            "metadata": {
              "rbuild_completeness": {
                "request": true,
                "resolvedDependencies": false
              }
            }
          }
        }
    "#]],
    );
}

#[test]
fn a_login_is_not_part_of_a_place() {
    let check = |url: &str, expected: &str| assert_eq!(without_login(url), expected);
    check("https://a:b@c.example/d@e", "https://c.example/d@e");
    check("https://c.example/d@e", "https://c.example/d@e");
    check("https://a@c.example", "https://c.example");
    check("https://a:p@x@c.example?q", "https://c.example?q");
    check("git@host:repo", "git@host:repo");
}
