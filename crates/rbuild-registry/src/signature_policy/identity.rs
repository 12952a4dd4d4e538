//! Whom a signature must be for: the `signedIdentity` of containers-policy.json(5).

use rbuild_oci::Reference;

/// What the name in a signature is compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The image's name with its tag.
    Exact,
    /// The same, or for an image that is named by digest, its repository.
    #[default]
    RepoDigestOrExact,
    /// The image's repository.
    Repository,
    /// This name with its tag.
    ExactReference(Reference),
    /// This repository, `HOST/NAME`.
    ExactRepository(String),
    /// The image's name, moved from a prefix to another one; as [`Identity::RepoDigestOrExact`].
    Remap {
        /// What is replaced.
        prefix: String,
        /// By what.
        signed_prefix: String,
    },
}

impl Identity {
    /// Whether a signature for `claimed` is one for `image`, a full name.
    pub fn accepts(&self, image: &Reference, claimed: &str) -> bool {
        let Ok(claimed) = claimed.parse::<Reference>() else {
            return false;
        };
        let claimed = claimed.on_docker_hub();
        let repository = repository(&claimed);
        match self {
            Self::Exact => is_exactly(image, &claimed),
            Self::RepoDigestOrExact => is_repo_digest_or_exactly(image, &claimed),
            Self::Repository => repository == self::repository(image),
            Self::ExactReference(expected) => is_exactly(expected, &claimed),
            Self::ExactRepository(expected) => repository == *expected,
            Self::Remap {
                prefix,
                signed_prefix,
            } => moved(image, prefix, signed_prefix)
                .is_some_and(|image| is_repo_digest_or_exactly(&image, &claimed)),
        }
    }
}

/// A name without tag and digest is nobody's: it would stand for all.
fn is_exactly(image: &Reference, claimed: &Reference) -> bool {
    let image = match image.digest {
        Some(_) => image.clone(),
        None => Reference {
            tag: image.tag_or_latest().map(str::to_owned),
            ..image.clone()
        },
    };
    image == *claimed && (claimed.tag.is_some() || claimed.digest.is_some())
}

fn is_repo_digest_or_exactly(image: &Reference, claimed: &Reference) -> bool {
    match image.digest {
        Some(_) => repository(image) == repository(claimed),
        None => is_exactly(image, claimed),
    }
}

/// `image` below `to` instead of `from`; itself, if it is not below that. `None` if that is no
/// name.
fn moved(image: &Reference, from: &str, to: &str) -> Option<Reference> {
    let name = repository(image);
    let Some(rest) = name.strip_prefix(from) else {
        return Some(image.clone());
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Some(image.clone());
    }
    let moved: Reference = format!("{to}{rest}").parse().ok()?;
    Some(Reference {
        tag: image.tag.clone(),
        digest: image.digest,
        ..moved
    })
}

fn repository(name: &Reference) -> String {
    let host = name.registry.as_deref().unwrap_or_default();
    format!("{host}/{}", name.repository)
}
