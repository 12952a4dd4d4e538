//! Many at once, and much: fifty builds in one store, a prune beside ten of them, five hundred
//! layers (store.md, faults 33–35, 50).

use std::{
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rbuild_testkit::{Host, Need, Output, crowd};

use crate::{
    fault::is_torture,
    surroundings::{host, host_with},
};

/// Starts a build of `file` as `tag`, and lets it run.
#[track_caller]
fn start(host: &Host, file: &str, tag: &str) -> Child {
    let mut build = host.rbuild(&["bud", "-f", file, "-t", tag, "ctx"]);
    let quiet = build.stdout(Stdio::null()).stderr(Stdio::piped());
    quiet.stdin(Stdio::null()).spawn().unwrap()
}

#[track_caller]
fn succeed(builds: Vec<Child>) {
    for build in builds {
        let output = Output::from(build.wait_with_output().unwrap());
        output.success();
    }
}

#[test]
fn fifty_builds_at_once_all_succeed_and_run_a_common_step_once_faults_33_34() {
    let Some(host) = host() else { return };
    let common = "FROM alpine\nRUN cat /proc/sys/kernel/random/uuid > /id && sleep 0.3\n";
    let files: Vec<String> = (0..50)
        .map(|number| {
            let file = format!("ctx/{number}.Dockerfile");
            let dockerfile = format!("{common}RUN echo {number} > /number\n");
            host.scratch.file(&file, dockerfile).unwrap();
            file
        })
        .collect();
    let tag = |number: usize| format!("it:{number}");
    let builds = files.iter().enumerate();
    succeed(
        builds
            .map(|(number, file)| start(&host, file, &tag(number)))
            .collect(),
    );
    let id = |number| {
        let shown = host.run(&["run", &tag(number), "cat", "/number", "/id"]);
        let shown = shown.success().stdout;
        let (own, common) = shown.split_once('\n').unwrap();
        assert_eq!(own, number.to_string());
        common.to_owned()
    };
    let first = id(0);
    for number in (1..files.len()).step_by(7) {
        assert_eq!(id(number), first, "the common step ran twice");
    }
    host.run(&["store", "check"]).success();
}

#[test]
fn who_waits_for_a_build_that_is_killed_does_the_work_itself_fault_33() {
    let Some(host) = host() else { return };
    let step =
        "RUN --mount=type=cache,target=/m echo x >> /m/times && sleep 0.4 && cp /m/times /\n";
    host.scratch
        .file("ctx/Dockerfile", format!("FROM alpine\n{step}"))
        .unwrap();
    let mut first = start(&host, "ctx/Dockerfile", "first");
    thread::sleep(Duration::from_millis(200));
    let second = start(&host, "ctx/Dockerfile", "second");
    thread::sleep(Duration::from_millis(50));
    first.kill().unwrap();
    first.wait().unwrap();
    succeed(vec![second]);
    let times = host.run(&["run", "second", "cat", "/times"]).success();
    assert!(times.stdout.starts_with("x\n"), "{times}");
    host.run(&["inspect", "first"]).failure();
}

#[test]
fn a_prune_in_a_loop_breaks_none_of_ten_builds_fault_35() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/file", "x").unwrap();
    let files: Vec<String> = (0..10)
        .map(|number| {
            let file = format!("ctx/{number}.Dockerfile");
            let dockerfile = format!(
                "FROM alpine AS made\nRUN echo {} > /a && sleep 0.1\nRUN echo b > /b\n\
                 FROM alpine\nCOPY --from=made /a /b /\nCOPY file /\nRUN cat /a /b > /c\n",
                number % 3
            );
            host.scratch.file(&file, dockerfile).unwrap();
            file
        })
        .collect();
    let ended = AtomicBool::new(false);
    let prunes = thread::scope(|scope| {
        let pruner = scope.spawn(|| {
            let mut prunes = 0;
            while !ended.load(Ordering::Relaxed) {
                host.run(&["prune", "--all", "--force"]).success();
                prunes += 1;
            }
            prunes
        });
        let builds = files.iter().enumerate();
        let builds: Vec<Child> = builds
            .map(|(number, file)| start(&host, file, &format!("it:{number}")))
            .collect();
        let outputs: Vec<Output> = builds
            .into_iter()
            .map(|build| Output::from(build.wait_with_output().unwrap()))
            .collect();
        ended.store(true, Ordering::Relaxed);
        let prunes = pruner.join().unwrap();
        outputs
            .into_iter()
            .for_each(|output| drop(output.success()));
        prunes
    });
    assert!(prunes > 2, "only {prunes} prunes");
    for number in 0..files.len() {
        let shown = host.run(&["run", &format!("it:{number}"), "cat", "/c"]);
        assert_eq!(shown.success().stdout, format!("{}\nb\n", number % 3));
    }
}

