//! Where a build comes from: directories, archives, repositories, URLs, standard input; and the
//! Dockerfile in them. dockerfile.md P1, P2, 1.13; cli.md 2.1.

use std::fs;
use std::path::Path;
use std::process::Command;

use rbuild_testkit::{
    Host, Need,
    http::{Ending, Reply, Seen, Server},
};

use serde_json::{Value, json};

use crate::surroundings::{host, host_with};

/// Reads `/out` of the image `it`.
#[track_caller]
fn out(host: &Host) -> String {
    host.run(&["run", "it", "cat", "/out"]).success().stdout
}

/// What `script` writes to its standard output, in the directory `in` of the scratch directory.
#[track_caller]
fn shell(host: &Host, script: &str) -> Vec<u8> {
    let directory = host.scratch.dir("in").unwrap();
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "a")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "a@b")))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    output.stdout
}

/// A context in the directory `in`.
fn context(host: &Host) {
    let dockerfile = "FROM alpine\nCOPY . /ctx\nRUN cat /ctx/file > /out && ls /ctx >> /out\n";
    host.scratch.file("in/Dockerfile", dockerfile).unwrap();
    host.scratch.file("in/file", "content\n").unwrap();
}

/// Files below `root` over http, as any server of files has them.
fn serve(root: &Path) -> Server {
    let root = root.to_owned();
    Server::start(move |seen: &Seen| {
        let path = seen.path.split('?').next().unwrap_or_default();
        match fs::read(root.join(path.trim_start_matches('/'))) {
            Ok(bytes) => Reply::new(200, bytes),
            Err(_) => Reply::new(404, "no"),
        }
    })
}

#[test]
fn i1_standard_input_is_an_archive_however_it_is_compressed() {
    let Some(host) = host() else { return };
    context(&host);
    for flag in ["", "-z", "-j", "-J", "--zstd"] {
        let archive = shell(&host, &format!("tar {flag} -c ."));
        host.run_with(&["bud", "-t", "it", "-"], &archive).success();
        assert_eq!(out(&host), "content\nDockerfile\nfile\n", "{flag}");
    }
}

#[test]
fn i1_standard_input_is_a_dockerfile_without_files() {
    let Some(host) = host() else { return };
    let text = b"FROM alpine\nRUN echo text > /out\n";
    host.run_with(&["bud", "-t", "it", "-"], text).success();
    assert_eq!(out(&host), "text\n");
    host.scratch.file("here", "x").unwrap();
    host.run_with(&["bud", "-"], b"FROM scratch\nCOPY here /\n")
        .failure()
        .saying("standard input:2")
        .saying("`/here` not found");
    host.run_with(&["bud", "-f", "other", "-"], text)
        .failure()
        .saying("standard input is a Dockerfile, and so is -f `other`");
}

#[test]
fn i1_a_local_archive_is_a_context() {
    let Some(host) = host() else { return };
    context(&host);
    host.scratch
        .file("in/sub/Other", "FROM alpine\nCOPY file /out\n")
        .unwrap();
    shell(&host, "tar -czf ../ctx.bin .");
    host.run(&["bud", "-t", "it", "ctx.bin"]).success();
    assert_eq!(out(&host), "content\nDockerfile\nfile\nsub\n");
    host.run(&["bud", "-t", "it", "-f", "sub/Other", "ctx.bin"])
        .success();
    assert_eq!(out(&host), "content\n");
    // The file of that name beside the archive is not meant.
    host.scratch.file("Beside", "FROM alpine\n").unwrap();
    host.run(&["bud", "-f", "Beside", "ctx.bin"])
        .failure()
        .saying("there is no Dockerfile `Beside` in `ctx.bin`")
        .saying("hint: ");
}

#[test]
fn i1_the_main_context_may_be_a_file_that_is_a_dockerfile() {
    let Some(host) = host() else { return };
    host.scratch
        .file("Some.file", "FROM alpine\nRUN echo some > /out\n")
        .unwrap();
    host.run(&["bud", "-t", "it", "Some.file"]).success();
    assert_eq!(out(&host), "some\n");
}

/// Serves the scratch directory, with a repository `repo.git` that has the branches `main` and
/// `other`.
fn repository(host: &Host) -> Server {
    context(host);
    host.scratch.file("in/.dockerignore", "file\n").unwrap();
    host.scratch.file("in/sub/file", "of sub\n").unwrap();
    host.scratch
        .file("in/sub/Containerfile", "FROM alpine\nCOPY file /out\n")
        .unwrap();
    shell(
        host,
        "git init -q -b main . && git add . && git commit -qm 1 && git checkout -qb other && \
         echo branch > file && git commit -qam 2 && git clone -q --bare . ../repo.git && \
         cd ../repo.git && git update-server-info",
    );
    serve(host.scratch.path())
}

