//! `rbuild login`: who we are for a registry, checked there and kept.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    process::ExitCode,
};

use rbuild_http::{Backoff, Security};
use rbuild_oci::Reference;
use rbuild_registry::{
    Access, AuthFile, CredentialSources, Endpoint, Login, Repository, Scope, edited, store_login,
};

use crate::{
    cli::LoginArgs,
    failure::Failure,
    registry::{auth_files, http, own_auth_file, registries, security},
    report::print,
    terminal,
};

/// Checks the login at the registry, then keeps it: in the program that is configured for that, or
/// in the file.
///
/// # Errors
/// If the registry does not accept it, or it cannot be kept; nothing has changed then.
pub fn execute(args: &LoginArgs) -> Result<ExitCode, Failure> {
    let file = own_auth_file(args.authfile.as_deref())?;
    let key = key(&args.registry)?;
    let text = read(&file)?;
    let parsed = AuthFile::parse(&text).map_err(|why| damaged(&file, &why))?;
    let host = key.split('/').next().unwrap_or(key);
    if args.get_login {
        let known = CredentialSources {
            given: None,
            files: auth_files(args.authfile.as_deref())?,
            helpers: registries()?.credential_helpers(),
        };
        let namespace = key.split_once('/').map_or("", |(_, path)| path);
        let login = known.find(host, namespace)?;
        let user = login
            .as_ref()
            .and_then(Login::user)
            .ok_or_else(|| Failure::message(format!("nobody is logged in to `{key}`")))?;
        print(user)?;
        return Ok(ExitCode::SUCCESS);
    }
    let login = asked(args)?;
    check(args, host, &login)?;
    match parsed.helper_for(host) {
        Some(helper) => {
            store_login(helper, host, &login)?;
            let text = edited(&text, key, None).map_err(|why| damaged(&file, &why))?;
            write(&file, &text)?;
        }
        None => {
            let text = edited(&text, key, Some(&login)).map_err(|why| damaged(&file, &why))?;
            write(&file, &text)?;
        }
    }
    print("Login Succeeded!")?;
    Ok(ExitCode::SUCCESS)
}

/// The key of `registry` in a file of logins.
///
/// # Errors
/// If it is not `HOST[:PORT][/NAMESPACE]`.
pub fn key(registry: &str) -> Result<&str, Failure> {
    let bare = registry.strip_prefix("https://");
    let bare = bare.or_else(|| registry.strip_prefix("http://"));
    let key = bare.unwrap_or(registry).trim_end_matches('/');
    let (host, _) = key.split_once('/').unwrap_or((key, ""));
    let is_key = format!("{key}/x")
        .parse::<Reference>()
        .is_ok_and(|reference| reference.registry.as_deref() == Some(host));
    is_key
        .then_some(key)
        .ok_or_else(|| Failure::message(format!("`{registry}` is not HOST[:PORT] of a registry")))
}

/// What the file has now; nothing if it is not there.
///
/// # Errors
/// If it cannot be read.
pub fn read(file: &Path) -> Result<String, Failure> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        answer => answer.map_err(|error| {
            Failure::message(format!("cannot read `{}`: {error}", file.display()))
        }),
    }
}

/// Writes the file at once, for nobody but us.
///
/// # Errors
/// If it cannot be written; it is as it was then.
pub fn write(file: &Path, text: &str) -> Result<(), Failure> {
    // A link is followed: the file may be kept elsewhere.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let staged = file.with_extension(format!("rbuild-{}", std::process::id()));
    let replace = || {
        if let Some(dir) = file.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)?;
        }
        let _ = fs::remove_file(&staged);
        let mut options = fs::File::options();
        let mut out = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&staged)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&staged, &file)
    };
    replace().map_err(|error: io::Error| {
        let _ = fs::remove_file(&staged);
        Failure::message(format!("cannot write `{}`: {error}", file.display()))
    })
}

/// The failure of a file that is not one of logins.
pub fn damaged(file: &Path, why: &str) -> Failure {
    Failure::message(format!(
        "cannot use the logins in `{}`: {why}",
        file.display()
    ))
}

/// The login from flags, standard input and terminal.
fn asked(args: &LoginArgs) -> Result<Login, Failure> {
    let user = match &args.username {
        Some(user) => user.clone(),
        None if args.password_stdin => {
            return Err(Failure::message("--password-stdin needs --username"));
        }
        None => terminal::ask("Username")?,
    };
    let password = match &args.password {
        Some(password) => password.clone(),
        None if args.password_stdin => {
            let text = io::read_to_string(io::stdin())?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None => terminal::ask_secretly("Password")?,
    };
    if user.is_empty() || password.is_empty() || user.contains(':') {
        return Err(Failure::message(
            "a login needs a user without `:`, and a password",
        ));
    }
    Ok(Login::Password { user, password })
}

/// Asks the registry whether it accepts `login`.
fn check(args: &LoginArgs, host: &str, login: &Login) -> Result<(), Failure> {
    let reference: Reference = format!("{host}/login").parse()?;
    let Endpoint {
        reference,
        insecure,
        ..
    } = registries()?.push_endpoint(&reference)?;
    let by_rule = match insecure {
        true => Security::Insecure,
        false => Security::Verified,
    };
    let access = Access {
        scope: Scope::Login,
        security: security(args.tls_verify).unwrap_or(by_rule),
        credentials: CredentialSources {
            given: Some(login.clone()),
            ..CredentialSources::default()
        },
    };
    let http = http(args.cert_dir.clone(), Backoff::default());
    Ok(Repository::new(&http, &reference, access).log_in()?)
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn a_registry_is_a_host_with_or_without_a_namespace() {
        assert_eq!(key("https://r.example/").unwrap(), "r.example");
        assert_eq!(key("localhost:5000").unwrap(), "localhost:5000");
        assert_eq!(key("r.example/team").unwrap(), "r.example/team");
        for bad in ["", "team", "a b", "user@r.example", "../x"] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }
}
