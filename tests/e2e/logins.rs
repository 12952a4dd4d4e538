//! Registries that want to know who asks, and certificates that only a site trusts.

use std::{fs, os::unix::fs::PermissionsExt};

use rbuild_testkit::{
    Base, Host, Need, Output, Registry, Size, TokenServer,
    fault_registry::{Access, FaultRegistry},
    need,
};

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
    let server = certificate(&host, "server");
    let tls = format!(", tls: {{certificate: '{server}.crt', key: '{server}.key'}}");
    let registry = Registry::start_with(&host, &tls, &htpasswd(&host)).unwrap();
    let untrusted = rbuild(
        &host,
        &["login", "-u", "user", "-p", "secret", &registry.address()],
    );
    assert_ne!(untrusted.status, 0);
    let (dir, _) = server.rsplit_once('/').unwrap();
    use_privately(&host, &registry.address(), &["--cert-dir", dir]);
}

#[test]
fn an_output_may_trust_a_registry_further_than_the_rest_of_the_build() {
    let Some(host) = need(NEEDS) else { return };
    host.import(Base::Busybox);
    let server = certificate(&host, "server");
    let tls = format!(", tls: {{certificate: '{server}.crt', key: '{server}.key'}}");
    let registry = Registry::start_with(&host, &tls, "").unwrap();
    let name = format!("{}/team/app:1", registry.address());
    let output = |words: &str| format!("type=image,name={name},push=true{words}");
    let build = |from: &str, outputs: &[&str]| {
        let outputs = outputs.iter().flat_map(|output| ["-o", output]);
        let flags = ["--retry=0"].into_iter().chain(outputs);
        let dockerfile = format!("FROM {from}\nRUN echo a > /a\n");
        host.build(&dockerfile, &flags.collect::<Vec<_>>())
    };
    let (plain, insecure) = (output(""), output(",registry.insecure=true"));
    let refused = build(Base::Busybox.image(), &[&plain]).failure();
    assert!(refused.says("--tls-verify=false"), "{refused}");
    build(Base::Busybox.image(), &[&insecure]).success();
    // The other output, and the base image, are not trusted for that.
    build(Base::Busybox.image(), &[&insecure, &plain]).failure();
    build(&name, &[&insecure]).failure();
    let list = ["--platform=linux/amd64,linux/arm64", "-o", &insecure];
    host.build("FROM scratch\nLABEL a=b\n", &list).success();
    let trusting = ["pull", "-q", "--tls-verify=false", &name];
    rbuild(&host, &trusting).success();
}