#[test]
fn an_image_can_have_five_hundred_layers_fault_50() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/file", "x\n").unwrap();
    let copies: String = (1..=498).map(|n| format!("COPY file /{n}\n")).collect();
    let dockerfile = format!("FROM alpine\n{copies}RUN cat /1 /498 > /both\n");
    host.build(&dockerfile, &["-t", "it"]).success();
    let both = host.run(&["run", "it", "cat", "/both"]).success();
    assert_eq!(both.stdout, "x\nx\n");
    host.build(&dockerfile, &["-t", "again"]).success();
}

/// How many system calls it takes to find that all of `ctx` is built already.
#[track_caller]
fn calls_of_a_cached_build(host: &Host) -> usize {
    let log = host.scratch.path().join("strace.log");
    let rbuild = host.rbuild(&["bud", "--jobs", "1", "-t", "it", "ctx"]);
    let mut command = host.account.inside("strace");
    let traced = command.args(["-f", "-o", "strace.log", "--"]);
    traced.arg(rbuild.get_program()).args(rbuild.get_args());
    Output::of_success(traced.current_dir(host.scratch.path())).unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    // Whether one thread waits for another one depends on the machine, and so does whether a call
    // is told in two lines because another thread made one meanwhile.
    let is_call = |line: &&str| !line.contains("futex") && !line.contains(" resumed>");
    log.lines().filter(is_call).count()
}

#[test]
fn a_cached_build_looks_at_nothing_else_in_a_large_store() {
    let Some(host) = host_with(&[Need::Tool("strace")]) else {
        return;
    };
    host.scratch.file("ctx/file", "x").unwrap();
    let dockerfile = "FROM alpine\nRUN echo a > /a\nCOPY file /\nRUN cat /file > /b\n";
    host.build(dockerfile, &["-t", "it"]).success();
    let small = calls_of_a_cached_build(&host);
    let (images, records) = if is_torture() {
        (10_000, 100_000)
    } else {
        (500, 10_000)
    };
    crowd(&host.account, &host.store, (images, records)).unwrap();
    let large = calls_of_a_cached_build(&host);
    assert!(
        large < small + 50,
        "{small} calls in a small store, {large} in a large one"
    );
}

#[test]
fn what_storage_conf_allows_is_what_stays_after_a_build() {
    let Some(host) = host() else { return };
    host.build(
        "FROM alpine\nRUN head -c 3000000 /dev/urandom > /a\n",
        &["-t", "it"],
    )
    .success();
    host.run(&["rmi", "it"]).success();
    let config = |text: &str| {
        host.scratch
            .file("config/rbuild/storage.conf", text)
            .unwrap()
    };
    let build = |dockerfile: &str| {
        host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
        let mut command = host.rbuild(&["bud", "-t", "new", "ctx"]);
        command.env("XDG_CONFIG_HOME", host.scratch.path().join("config"));
        Output::of(&mut command).unwrap()
    };
    let first = "FROM alpine AS made\nRUN head -c 3000000 /dev/urandom > /big\n\
                 FROM alpine\nRUN head -c 2000000 /dev/urandom > /small\n\
                 COPY --from=made /big /big\nRUN rm /big\n";
    let second = "FROM alpine\nRUN echo second > /a\n";
    config("[gc]\nmax-used-space = \"1TB\"\n");
    let output = build(first).success();
    assert!(!output.says("freed"), "{output}");
    config("[gc]\nmax-used-space = \"4MB\"\n");
    build(second).success().saying("storage.conf: freed");
    host.run(&["run", "new", "cat", "/a"])
        .success()
        .saying("second");
    host.run(&["store", "check"]).success();
    config("[gc]\nmax-used-space = \"much\"\n");
    build(second).failure().saying("storage.conf");
}
