//! What flags, environment and files say about registries, read once.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rbuild_engine::Bases;
use rbuild_http::{Backoff, CertificateDirs, Client, Security, Settings};
use rbuild_oci::{Platform, Reference};
use rbuild_registry::{
    Access, CredentialSources, Endpoint, Error, Login, Registries, Repository, Scope,
    SignaturePolicy,
};
use rbuild_store::{Session, Store};

use crate::{
    cli::{PolicyArgs, RegistryArgs},
    containers_conf::ContainersConf,
    failure::Failure,
    settings,
    short_names::{self, ShortNames},
};

/// How often is tried again what may work next time, if nobody says.
const RETRIES: u32 = 4;
/// How long is waited before that at first.
const DELAY: Duration = Duration::from_millis(500);

/// How this command talks to registries.
pub struct Registry {
    /// Fetches and sends.
    pub http: Client,
    /// What names mean.
    pub registries: Registries,
    /// `None`: as registries.conf says.
    pub security: Option<Security>,
    /// Who we are.
    pub credentials: CredentialSources,
    /// What the user says of short names.
    short_names: ShortNames,
}

impl Registry {
    /// As `args`, the environment, registries.conf and `site` say.
    ///
    /// # Errors
    /// If a file is wrong, or `--authfile` is not there.
    pub fn configured(args: &RegistryArgs, site: &ContainersConf) -> Result<Self, Failure> {
        let registries = registries()?;
        let credentials = CredentialSources {
            given: args.creds.as_deref().map(Login::parse),
            files: auth_files(args.authfile.as_deref())?,
            helpers: registries.credential_helpers(),
        };
        let backoff = Backoff {
            attempts: args
                .retry
                .or(site.retry)
                .unwrap_or(RETRIES)
                .saturating_add(1),
            first: args.retry_delay.or(site.retry_delay).unwrap_or(DELAY),
        };
        Ok(Self {
            http: http(args.cert_dir.clone(), backoff),
            registries,
            security: security(args.tls_verify),
            credentials,
            short_names: short_names::asked(),
        })
    }

    /// Finds base images for `platform`, here or there as far as `signatures` allows.
    pub fn bases<'a>(
        &'a self,
        (store, session): (&'a Store, &'a Session),
        signatures: &'a SignaturePolicy,
        platform: Platform,
    ) -> Bases<'a> {
        Bases {
            store,
            session,
            http: &self.http,
            registries: &self.registries,
            security: self.security,
            credentials: &self.credentials,
            signatures,
            platform,
            choose: &*self.short_names,
            tally: Arc::default(),
        }
    }

    /// A line to registries, which are trusted as far as the flags say.
    pub fn line(&self) -> Line<'_> {
        Line {
            registry: self,
            security: self.security,
        }
    }
}

/// How somebody talks to registries who sends something there.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    registry: &'a Registry,
    security: Option<Security>,
}

impl Line<'_> {
    /// The repository at `endpoint`, for `scope`.
    pub fn repository(&self, endpoint: &Endpoint, scope: Scope) -> Repository {
        let access = Access {
            scope,
            security: self.security.unwrap_or(match endpoint.insecure {
                true => Security::Insecure,
                false => Security::Verified,
            }),
            credentials: self.registry.credentials.clone(),
        };
        Repository::new(&self.registry.http, &endpoint.reference, access)
    }

    /// Where what is called `to` is pushed.
    ///
    /// # Errors
    /// If registries.conf closes it.
    pub fn push_endpoint(&self, to: &Reference) -> Result<Endpoint, Error> {
        self.registry.registries.push_endpoint(to)
    }

    /// The same line, on which registries are trusted so far, if that is said.
    #[must_use]
    pub fn trusting(self, security: Option<Security>) -> Self {
        Self {
            security: security.or(self.security),
            ..self
        }
    }
}

/// What talks to registries: with the site's proxies and certificates, and our name.
pub fn http(cert_dir: Option<PathBuf>, backoff: Backoff) -> Client {
    let own = settings::config_home().map(|config| config.join("containers/certs.d"));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    Client::new(Settings {
        certificates: CertificateDirs {
            all_hosts: cert_dir,
            per_host: own.into_iter().chain(system).collect(),
        },
        ..settings::http(backoff)
    })
}

/// What `--tls-verify` says; `None` if it says nothing.
pub fn security(tls_verify: Option<bool>) -> Option<Security> {
    tls_verify.map(|verify| match verify {
        true => Security::Verified,
        false => Security::Insecure,
    })
}

