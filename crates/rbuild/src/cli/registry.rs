//! What can be typed about registries: how they are talked to, logins, pull and push.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, ValueEnum};

use crate::amount;

/// How registries are talked to.
#[derive(Args, Debug)]
pub struct RegistryArgs {
    /// With `false`, plain http and unknown certificates are fine. More authorities to trust:
    /// --cert-dir, SSL_CERT_FILE, SSL_CERT_DIR
    /// [default: true, except for what registries.conf calls insecure]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub tls_verify: Option<bool>,
    /// Log in as USER; not used for mirrors, nor for short names that may mean several registries
    #[arg(long, value_name = "USER:PASSWORD")]
    pub creds: Option<String>,
    /// Take logins from FILE [env: REGISTRY_AUTH_FILE] [default:
    /// $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json]
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// Trust the authorities DIR/*.crt too, and show DIR/*.cert with its .key
    /// [default: HOST[:PORT] in ~/.config/containers/certs.d, /etc/containers/certs.d and
    /// /etc/docker/certs.d]
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
    /// Try again so often what may work next time [default: as containers.conf says, else 4]
    #[arg(long, value_name = "N")]
    pub retry: Option<u32>,
    /// Wait so long before that, e.g. 2s; it doubles each time [default: as containers.conf says,
    /// else 500ms]
    #[arg(long, value_name = "DURATION", value_parser = amount::delay)]
    pub retry_delay: Option<Duration>,
}

/// Which images may be fetched.
#[derive(Args, Debug)]
pub struct PolicyArgs {
    /// Fetch only images that this policy.json allows, see containers-policy.json(5); images that
    /// the store has already may be used [default: ~/.config/containers/policy.json, else
    /// /etc/containers/policy.json, else all are allowed]
    #[arg(long, value_name = "FILE")]
    pub signature_policy: Option<PathBuf>,
}

/// Log in to a registry: checks the login there, and keeps it.
#[derive(Args, Debug)]
pub struct LoginArgs {
    /// HOST[:PORT], or HOST[:PORT]/NAMESPACE for a login of its own there
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    /// The user; asked for if it is not given
    #[arg(short, long, value_name = "USER")]
    pub username: Option<String>,
    /// The password; others on this machine can see it: better is --password-stdin
    #[arg(
        short,
        long,
        value_name = "PASSWORD",
        conflicts_with = "password_stdin"
    )]
    pub password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Only print who is logged in, by this file or any other that `pull` looks into
    #[arg(long)]
    pub get_login: bool,
    /// Keep the login in FILE, which docker understands too if it is for a whole registry
    /// [env: REGISTRY_AUTH_FILE] [default: $XDG_RUNTIME_DIR/containers/auth.json, else
    /// ~/.config/containers/auth.json]
    #[arg(long, value_name = "FILE", visible_alias = "compat-auth-file")]
    pub authfile: Option<PathBuf>,
    /// As for pull
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
    /// With `false`, plain http and unknown certificates are fine
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub tls_verify: Option<bool>,
}

/// Forget a login.
#[derive(Args, Debug)]
pub struct LogoutArgs {
    /// As it was written for `login`
    #[arg(value_name = "REGISTRY", required_unless_present = "all")]
    pub registry: Option<String>,
    /// Forget all logins
    #[arg(short, long, conflicts_with = "registry")]
    pub all: bool,
    /// Remove the login from FILE [env: REGISTRY_AUTH_FILE] [default: as for login]
    #[arg(long, value_name = "FILE", visible_alias = "compat-auth-file")]
    pub authfile: Option<PathBuf>,
}

/// Names of places that `pull` and `push` take.
const PLACES: &str = "\
Places: docker://HOST/NAME[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG],
docker-archive:FILE[:NAME], dir:DIR. A path ends at its first colon. containers-storage:NAME is an
image in podman's own store, which `podman load` and `podman save` (else skopeo or buildah) hand
over; for push NAME may be left out.";

/// Fetch an image from a registry, an archive or a directory.
#[derive(Args, Debug)]
#[command(after_help = PLACES)]
pub struct PullArgs {
    /// NAME[:TAG][@DIGEST], or a place
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Fetch every tag of the repository
    #[arg(short, long, conflicts_with = "policy")]
    pub all_tags: bool,
    /// When to ask the registry
    #[arg(long, value_enum, default_value_t = PullPolicy::Always, value_name = "POLICY")]
    pub policy: PullPolicy,
    /// Fetch the image for this platform [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
    /// Print only the image's id
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub signatures: PolicyArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// When a registry is asked for an image.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Each time.
    #[value(alias = "true")]
    Always,
    /// If the store has no image of that name.
    #[value(alias = "false")]
    Missing,
    /// Each time; if that fails, the store's will do.
    Newer,
    /// Not at all.
    Never,
}

/// Send an image, or a list of images with all that are in it, to a registry, an archive or a
/// directory.
#[derive(Args, Debug)]
#[command(after_help = PLACES)]
pub struct PushArgs {
    /// The image or list, by name or id
    #[arg(value_name = "NAME")]
    pub image: String,
    /// A place [default: docker://NAME]
    #[arg(value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// Send all images and lists of the repository NAME, under their tags; DESTINATION has none
    #[arg(short, long, conflicts_with = "digestfile")]
    pub all_tags: bool,
    /// Send the images of a list with it; with `false` the registry must have them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    pub all: bool,
    /// Write the manifest in this format [default: as the image was pulled, else oci]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub format: Option<ManifestFormat>,
    #[command(flatten)]
    pub compression: CompressionArgs,
    /// Write the digest of the manifest to FILE
    #[arg(long, value_name = "FILE")]
    pub digestfile: Option<PathBuf>,
    /// Delete a list when it is sent; images stay
    #[arg(long)]
    pub rm: bool,
    /// Send no signatures; none are sent anyway, accepted for podman's users
    #[arg(long)]
    pub remove_signatures: bool,
    /// Print nothing
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// How layers are compressed.
#[derive(Args, Debug)]
pub struct CompressionArgs {
    /// Compress every layer in this way [default: layers stay as they came, new ones gzip]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub compression_format: Option<CompressionFormat>,
    /// How hard to try: gzip 0 to 9, zstd 1 to 22 [default: gzip 5, zstd 3]
    #[arg(long, value_name = "LEVEL")]
    pub compression_level: Option<u32>,
    /// Compress layers again that came in another way; always so with --compression-format, unless
    /// it is `false`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub force_compression: Option<bool>,
}

/// How a layer is compressed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionFormat {
    /// Understood everywhere.
    Gzip,
    /// Smaller and faster; not for docker's format.
    Zstd,
    /// zstd of which podman fetches only the files that it lacks; read as zstd by others.
    #[value(name = "zstd:chunked")]
    ZstdChunked,
}

/// How a manifest is written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFormat {
    /// OCI image-spec.
    Oci,
    /// Docker, version 2 schema 2.
    #[value(alias = "v2s2")]
    Docker,
}