#[test]
fn i1_t40_a_git_repository_is_a_context_and_no_ignore_file_counts() {
    let Some(host) = host_with(&[Need::Tool("git")]) else {
        return;
    };
    let server = repository(&host);
    let url = |rest: &str| server.url(&format!("/repo.git{rest}"));
    host.run(&["bud", "-t", "it", &url("#main")]).success();
    assert_eq!(out(&host), "content\nDockerfile\nfile\nsub\n");
    host.run(&["bud", "-t", "it", &url("#other")]).success();
    assert_eq!(out(&host), "branch\nDockerfile\nfile\nsub\n");
    host.run(&["bud", "-t", "it", &url("#main:sub")]).success();
    assert_eq!(out(&host), "of sub\n");
    host.run(&["bud", "-t", "it", &url("?branch=other&subdir=sub")])
        .success();
    host.run(&["bud", &url("#no-such")])
        .failure()
        .saying("no-such");

    let named = format!("src={}", url("#other"));
    host.build(
        "FROM alpine\nCOPY --from=src file /out\n",
        &["-t", "it", "--build-context", &named],
    )
    .success();
    assert_eq!(out(&host), "branch\n");
}

#[test]
fn provenance_says_what_was_fetched_and_not_only_from_where() {
    let Some(host) = host_with(&[Need::Tool("git")]) else {
        return;
    };
    let server = repository(&host);
    let url = |rest: &str| server.url(&format!("/repo.git{rest}"));
    let built = |args: &[&str]| -> Value {
        let told = ["bud", "--provenance=mode=min", "-o", "told"];
        host.run(&[&told[..], args].concat()).success();
        let told = fs::read(host.scratch.path().join("told/provenance.json")).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        told["predicate"]["buildDefinition"].clone()
    };
    let commit = String::from_utf8(shell(&host, "git rev-parse other")).unwrap();
    let repository = json!({
        "uri": format!("git+{}@refs/heads/other", url("")),
        "digest": { "gitCommit": commit.trim() },
    });
    let context = built(&[&url("?branch=other")]);
    let told = context["resolvedDependencies"].as_array().unwrap();
    assert!(told.contains(&repository), "{context}");
    let source = &context["externalParameters"]["configSource"];
    assert_eq!(source["uri"], repository["uri"]);
    assert_eq!(source["digest"], repository["digest"]);

    let file = server.url("/in/sub/file");
    let dockerfile = format!(
        "FROM alpine\nADD {} /src\nADD {file} /f\n",
        url("?branch=other")
    );
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    let sum = String::from_utf8(shell(&host, "sha256sum sub/file")).unwrap();
    let file = json!({ "uri": file, "digest": { "sha256": sum.split(' ').next() } });
    // When it is in the cache, too.
    for _ in 0..2 {
        let added = built(&["ctx"]);
        let told = added["resolvedDependencies"].as_array().unwrap();
        assert!(
            told.contains(&repository) && told.contains(&file),
            "{added}"
        );
    }
}

#[test]
fn i1_a_url_is_an_archive_or_a_dockerfile() {
    let Some(host) = host() else { return };
    context(&host);
    shell(&host, "tar -cJf ../ctx.tar.xz .");
    host.scratch
        .file("plain", "FROM alpine\nRUN echo plain > /out\n")
        .unwrap();
    let server = serve(host.scratch.path());
    let url = server.url("/ctx.tar.xz?version=1");
    host.run(&["bud", "-t", "it", &url]).success();
    assert_eq!(out(&host), "content\nDockerfile\nfile\n");
    host.run(&["bud", "-t", "it", &server.url("/plain")])
        .success();
    assert_eq!(out(&host), "plain\n");
    host.run(&["bud", &server.url("/missing")])
        .failure()
        .saying("404");

    let named = format!("files={url}");
    let dockerfile = "FROM alpine\nRUN --mount=from=files,target=/f cat /f/file > /out\n";
    host.build(dockerfile, &["-t", "it", "--build-context", &named])
        .success();
    assert_eq!(out(&host), "content\n");
}