#[test]
fn push_pull_and_bud_take_the_same_flags() {
    let Some(host) = need(NEEDS) else { return };
    host.import(Base::Busybox);
    let server = certificate(&host, "server");
    let tls = format!(", tls: {{certificate: '{server}.crt', key: '{server}.key'}}");
    let registry = Registry::start_with(&host, &tls, &htpasswd(&host)).unwrap();
    let (address, (dir, _)) = (registry.address(), server.rsplit_once('/').unwrap());
    let image = format!("{address}/team/base:1");
    let dockerfile = format!("FROM {image}\nRUN true\n");
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    let auth = format!(r#"{{"auths":{{"{address}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#);
    host.scratch.file("my-auth.json", auth).unwrap();
    let creds = ["--creds", "user:secret"];
    let works = [
        [&["--tls-verify=false"], &creds[..]].concat(),
        vec!["--cert-dir", dir, "--authfile", "my-auth.json"],
    ];
    let fails = [
        (creds.to_vec(), "--tls-verify=false"),
        (
            vec!["--tls-verify", "--creds", "user:secret"],
            "--tls-verify=false",
        ),
        (
            vec!["--cert-dir", dir, "--creds", "user:wrong"],
            "status 401",
        ),
        (
            vec!["--cert-dir", dir, "--authfile", "absent.json"],
            "absent.json",
        ),
        (
            vec!["--cert-dir", "absent", "--creds", "user:secret"],
            "absent",
        ),
    ];
    let commands: [&[&str]; 3] = [
        &["push", "alpine", &image],
        &["pull", &image],
        &["bud", "ctx"],
    ];
    for command in commands {
        let run = |flags: &[&str]| {
            rbuild(&host, &["rmi", &image]);
            let quick = ["--retry", "0", "--retry-delay", "1ms"];
            rbuild(
                &host,
                &[&command[..1], &quick, flags, &command[1..]].concat(),
            )
        };
        for (flags, why) in &fails {
            refused(&run(flags), why);
        }
        for flags in &works {
            run(flags).success();
        }
    }
}

#[test]
fn a_registry_with_a_token_server_is_used_with_a_login() {
    let Some(host) = need(NEEDS) else { return };
    let tokens = TokenServer::start(&host, "user:secret").unwrap();
    let registry = Registry::start_with(&host, "", &tokens.yaml()).unwrap();
    use_privately(&host, &registry.address(), &[]);
    let asked = tokens.server.requests();
    let scope = |actions: &str| format!("scope=repository%3Ateam%2Fbase%3A{actions}");
    for actions in ["pull", "pull%2Cpush"] {
        let is_it = |it: &String| it.ends_with(&scope(actions));
        assert!(asked.iter().any(is_it), "{asked:#?}");
    }
}

/// A program that knows `user:secret` for every host, and writes down what it was asked.
const HELPER: &str = "#!/bin/sh\nread -r host\necho \"$1 $host\" >> \"$HELPER_LOG\"\n\
    echo '{\"ServerURL\":\"x\",\"Username\":\"user\",\"Secret\":\"secret\"}'\n";

#[test]
fn a_credential_helper_is_asked_for_the_host_that_it_is_named_for() {
    let Some(host) = need(NEEDS) else { return };
    let registry = Registry::start_with(&host, "", &htpasswd(&host)).unwrap();
    let address = registry.address();
    host.import(Base::Busybox);
    let helper = host.scratch.file("bin/docker-credential-it", HELPER);
    fs::set_permissions(helper.unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let image = format!("{address}/team/base:1");
    let run = |logins: &str, args: &[&str]| {
        let file = host.scratch.file("helper.json", logins).unwrap();
        let mut command = host.rbuild(args);
        let path = host.scratch.path().join("bin").display().to_string();
        command
            .env("REGISTRY_AUTH_FILE", file)
            .env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()))
            .env("HELPER_LOG", host.scratch.path().join("asked"));
        Output::of(&mut command).unwrap()
    };
    let named = format!(r#"{{"credHelpers":{{"{address}":"it"}}}}"#);
    let other = r#"{"credHelpers":{"elsewhere.example":"it"}}"#;
    let for_all = r#"{"credsStore":"it"}"#;
    let absent = r#"{"credsStore":"absent"}"#;
    let push = ["push", "alpine", &image];
    refused(&run(other, &push), "no login is known");
    refused(&run(absent, &push), "`docker-credential-absent`");
    run(&named, &push).success();
    run(for_all, &["pull", &image]).success();
    run(for_all, &["rmi", &image]).success();
    let dockerfile = format!("FROM {image}\nRUN true\n");
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    run(&named, &["bud", "ctx"]).success();
    let asked = fs::read_to_string(host.scratch.path().join("asked")).unwrap();
    let expected = format!("get {address}\n");
    assert_eq!(asked, expected.repeat(3));
}

#[test]
fn a_client_certificate_is_shown_to_its_host() {
    let Some(host) = need(NEEDS) else { return };
    host.import(Base::Busybox);
    let (server, client) = (certificate(&host, "server"), certificate(&host, "client"));
    let tls = format!(
        ", tls: {{certificate: '{server}.crt', key: '{server}.key', clientcas: ['{client}.crt']}}"
    );
    let registry = Registry::start_with(&host, &tls, "").unwrap();
    let image = format!("{}/team/base:1", registry.address());
    let home = host.scratch.dir("home").unwrap();
    let certs = format!("home/.config/containers/certs.d/{}", registry.address());
    let push = || {
        let mut command = host.rbuild(&["push", "--retry", "0", "alpine", &image]);
        command.env("HOME", &home).env_remove("XDG_CONFIG_HOME");
        Output::of(&mut command).unwrap()
    };
    let copy = |from: String, to: &str| {
        let bytes = fs::read(from).unwrap();
        host.scratch.file(&format!("{certs}/{to}"), bytes).unwrap();
    };
    copy(format!("{server}.crt"), "ca.crt");
    let nobody = push();
    assert_ne!(nobody.status, 0);
    copy(format!("{client}.crt"), "me.cert");
    let keyless = push();
    assert_ne!(keyless.status, 0);
    assert!(keyless.stderr.contains("me.key"), "{}", keyless.stderr);
    copy(format!("{client}.key"), "me.key");
    push().success();
}

/// Makes `NAME.crt` for this machine, also called `registry.test`, which is its own authority, and
/// `NAME.key`; returns the path without its ending.
pub fn certificate(host: &Host, name: &str) -> String {
    let dir = host.scratch.dir("certs").unwrap();
    let options = "req -x509 -newkey rsa:2048 -nodes -days 2 \
                   -addext subjectAltName=IP:127.0.0.1,DNS:registry.test \
                   -addext basicConstraints=critical,CA:FALSE";
    let (key, crt) = (format!("{name}.key"), format!("{name}.crt"));
    let subject = format!("/CN={name}");
    let mut command = host.account.command("openssl");
    command
        .args(options.split_whitespace())
        .args(["-subj", &subject, "-keyout", &key, "-out", &crt])
        .current_dir(&dir);
    Output::of_success(&mut command).unwrap();
    dir.join(name).display().to_string()
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

#[test]
fn a_short_name_of_several_registries_is_asked_about_as_the_mode_says() {
    let Some(host) = need(NEEDS) else { return };
    let registries = ["first", "second"].map(|_| FaultRegistry::start(Access::Open, Vec::new()));
    let addresses = registries.each_ref().map(FaultRegistry::address);
    host.import(Base::Busybox);
    for address in &addresses {
        let image = format!("{address}/x:1");
        host.build(
            &format!("FROM alpine\nLABEL at={address}\n"),
            &["-t", &image],
        )
        .success();
        host.run(&["push", &image]).success();
        host.run(&["rmi", &image]).success();
    }
    let command = |mode: &str, args: &[&str]| {
        let [first, second] = &addresses;
        let text = format!(
            "unqualified-search-registries = ['{first}', '{second}']\n\
             short-name-mode = '{mode}'\n[aliases]\ny = '{second}/x'\n"
        );
        let conf = host.scratch.file(&format!("{mode}.conf"), text).unwrap();
        let mut command = host.rbuild(args);
        command.env("CONTAINERS_REGISTRIES_CONF", conf);
        command
    };
    let run = |mode: &str, args: &[&str]| Output::of(&mut command(mode, args)).unwrap();
    for args in [&["pull", "x:1"][..], &["bud", "ctx"]] {
        host.scratch.file("ctx/Dockerfile", "FROM x:1\n").unwrap();
        let refused = run("enforcing", args).failure();
        let [first, second] = &addresses;
        let refused = refused.saying(&format!("may mean `{first}/x:1`, `{second}/x:1`"));
        refused.saying("short-name-mode");
    }
    run("enforcing", &["pull", "y:1"]).success();
    for mode in ["permissive", "disabled"] {
        let said = run(mode, &["pull", "x:1"]).success();
        assert!(said.says(&format!("from {}/x:1", addresses[0])), "{said}");
    }
    for (mode, typed, at) in [("enforcing", "7\n2\n", 1), ("permissive", "1\n", 0)] {
        let size = Size {
            rows: 24,
            columns: 80,
        };
        let mut terminal = host.started_in_terminal(&command(mode, &["pull", "x:1"]), size);
        terminal.expect("Which image is meant?");
        terminal.expect(&format!("2) {}/x:1", addresses[1]));
        terminal.expect("1 to 2: ");
        terminal.enter(typed);
        terminal.expect(&format!("`{}/x:1` it is", addresses[at]));
        assert!(terminal.wait().0.success());
    }
}

#[test]
fn drop_ins_win_by_their_names_and_aliases_that_podman_remembers_are_known() {
    let Some(host) = need(NEEDS) else { return };
    let registries = ["first", "second"].map(|_| FaultRegistry::start(Access::Open, Vec::new()));
    let [first, second] = registries.each_ref().map(FaultRegistry::address);
    host.import(Base::Busybox);
    for (address, name) in [(&first, "x"), (&second, "x"), (&first, "deep/y")] {
        let image = format!("{address}/{name}:1");
        host.run(&["push", "alpine", &image]).success();
    }
    let home = host.scratch.dir("home").unwrap();
    let file = |path: &str, text: String| host.scratch.file(path, text).unwrap();
    let config = "home/.config/containers";
    let search = |at: &str| format!("unqualified-search-registries = ['{at}']\n");
    // It is pulled, and from that registry.
    let check = |name: &str, from: usize, path: &str| {
        let asked = |registry: &FaultRegistry| {
            let requests = registry.requests();
            requests.iter().filter(|it| it.contains(path)).count()
        };
        let before = registries.each_ref().map(asked);
        let mut command = host.rbuild(&["pull", "--retry=0", name]);
        Output::of(command.env("HOME", &home)).unwrap().success();
        let after = registries.each_ref().map(asked);
        assert!(after[from] > before[from], "{name}");
        assert_eq!(after[1 - from], before[1 - from], "{name}");
    };
    file(&format!("{config}/registries.conf"), search(&first));
    file(
        &format!("{config}/registries.conf.d/10.conf"),
        search("no.invalid"),
    );
    file(
        &format!("{config}/registries.conf.d/20.conf"),
        search(&second),
    );
    file(
        &format!("{config}/registries.conf.d/30.off"),
        search("no.invalid"),
    );
    check("x:1", 1, "/v2/x/manifests/1");
    let wildcard = format!("[[registry]]\nprefix = '*.site.test'\nlocation = '{first}/deep'\n");
    file(&format!("{config}/registries.conf.d/05.conf"), wildcard);
    check("a.site.test/y:1", 0, "/v2/deep/y/manifests/1");
    let alias = format!("[aliases]\n'x' = '{first}/x'\n");
    file("home/.cache/containers/short-name-aliases.conf", alias);
    check("x:1", 0, "/v2/x/manifests/1");
    let broken = host.scratch.file(
        &format!("{config}/registries.conf.d/40.conf"),
        "[[registry]",
    );
    let mut command = host.rbuild(&["pull", "x:1"]);
    let output = Output::of(command.env("HOME", &home)).unwrap().failure();
    output.saying(&broken.unwrap().display().to_string());
}

/// A program that keeps one login in a file.
const KEEPER: &str = "#!/bin/sh\ncase $1 in\nstore) cat > \"$KEPT\" ;;\nerase) rm \"$KEPT\" ;;\n\
    get) cat \"$KEPT\" 2> /dev/null || { echo credentials not found in native keychain; exit 1; } ;;\nesac\n";

#[test]
fn a_login_is_read_from_standard_input_kept_by_a_program_and_forgotten() {
    let Some(host) = need(NEEDS) else { return };
    let registry = Registry::start_with(&host, "", &htpasswd(&host)).unwrap();
    let address = registry.address();
    host.import(Base::Busybox);
    let keeper = host.scratch.file("bin/docker-credential-keeper", KEEPER);
    fs::set_permissions(keeper.unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = |name: &str| host.scratch.path().join(name);
    let run = |file: &str, args: &[&str], input: &str| {
        let mut command = host.rbuild(args);
        command
            .env("REGISTRY_AUTH_FILE", path(file))
            .env("KEPT", path("kept"))
            .env("PATH", format!("{}:/usr/bin:/bin", path("bin").display()));
        Output::of_input(&mut command, input.as_bytes()).unwrap()
    };
    let login = ["login", "-u", "user", "--password-stdin", &address];
    let who = ["login", "--get-login", &address];
    let push = ["push", "alpine", &format!("{address}/a:1")];
    for file in ["plain.json", "kept.json"] {
        if file == "kept.json" {
            let text = format!(r#"{{"credHelpers":{{"{address}":"keeper"}}}}"#);
            host.scratch.file(file, text).unwrap();
        }
        refused(&run(file, &login, "wrong-secret\n"), "status 401");
        refused(&run(file, &who, ""), "nobody is logged in");
        run(file, &login, "secret\n").success();
        assert_eq!(run(file, &who, "").success().stdout, "user\n", "{file}");
        run(file, &push, "").success();
        let elsewhere = ["login", "--get-login", "elsewhere.example"];
        refused(&run(file, &elsewhere, ""), "nobody is logged in");
        let text = fs::read_to_string(path(file)).unwrap();
        // dXNlcjpzZWNyZXQ= is `user:secret`.
        let is_in_file = text.contains("dXNlcjpzZWNyZXQ=");
        assert_eq!(is_in_file, file == "plain.json", "{text}");
        assert_eq!(path("kept").exists(), !is_in_file);
        run(file, &["logout", "--all"], "").success();
        refused(&run(file, &who, ""), "nobody is logged in");
        assert!(!path("kept").exists());
        refused(&run(file, &push, ""), "no login is known");
    }
    let without_user = ["login", "--password-stdin", &address];
    refused(&run("plain.json", &without_user, "secret\n"), "--username");
}

#[test]
fn logins_of_other_programs_are_found_in_the_usual_order() {
    let Some(host) = need(NEEDS) else { return };
    let registry = Registry::start_with(&host, "", &htpasswd(&host)).unwrap();
    let address = registry.address();
    host.import(Base::Busybox);
    let home = host.scratch.dir("home").unwrap();
    let runtime = host.scratch.dir("runtime").unwrap();
    let run = |args: &[&str]| {
        let mut command = host.rbuild(args);
        command.env("HOME", &home).env("XDG_RUNTIME_DIR", &runtime);
        Output::of(&mut command).unwrap()
    };
    let who = ["login", "--get-login", &address];
    // The last one is asked first. base64: a:x, b:x, user:secret.
    for (file, auth, user) in [
        ("home/.docker/config.json", "YTp4", "a"),
        ("home/.config/containers/auth.json", "Yjp4", "b"),
        ("runtime/containers/auth.json", "dXNlcjpzZWNyZXQ=", "user"),
    ] {
        refused(&run(&["push", "alpine", &format!("{address}/a:1")]), "401");
        let text = format!(r#"{{"auths":{{"{address}":{{"auth":"{auth}"}}}}}}"#);
        host.scratch.file(file, text).unwrap();
        assert_eq!(run(&who).success().stdout.trim_end(), user);
    }
    run(&["push", "alpine", &format!("{address}/a:1")]).success();
}
