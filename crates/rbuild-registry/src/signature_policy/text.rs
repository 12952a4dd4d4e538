//! The file as it is written: strict JSON, in which nothing is passed over.

use std::{collections::BTreeMap, fmt, marker::PhantomData, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{Identity, Key, Requirement, Signed};

/// By transport, then by scope.
type Transports = BTreeMap<String, BTreeMap<String, Vec<Requirement>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    default: Vec<RequirementText>,
    #[serde(default)]
    transports: Unique<Unique<Vec<RequirementText>>>,
}

#[derive(Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RequirementText {
    #[serde(rename = "type")]
    kind: String,
    key_type: Option<String>,
    key_path: Option<PathBuf>,
    key_paths: Option<Vec<PathBuf>>,
    key_data: Option<String>,
    key_datas: Option<Vec<String>>,
    fulcio: Option<IgnoredAny>,
    pki: Option<IgnoredAny>,
    rekor_public_key_path: Option<IgnoredAny>,
    rekor_public_key_paths: Option<IgnoredAny>,
    rekor_public_key_data: Option<IgnoredAny>,
    rekor_public_key_datas: Option<IgnoredAny>,
    signed_identity: Option<IdentityText>,
}

#[derive(PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
enum IdentityText {
    MatchExact {},
    MatchRepoDigestOrExact {},
    MatchRepository {},
    #[serde(rename_all = "camelCase")]
    ExactReference {
        docker_reference: String,
    },
    #[serde(rename_all = "camelCase")]
    ExactRepository {
        docker_repository: String,
    },
    #[serde(rename_all = "camelCase")]
    RemapIdentity {
        prefix: String,
        signed_prefix: String,
    },
}

/// An object none of whose keys is given twice.
struct Unique<T>(BTreeMap<String, T>);

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Unique<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<T>, A::Error> {
                let mut found = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if found.contains_key(&key) {
                        return Err(serde::de::Error::custom(format!("`{key}` is there twice")));
                    }
                    found.insert(key, value);
                }
                Ok(Unique(found))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// The default, and what is said of transports.
///
/// # Errors
/// Says what is wrong.
pub fn parse(text: &str) -> Result<(Vec<Requirement>, Transports), String> {
    let policy: Policy = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let default = requirements(policy.default).map_err(|why| format!("`default`: {why}"))?;
    let mut transports = Transports::new();
    for (transport, scopes) in policy.transports.0 {
        let mut found = BTreeMap::new();
        for (scope, list) in scopes.0 {
            let fail = |why: String| format!("scope `{scope}` of `{transport}`: {why}");
            check_scope(&transport, &scope).map_err(|why| fail(why.to_owned()))?;
            let list = requirements(list).map_err(fail)?;
            found.insert(scope, list);
        }
        transports.insert(transport, found);
    }
    Ok((default, transports))
}

/// Refuses a scope that no image of a transport would ever be in.
fn check_scope(transport: &str, scope: &str) -> Result<(), &'static str> {
    let is_domain = |scope: &str| {
        scope
            .strip_prefix("*.")
            .is_none_or(|rest| rest.contains('*'))
    };
    match transport {
        _ if scope.is_empty() => Ok(()),
        "docker-archive" => Err("that transport has no scopes but ``"),
        "dir" | "oci" | "oci-archive" if !scope.starts_with('/') => {
            Err("it is not an absolute path")
        }
        "dir" | "oci" | "oci-archive" if scope == "/" => Err("the scope of all paths is ``"),
        "docker" if scope.contains('*') && is_domain(scope) => Err("`*` is only for `*.DOMAIN`"),
        _ => Ok(()),
    }
}

fn requirements(list: Vec<RequirementText>) -> Result<Vec<Requirement>, String> {
    if list.is_empty() {
        return Err("it has no requirement".to_owned());
    }
    list.into_iter().map(requirement).collect()
}

fn requirement(text: RequirementText) -> Result<Requirement, String> {
    let bare = RequirementText {
        kind: text.kind.clone(),
        ..RequirementText::default()
    };
    match text.kind.as_str() {
        "insecureAcceptAnything" | "reject" if text != bare => {
            Err(format!("`{}` has no other keys", text.kind))
        }
        "insecureAcceptAnything" => Ok(Requirement::AcceptAnything),
        "reject" => Ok(Requirement::Reject),
        "signedBy" | "signedBaseLayer" => Ok(Requirement::Unsupported(format!(
            "a signature of GnuPG (`{}`)",
            text.kind
        ))),
        "sigstoreSigned" => sigstore(text),
        kind => Err(format!("`{kind}` is no requirement")),
    }
}

fn sigstore(text: RequirementText) -> Result<Requirement, String> {
    if text.key_type.is_some() {
        return Err("`keyType` is for `signedBy`".to_owned());
    }
    let others = [
        ("fulcio", &text.fulcio),
        ("pki", &text.pki),
        ("rekorPublicKeyPath", &text.rekor_public_key_path),
        ("rekorPublicKeyPaths", &text.rekor_public_key_paths),
        ("rekorPublicKeyData", &text.rekor_public_key_data),
        ("rekorPublicKeyDatas", &text.rekor_public_key_datas),
    ];
    if let Some((name, _)) = others.iter().find(|(_, value)| value.is_some()) {
        return Ok(Requirement::Unsupported(format!("`{name}`")));
    }
    let files = text.key_path.map(|path| vec![path]).or(text.key_paths);
    let texts = text.key_data.map(|data| vec![data]).or(text.key_datas);
    let keys: Vec<Key> = match (files, texts) {
        (Some(files), None) => files.into_iter().map(Key::File).collect(),
        (None, Some(texts)) => texts.iter().map(decoded).collect::<Result<_, _>>()?,
        _ => return Err("it needs one of `keyPath`, `keyPaths`, `keyData`, `keyDatas`".to_owned()),
    };
    if keys.is_empty() {
        return Err("its list of keys is empty".to_owned());
    }
    let identity = text.signed_identity.map(identity).transpose()?;
    Ok(Requirement::Sigstore(Signed {
        keys,
        identity: identity.unwrap_or_default(),
    }))
}

fn decoded(text: &String) -> Result<Key, String> {
    let bytes = STANDARD.decode(text);
    bytes
        .map(Key::Text)
        .map_err(|_| "its key is not base64".to_owned())
}

fn identity(text: IdentityText) -> Result<Identity, String> {
    let name = |text: String| match text.parse::<rbuild_oci::Reference>() {
        Ok(name) => Ok(name.on_docker_hub()),
        Err(error) => Err(error.to_string()),
    };
    Ok(match text {
        IdentityText::MatchExact {} => Identity::Exact,
        IdentityText::MatchRepoDigestOrExact {} => Identity::RepoDigestOrExact,
        IdentityText::MatchRepository {} => Identity::Repository,
        IdentityText::ExactReference { docker_reference } => {
            let name = name(docker_reference)?;
            if name.tag.is_none() && name.digest.is_none() {
                return Err(format!("`{name}` has neither tag nor digest"));
            }
            Identity::ExactReference(name)
        }
        IdentityText::ExactRepository { docker_repository } => {
            let name = name(docker_repository)?;
            if name.tag.is_some() || name.digest.is_some() {
                return Err(format!("`{name}` is not a repository"));
            }
            Identity::ExactRepository(name.to_string())
        }
        IdentityText::RemapIdentity {
            prefix,
            signed_prefix,
        } => Identity::Remap {
            prefix,
            signed_prefix,
        },
    })
}