#[test]
fn x4_x6_secrets_authorize_what_is_fetched() {
    let Some(host) = host() else { return };
    let server = Server::start(|seen| match seen.headers.get("authorization") {
        Some(value) if value == "Bearer t0ken" => Reply::new(200, "FROM alpine\nRUN true\n"),
        _ => Reply::new(401, "no"),
    });
    host.scratch.file("token", "t0ken\n").unwrap();
    let secret = "id=HTTP_AUTH_TOKEN_127.0.0.1,src=token";
    let url = server.url("/x");
    host.run(&["bud", &url]).failure().saying("401");
    host.run(&["bud", "--secret", secret, &url]).success();
    let dockerfile = format!("FROM alpine\nADD {url} /out\n");
    host.build(&dockerfile, &[]).failure().saying("401");
    let output = host
        .build(&dockerfile, &["-t", "it", "--secret", secret])
        .success();
    assert!(!output.says("t0ken"), "{output}");
    assert_eq!(out(&host), "FROM alpine\nRUN true\n");
}

#[test]
fn f5_a_named_context_that_is_not_needed_is_not_fetched() {
    let Some(host) = host() else { return };
    let server = Server::start(|_| Reply::new(404, ""));
    let named = format!("unused={}", server.url("/x.tar"));
    host.build("FROM alpine\n", &["--build-context", &named])
        .success();
    assert!(server.requests().is_empty());
    host.build(
        "FROM alpine\nCOPY --from=unused a /\n",
        &["--build-context", &named],
    )
    .failure()
    .saying("404");
}

#[test]
fn p1_a_dockerfile_can_be_a_url() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/file", "local\n").unwrap();
    let server = Server::start(|seen| match seen.path.as_str() {
        "/good" => Reply::new(200, "FROM alpine\nCOPY file /out\n"),
        "/bad" => Reply::new(200, "FROM alpine\nCOPPY a b\n"),
        _ => Reply::new(200, vec![b'#'; 1 << 20]).ending(Ending::Endless),
    });
    let bud = |path: &str| host.run(&["bud", "-t", "it", "-f", &server.url(path), "ctx"]);
    bud("/good").success();
    assert_eq!(out(&host), "local\n");
    bud("/bad").failure().saying("/bad:2:1");
    bud("/endless").failure().saying("4194304");
    host.run(&["bud", "-f", "http://127.0.0.1:1/x", "ctx", "--retry", "0"])
        .failure()
        .saying("127.0.0.1");
}

#[test]
fn p2_several_files_continue_each_other_and_keep_their_lines() {
    let Some(host) = host() else { return };
    host.scratch
        .file("ctx/first", "FROM alpine\nRUN echo 1 > /out")
        .unwrap();
    host.scratch
        .file("ctx/second", "# more\n\nRUN echo 2 >> /out\n")
        .unwrap();
    let bud = |files: &[&str], input: &[u8]| {
        let flags: Vec<&str> = files.iter().flat_map(|file| ["-f", file]).collect();
        host.run_with(
            &[&["bud", "-t", "it"], &flags[..], &["ctx"]].concat(),
            input,
        )
    };
    bud(&["first", "second", "-"], b"RUN echo 3 >> /out\n").success();
    assert_eq!(out(&host), "1\n2\n3\n");
    host.scratch
        .file("ctx/third", "RUN true\nCOPPY a b\n")
        .unwrap();
    bud(&["first", "second", "third"], b"")
        .failure()
        .saying("third:2:1");
    bud(&["first", "-", "second"], b"\nRUN exit 7\n")
        .failure()
        .saying("standard input:2")
        .saying("7");
    host.scratch.file("ctx/x.in", "FROM alpine\n").unwrap();
    bud(&["x.in"], b"").failure().saying("C preprocessor");
    bud(&["-", "-"], b"FROM alpine\n")
        .failure()
        .saying("standard input");
}

#[test]
fn hostile_archives_cannot_reach_the_host() {
    let Some(host) = host() else { return };
    // A Dockerfile that leads to a file of the host is read inside of the archive, or not at all.
    for target in ["/etc/passwd", "../../../../../../../etc/passwd"] {
        shell(&host, &format!("rm -rf * && ln -s {target} Dockerfile"));
        let archive = shell(&host, "tar -c .");
        let output = host.run_with(&["bud", "-"], &archive).failure();
        output
            .clone()
            .saying("there is no Dockerfile in standard input");
        assert!(!output.says("root:"), "{output}");
        host.run_with(
            &["bud", "-f", "../../../../../../etc/passwd", "-"],
            &archive,
        )
        .failure()
        .saying("there is no Dockerfile");
    }
    // A file that would land beside the archive's root, through its name or a link.
    shell(
        &host,
        "rm -rf * && echo FROM scratch > Dockerfile && echo evil > evil",
    );
    let archive = shell(
        &host,
        "tar -Pc --transform='s,^evil,../evil-twin,' Dockerfile evil",
    );
    host.run_with(&["bud", "-"], &archive).failure();
    shell(
        &host,
        "ln -s /var/tmp link && mkdir d && echo evil > d/evil-link",
    );
    let archive = shell(
        &host,
        "tar -c link > ../a && tar -c --transform='s,^d,link,' d/evil-link > ../b && tar -Af ../a ../b && cat ../a",
    );
    host.run_with(&["bud", "-"], &archive);
    assert!(!Path::new("/var/tmp/evil-link").exists());
    // A device is not read, a FIFO does not block.
    shell(&host, "rm -rf * && mkfifo Dockerfile");
    let archive = shell(&host, "tar -c .");
    host.run_with(&["bud", "-"], &archive).failure();
}

