//! Programs that keep logins: `docker-credential-NAME`.
//!
//! Protocol of docker-credential-helpers: the action is the argument, its operand comes on
//! standard input, the answer on standard output.

use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{Error, Login, Result};

/// How long a program may take: it may ask the user to unlock a key.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 1 << 20;
/// The user that stands for an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stored {
    #[serde(default, rename = "ServerURL")]
    server: String,
    username: String,
    secret: String,
}

/// The login that `docker-credential-name` keeps for `host`; `None` if it has none.
///
/// # Errors
/// [`Error::Helper`] if it cannot be started, takes over a minute, fails or says something else.
pub fn get(name: &str, host: &str) -> Result<Option<Login>> {
    let server = server(host);
    let (succeeded, answer) = converse(name, "get", server)?;
    if !succeeded {
        let answer = String::from_utf8_lossy(&answer);
        if answer.contains("credentials not found") {
            return Ok(None);
        }
        return Err(fail(name, "it could not `get` the login"));
    }
    let stored: Stored =
        serde_json::from_slice(&answer).map_err(|_| fail(name, "its answer is not a login"))?;
    Ok(Some(if stored.username == TOKEN_USER {
        Login::IdentityToken(stored.secret)
    } else {
        Login::Password {
            user: stored.username,
            password: stored.secret,
        }
    }))
}

/// Has `docker-credential-name` keep `login` for `host`.
///
/// # Errors
/// As [`get`].
pub fn store(name: &str, host: &str, login: &Login) -> Result<()> {
    let (user, secret) = match login {
        Login::Password { user, password } => (user.as_str(), password),
        Login::IdentityToken(token) => (TOKEN_USER, token),
    };
    let stored = Stored {
        server: server(host).to_owned(),
        username: user.to_owned(),
        secret: secret.clone(),
    };
    let text = serde_json::to_string(&stored).expect("three strings are JSON");
    match converse(name, "store", &text)? {
        (true, _) => Ok(()),
        (false, _) => Err(fail(name, "it could not `store` the login")),
    }
}

/// Has `docker-credential-name` forget the login for `host`.
///
/// # Errors
/// As [`get`].
pub fn erase(name: &str, host: &str) -> Result<()> {
    match converse(name, "erase", server(host))? {
        (true, _) => Ok(()),
        (false, _) => Err(fail(name, "it could not `erase` the login")),
    }
}

/// What programs call a host: Docker Hub has a name of its own there.
fn server(host: &str) -> &str {
    match host {
        "docker.io" => "https://index.docker.io/v1/",
        host => host,
    }
}

/// Whether the program succeeded, and what it wrote.
fn converse(name: &str, action: &str, input: &str) -> Result<(bool, Vec<u8>)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(fail(name, "that is not the name of a program"));
    }
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg(action)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| fail(name, &format!("it cannot be started: {error}")))?;
    let answer = answer(&mut child, input);
    if answer.is_none() {
        let _ = child.kill();
    }
    let succeeded = child.wait().is_ok_and(|status| status.success());
    let answer = answer.ok_or_else(|| fail(name, "it did not answer in time"))?;
    Ok((succeeded, answer))
}

/// What `child` answers to `input`; `None` if it takes too long.
fn answer(child: &mut Child, input: &str) -> Option<Vec<u8>> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take()?);
    let (sender, receiver) = mpsc::channel();
    // Both end with the child, which is killed when they take too long.
    let input = input.to_owned();
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stdout.take(ANSWER_LIMIT).read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    receiver.recv_timeout(PATIENCE).ok()
}

fn fail(name: &str, why: &str) -> Error {
    Error::Helper {
        program: format!("docker-credential-{name}"),
        why: why.to_owned(),
    }
}