/// The files that may have logins, best first: the one that is named, or the usual ones.
///
/// # Errors
/// If the one that is named is not there.
pub fn auth_files(flag: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    if let Some(path) = flag {
        fs::metadata(path).map_err(|error| {
            Failure::message(format!("cannot read `{}`: {error}", path.display()))
        })?;
        return Ok(vec![path.to_owned()]);
    }
    if let Some(path) = settings::path("REGISTRY_AUTH_FILE") {
        return Ok(vec![path]);
    }
    let containers = |dir: PathBuf| dir.join("containers/auth.json");
    let docker = settings::path("DOCKER_CONFIG")
        .or_else(|| settings::path("HOME").map(|home| home.join(".docker")));
    let usual = [
        settings::path("XDG_RUNTIME_DIR").map(containers),
        settings::config_home().map(containers),
        docker.map(|dir| dir.join("config.json")),
    ];
    Ok(usual.into_iter().flatten().collect())
}

/// The file that `login` writes to.
///
/// # Errors
/// Without a home directory.
pub fn own_auth_file(flag: Option<&Path>) -> Result<PathBuf, Failure> {
    let runtime = settings::path("XDG_RUNTIME_DIR").filter(|dir| dir.is_dir());
    let containers = |dir: PathBuf| dir.join("containers/auth.json");
    flag.map(Path::to_owned)
        .or_else(|| settings::path("REGISTRY_AUTH_FILE"))
        .or_else(|| runtime.or_else(settings::config_home).map(containers))
        .ok_or_else(|| {
            Failure::message("cannot tell where to keep logins: HOME is not set")
                .with_hint("use --authfile FILE")
        })
}

/// Reads the policy that `args` names, else the user's, else the system's; where there is none,
/// everything is allowed.
///
/// # Errors
/// If it cannot be read or understood.
pub fn signatures(args: &PolicyArgs) -> Result<SignaturePolicy, Failure> {
    let own = settings::config_home().map(|config| config.join("containers/policy.json"));
    let usual = own
        .into_iter()
        .chain(["/etc/containers/policy.json".into()]);
    let found = match &args.signature_policy {
        Some(file) => Some(file.clone()),
        None => usual.into_iter().find(|file| file.exists()),
    };
    let Some(file) = found else {
        return Ok(SignaturePolicy::default());
    };
    let text = fs::read_to_string(&file).map_err(|error| Error::Configuration {
        path: file.clone(),
        why: error.to_string(),
    })?;
    Ok(SignaturePolicy::parse(&text, &file)?)
}

/// Reads registries.conf and its drop-ins: the user's, else the system's; short-name aliases that
/// podman has remembered come last.
///
/// # Errors
/// If one of them cannot be read or understood.
pub fn registries() -> Result<Registries, Failure> {
    let mut found = Registries::default();
    if let Some(path) = settings::path("CONTAINERS_REGISTRIES_CONF") {
        add(&mut found, &path)?;
        return Ok(found);
    }
    let own = settings::config_home().map(|config| config.join("containers"));
    let own_main = own
        .as_ref()
        .map(|dir| dir.join("registries.conf"))
        .filter(|path| path.is_file());
    let system = Path::new("/etc/containers");
    if let Some(main) = &own_main {
        add(&mut found, main)?;
    } else {
        add(&mut found, &system.join("registries.conf"))?;
        add_all(&mut found, &system.join("registries.conf.d"))?;
    }
    if let Some(own) = &own {
        add_all(&mut found, &own.join("registries.conf.d"))?;
    }
    let cache = settings::path("XDG_CACHE_HOME")
        .or_else(|| settings::path("HOME").map(|home| home.join(".cache")));
    if let Some(cache) = cache {
        add(
            &mut found,
            &cache.join("containers/short-name-aliases.conf"),
        )?;
    }
    Ok(found)
}

/// Adds the files `*.conf` of a directory, by name.
fn add_all(registries: &mut Registries, dir: &Path) -> Result<(), Error> {
    let mut files = settings::drop_ins(dir).into_iter();
    files.try_for_each(|path| add(registries, &path))
}

/// Adds a file; one that is not there says nothing.
fn add(registries: &mut Registries, path: &Path) -> Result<(), Error> {
    let fail = |why: String| Error::Configuration {
        path: path.to_owned(),
        why,
    };
    match fs::read_to_string(path) {
        Ok(text) => registries.add(&text).map_err(fail),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fail(error.to_string())),
    }
}