#[test]
fn what_is_no_context_is_named() {
    let Some(host) = host() else { return };
    host.run_with(&["bud", "-"], b"")
        .failure()
        .saying("standard input is no build context: it is empty");
    host.run_with(&["bud", "-"], &[0; 10_240])
        .failure()
        .saying("there is no Dockerfile in standard input");
    host.run_with(&["bud", "-f", "-", "-"], b"FROM scratch\n")
        .failure()
        .saying("standard input");
    host.run(&["bud", "ftp://example.invalid/x"])
        .failure()
        .saying("scheme");
    host.run(&["bud", "http://no-such-host.invalid/x.tar", "--retry", "0"])
        .failure()
        .saying("no-such-host.invalid");
    host.run(&["bud", "no-such-context"])
        .failure()
        .saying("no-such-context");
}

#[test]
fn an_ignore_file_can_be_anywhere() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/a", "").unwrap();
    host.scratch.file("ctx/b", "").unwrap();
    host.scratch.file("ctx/.dockerignore", "a\n").unwrap();
    host.scratch.file("rules", "b\nDockerfile\n.*\n").unwrap();
    let dockerfile = "FROM alpine\nCOPY . /c\nRUN ls /c > /out\n";
    host.build(dockerfile, &["-t", "it", "--ignorefile", "rules"])
        .success();
    assert_eq!(out(&host), "a\n");
    host.build(dockerfile, &["--ignorefile", "none"])
        .failure()
        .saying("cannot open the ignore file `none`");
}

#[test]
fn build_arguments_can_be_in_files() {
    let Some(host) = host() else { return };
    host.scratch
        .file("args", "# comment\nA=1\nB=x y=z\n\nA=2\nHOME\n")
        .unwrap();
    host.scratch.file("more", "B=more\nC=c\n").unwrap();
    let dockerfile = "FROM alpine\nARG A B C HOME=no\nRUN echo \"$A|$B|$C|${HOME#/}\" > /out\n";
    let both = ["--build-arg-file", "args", "--build-arg-file", "more"];
    host.build(dockerfile, &[&["-t", "it"], &both[..1], &["args"]].concat())
        .success();
    assert!(out(&host).starts_with("2|x y=z||"), "{}", out(&host));
    host.build(
        dockerfile,
        &[&["-t", "it", "--build-arg", "C=flag"], &both[..]].concat(),
    )
    .success();
    assert!(out(&host).starts_with("2|more|flag|"), "{}", out(&host));
    host.build(dockerfile, &["--build-arg-file", "none"])
        .failure()
        .saying("`none`");
}

#[test]
fn the_first_base_can_be_another() {
    let Some(host) = host() else { return };
    host.build("FROM alpine\nRUN echo other > /out\n", &["-t", "other"])
        .success();
    host.build("FROM no/such:image\n", &["-t", "it", "--from", "other"])
        .success();
    assert_eq!(out(&host), "other\n");
}

#[test]
fn o2_o3_triggers_of_a_base_image_run_and_copy_from_stages() {
    let Some(host) = host() else { return };
    host.build(
        "FROM alpine\nONBUILD COPY file /in\nONBUILD RUN cat /in > /out\n\
         ONBUILD COPY --from=made /made /made\nONBUILD RUN cat /made >> /out\n",
        &["-t", "base"],
    )
    .success();
    host.scratch.file("ctx/file", "from the context\n").unwrap();
    host.build(
        "FROM alpine AS made\nRUN echo made > /made\nFROM base\nRUN echo own >> /out\n",
        &["-t", "it"],
    )
    .success();
    assert_eq!(out(&host), "from the context\nmade\nown\n");
    host.build("FROM base\n", &[]).failure().saying("`made`");
    let image = host.run(&["inspect", "it"]).success().stdout;
    assert!(!image.contains("OnBuild"), "{image}");
}
