//! `--secret` and `--ssh`: what only single commands of a build may see.
//!
//! Values stay in memory: they are never written anywhere but to a RUN's own tmpfs.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use rbuild_engine::Confidential;

use crate::failure::Failure;

/// No secret is larger, in bytes; BuildKit's limit.
const LIMIT: usize = 500 * 1024;

/// What `--secret` and `--ssh` give.
///
/// # Errors
/// If a flag is wrong, or what it names is not there.
pub fn confidential(secrets: &[String], agents: &[String]) -> Result<Confidential, Failure> {
    Ok(Confidential {
        secrets: self::secrets(secrets)?,
        agents: self::agents(agents)?,
    })
}

/// Reads what `--secret id=ID[,src=FILE][,env=VAR]` names. Without a source, a variable of the
/// secret's name is taken if there is one, else a file of that name.
///
/// # Errors
/// If a flag is wrong, or a file or variable is not there.
fn secrets(flags: &[String]) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    flags.iter().map(|flag| secret(flag)).collect()
}

fn secret(flag: &str) -> Result<(String, Vec<u8>), Failure> {
    let bad = |why: &str| Failure::message(format!("cannot understand --secret `{flag}`: {why}"));
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for part in flag.split(',') {
        match part.split_once('=') {
            Some(("id", value)) => id = Some(value),
            Some(("src" | "source", value)) => file = Some(value),
            Some(("env", value)) => variable = Some(value),
            Some(("type", value @ ("file" | "env"))) => kind = Some(value),
            _ => {
                return Err(bad(&format!(
                    "`{part}` is not id=, src=, env= or type=file|env"
                )));
            }
        }
    }
    let id = id
        .filter(|id| !id.is_empty())
        .ok_or_else(|| bad("id= is missing"))?;
    if kind == Some("env") && variable.is_none() {
        variable = file.take();
    }
    let value = match (variable, file) {
        (Some(_), Some(_)) => return Err(bad("it has two sources")),
        (Some(variable), None) => from_variable(variable),
        (None, Some(file)) => from_file(file),
        (None, None) if kind != Some("file") && env::var_os(id).is_some() => from_variable(id),
        (None, None) => from_file(id),
    }?;
    if value.len() > LIMIT {
        return Err(bad("it is larger than 500 KiB"));
    }
    Ok((id.to_owned(), value))
}

fn from_variable(name: &str) -> Result<Vec<u8>, Failure> {
    let missing = || Failure::message(format!("the variable `{name}` of a secret is not set"));
    env::var_os(name)
        .map(std::ffi::OsString::into_encoded_bytes)
        .ok_or_else(missing)
}

fn from_file(path: &str) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::message(format!("cannot read the secret `{path}`: {error}")))
}

/// The sockets that `--ssh ID[=SOCKET]` names; without one it is `$SSH_AUTH_SOCK`.
///
/// # Errors
/// If there is none.
fn agents(flags: &[String]) -> Result<BTreeMap<String, PathBuf>, Failure> {
    flags
        .iter()
        .map(|flag| {
            let (id, socket) = flag
                .split_once('=')
                .map_or((flag.as_str(), None), |(id, path)| (id, Some(path)));
            let socket = socket
                .map(PathBuf::from)
                .or_else(|| env::var_os("SSH_AUTH_SOCK").map(PathBuf::from));
            let missing = || {
                Failure::message(format!(
                    "--ssh `{flag}` names no socket, and SSH_AUTH_SOCK is not set"
                ))
            };
            Ok((id.to_owned(), socket.ok_or_else(missing)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{agents, secret};

    #[test]
    fn a_secret_has_one_source() {
        assert_eq!(secret("id=hosts,src=/etc/hostname").unwrap().0, "hosts");
        assert_eq!(
            secret("id=p,env=PATH").unwrap().1,
            std::env::var("PATH").unwrap().into_bytes()
        );
        assert_eq!(secret("id=PATH").unwrap().0, "PATH");
        for bad in [
            "",
            "id=",
            "src=/etc/hosts",
            "id=a,src=/etc/hosts,env=PATH",
            "id=a,x=y",
            "id=a,src=/no/such",
        ] {
            assert!(secret(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_agent_has_a_socket() {
        let agents = agents(&["default=/run/agent".to_owned()]).unwrap();
        assert_eq!(agents["default"], std::path::Path::new("/run/agent"));
    }
}
