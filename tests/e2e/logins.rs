//! Registries that want to know who asks, and certificates that only a site trusts.

use rbuild_testkit::{Base, Host, Need, Output, Registry, need};

const NEEDS: &[Need] = &[
    Need::Rbuild,
    Need::Range,
    Need::Base(Base::Busybox),
    Need::Tool("docker-registry"),
    Need::Tool("htpasswd"),
    Need::Tool("openssl"),
];

/// The YAML that lets `user` with `secret` in.
fn htpasswd(host: &Host) -> String {
    let output = Output::of_success(
        host.account
            .command("htpasswd")
            .args(["-nbB", "user", "secret"]),
    )
    .unwrap();
    let file = host.scratch.file("htpasswd", output.stdout).unwrap();
    format!(
        "auth: {{htpasswd: {{realm: it, path: '{}'}}}}\n",
        file.display()
    )
}

/// `rbuild args…` with logins in a file of this test's own.
fn rbuild(host: &Host, args: &[&str]) -> Output {
    let mut command = host.rbuild(args);
    command.env("REGISTRY_AUTH_FILE", host.scratch.path().join("auth.json"));
    Output::of(&mut command).unwrap()
}

#[track_caller]
fn refused(output: &Output, word: &str) {
    assert_ne!(output.status, 0, "{}", output.stderr);
    assert!(output.stderr.contains(word), "{}", output.stderr);
    assert!(!output.stderr.contains("secret"), "{}", output.stderr);
}

/// Pushes, pulls and builds on a private image, as far as the login allows.
fn use_privately(host: &Host, address: &str, flags: &[&str]) {
    host.import(Base::Busybox);
    let image = format!("{address}/team/base:1");
    let run = |command: &str, rest: &[&str]| rbuild(host, &[&[command], flags, rest].concat());
    let hint = format!("rbuild login {address}");
    refused(&run("push", &["alpine", &image]), &hint);
    refused(
        &run("login", &["-u", "user", "-p", "wrong-secret", address]),
        "status 401",
    );
    run("login", &["-u", "user", "-p", "secret", address]).success();
    let file = host.scratch.path().join("auth.json");
    let mode = Output::of_success(host.account.command("stat").arg("-c%a").arg(&file)).unwrap();
    assert_eq!(mode.stdout.trim(), "600");
    let who = rbuild(host, &["login", "--get-login", address]);
    assert_eq!(who.stdout.trim(), "user");
    run("push", &["alpine", &image]).success();
    run("pull", &[&image]).success();
    rbuild(host, &["rmi", &image]).success();
    host.scratch
        .file("ctx/Dockerfile", format!("FROM {image}\nRUN true\n"))
        .unwrap();
    run("bud", &["ctx"]).success();
    rbuild(host, &["rmi", &image]).success();
    rbuild(host, &["logout", address]).success();
    refused(&run("pull", &[&image]), &hint);
    refused(&run("bud", &["ctx"]), &hint);
    run("pull", &["--creds", "user:secret", &image]).success();
}

#[test]
fn a_private_registry_is_used_with_a_login() {
    let Some(host) = need(NEEDS) else { return };
    let registry = Registry::start_with(&host, "", &htpasswd(&host)).unwrap();
    use_privately(&host, &registry.address(), &[]);
}

#[test]
fn a_site_certificate_is_trusted_where_it_is_configured() {
    let Some(host) = need(NEEDS) else { return };
    let certs = host.scratch.dir("certs").unwrap();
    let file = |name: &str| certs.join(name).display().to_string();
    Output::of_success(host.account.command("openssl").args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=it",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        &file("server.pem"),
        "-out",
        &file("ca.crt"),
    ]))
    .unwrap();
    let tls = format!(
        ", tls: {{certificate: '{}', key: '{}'}}",
        file("ca.crt"),
        file("server.pem")
    );
    let registry = Registry::start_with(&host, &tls, &htpasswd(&host)).unwrap();
    let untrusted = rbuild(
        &host,
        &["login", "-u", "user", "-p", "secret", &registry.address()],
    );
    assert_ne!(untrusted.status, 0);
    let dir = certs.display().to_string();
    use_privately(&host, &registry.address(), &["--cert-dir", &dir]);
}

#[test]
fn registries_conf_moves_names_and_blocks_them() {
    let Some(host) = need(NEEDS) else { return };
    let registry = Registry::start(&host).unwrap();
    let address = registry.address();
    host.import(Base::Busybox);
    rbuild(
        &host,
        &["push", "alpine", &format!("{address}/mirror/thing:1")],
    )
    .success();
    let text = format!(
        "unqualified-search-registries = ['moved.invalid']\n\
         [[registry]]\nlocation = 'moved.invalid'\n\
         [[registry.mirror]]\nlocation = '{address}/mirror'\ninsecure = true\n\
         [[registry]]\nlocation = 'blocked.invalid'\nblocked = true\n"
    );
    let conf = host.scratch.file("registries.conf", text).unwrap();
    let pull = |name: &str| {
        let mut command = host.rbuild(&["pull", name]);
        Output::of(command.env("CONTAINERS_REGISTRIES_CONF", &conf)).unwrap()
    };
    let pulled = pull("thing:1");
    assert!(
        pulled
            .stderr
            .contains(&format!("thing:1 from {address}/mirror/thing:1")),
        "{}",
        pulled.stderr
    );
    pulled.success();
    let names = rbuild(&host, &["images", "--format", "{{.Name}}"]).stdout;
    assert!(names.contains("moved.invalid/thing"), "{names}");
    refused(&pull("blocked.invalid/x"), "`blocked.invalid` is blocked");
}
