//! What can be typed about registries: how they are talked to, logins, pull and push.

use std::{path::PathBuf, time::Duration};

use clap::Args;

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
    /// Try again so often what may work next time
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub retry: u32,
    /// Wait so long before that, e.g. 2s or 500ms; it doubles each time
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = amount::delay)]
    pub retry_delay: Duration,
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
    /// Only print who is logged in
    #[arg(long)]
    pub get_login: bool,
    /// Keep the login in FILE [env: REGISTRY_AUTH_FILE] [default:
    /// $XDG_RUNTIME_DIR/containers/auth.json, else ~/.config/containers/auth.json]
    #[arg(long, value_name = "FILE")]
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
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
}

/// Fetch an image from a registry or an OCI layout.
#[derive(Args, Debug)]
pub struct PullArgs {
    /// NAME[:TAG][@DIGEST], docker://NAME or oci:DIR[:TAG]
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Print only the image's id
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// Send an image to a registry or an OCI layout.
#[derive(Args, Debug)]
pub struct PushArgs {
    /// The image, by name or id
    #[arg(value_name = "NAME")]
    pub image: String,
    /// docker://HOST/NAME[:TAG] or oci:DIR[:TAG] [default: docker://NAME]
    #[arg(value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// Write the digest of the manifest to FILE
    #[arg(long, value_name = "FILE")]
    pub digestfile: Option<PathBuf>,
    /// Print nothing
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}
