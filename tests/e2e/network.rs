//! The network of RUN: private, the machine's, or none. Spec: sandbox.md, Network; R5.
//!
//! Nothing of the real network is used: a test that needs one makes a machine of its own, with
//! one interface, an address that stands for the world, and a name server on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::Uid;
use rbuild_testkit::{Host, Need, Output, skip, wait_until};

use crate::surroundings::{host, host_with};

/// What the name server says that every name is.
const ANSWER: [u8; 4] = [203, 0, 113, 9];

const SOCKET: &str = "rbuild-e2e-abstract";

/// Runs `test` on a machine whose own addresses are 127.0.0.1 and 10.7.0.2, whose gateway is
/// 10.7.0.1, and where 198.51.100.7 is the world. Web servers on port 8001 say where they are.
fn on_a_machine(test: impl FnOnce(&Host) + Send) {
    let tools = ["pasta", "ip", "gcc"].map(Need::Tool);
    let needs = [&tools[..], &[Need::Device("/dev/net/tun")]].concat();
    let Some(host) = host_with(&needs) else {
        return;
    };
    if !Uid::effective().is_root() {
        return skip("only root can make a network to be the machine's");
    }
    let body = || {
        // Of this thread and the processes and threads that it starts.
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        set_up(&host);
        for (address, text) in [
            ("127.0.0.1:8001", "loopback"),
            ("10.7.0.2:8001", "machine"),
            ("198.51.100.7:8001", "world"),
        ] {
            serve(address, text);
        }
        answer_names("127.0.0.53:53");
        let address = UnixAddr::from_abstract_name(SOCKET).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        test(&host);
    };
    thread::scope(|scope| {
        if let Err(panic) = scope.spawn(body).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn set_up(host: &Host) {
    let names = host
        .scratch
        .file("resolv.conf", "nameserver 127.0.0.53\n")
        .unwrap();
    let names = names.to_str().unwrap();
    for line in [
        "mount --make-rprivate /",
        &format!("mount --bind {names} /etc/resolv.conf"),
        "ip link set lo up",
        "ip link add eth0 type veth peer name peer",
        "ip address add 10.7.0.2/24 dev eth0",
        "ip address add 198.51.100.7/32 dev lo",
        "ip link set peer up",
        "ip link set eth0 up",
        "ip route add default via 10.7.0.1",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        Output::of_success(Command::new(words[0]).args(&words[1..])).unwrap();
    }
}

/// A web server for as long as this process lives.
fn serve(address: &str, text: &'static str) {
    let address: SocketAddr = address.parse().unwrap();
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut request = [0; 1024];
            let _ = client.read(&mut request);
            let _ = write!(client, "HTTP/1.0 200 OK\r\n\r\n{text}\n");
        }
    });
}

/// A name server for as long as this process lives. RFC 1035, section 4.
fn answer_names(address: &str) {
    let socket = UdpSocket::bind(address).unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((count, client)) = socket.recv_from(&mut query) {
            // Of a query's question the type comes last but for the class.
            let question = &query[12..count];
            let is_address = question[question.len() - 4..] == [0, 1, 0, 1];
            let mut reply = query[..2].to_vec();
            reply.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
            reply.extend(question);
            if is_address {
                reply.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                reply.extend(ANSWER);
            }
            let _ = socket.send_to(&reply, client);
        }
    });
}

/// What `script` says in a RUN of a build with `flags`.
#[track_caller]
fn look(host: &Host, script: &str, flags: &[&str]) -> String {
    let dockerfile = format!("FROM alpine\nRUN <<E\nexec > /out 2>&1\n{script}\nE\n");
    host.build(&dockerfile, &[flags, &["-t", "it"]].concat())
        .success();
    host.run(&["run", "--network=none", "it", "cat", "/out"])
        .success()
        .stdout
}

const FETCH: &str = "for at in 198.51.100.7 127.0.0.1 10.7.0.2 10.7.0.1; do\n\
                     timeout 2 wget -q -O - http://$at:8001/ 2>/dev/null || echo nothing\n\
                     done";

#[test]
fn a_private_network_reaches_the_world_and_nothing_of_the_machine() {
    on_a_machine(|host| {
        assert_eq!(look(host, FETCH, &[]), "world\nnothing\nnothing\nnothing\n");
        assert_eq!(
            look(host, FETCH, &["--network=host"]),
            "world\nloopback\nmachine\nnothing\n"
        );
    });
}

#[test]
fn names_are_found_through_a_name_server_on_the_machine_s_loopback() {
    on_a_machine(|host| {
        for mode in ["--network=private", "--network=host"] {
            let said = look(host, "nslookup web.example", &[mode]);
            assert!(said.contains("203.0.113.9"), "{mode}: {said}");
        }
    });
}

#[test]
fn cve_2020_15257_abstract_sockets_of_the_machine_are_out_of_reach() {
    on_a_machine(|host| {
        let program = host.scratch.file("ctx/connect", "").unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/probe/connect.c");
        let mut compiler = Command::new("gcc");
        compiler
            .args(["-static", "-w", "-D_GNU_SOURCE", "-o"])
            .arg(&program)
            .arg(source);
        Output::of_success(&mut compiler).unwrap();
        let script =
            format!("FROM alpine\nCOPY --chmod=755 connect /\nRUN /connect {SOCKET} >/out\n");
        let scope = host.run(&["info"]).success().stdout;
        let scope = scope
            .lines()
            .any(|line| line.starts_with("Landlock scopes") && line.ends_with("works"));
        for (mode, expected) in [
            ("private", "ECONNREFUSED\n"),
            ("none", "ECONNREFUSED\n"),
            ("host", if scope { "EPERM\n" } else { "connected\n" }),
        ] {
            let mode = format!("--network={mode}");
            host.build(&script, &[&mode, "-t", "it"]).success();
            let said = host.run(&["run", &mode, "it", "cat", "/out"]).success();
            assert_eq!(said.stdout, expected, "{mode}");
        }
    });
}

#[test]
fn files_about_the_network_fit_it() {
    on_a_machine(|host| {
        let hosts = "127.0.0.1\tlocalhost rbuild\n\
                     ::1\tlocalhost ip6-localhost ip6-loopback rbuild\n10.9.9.9\tdb\n";
        for (mode, server) in [
            ("private", "169.254.1.1"),
            ("host", "127.0.0.53"),
            ("none", "127.0.0.53"),
        ] {
            let mode = format!("--network={mode}");
            let said = look(
                host,
                "cat /etc/hosts /etc/resolv.conf",
                &["--add-host=db:10.9.9.9", &mode],
            );
            assert_eq!(said, format!("{hosts}nameserver {server}\n"), "{mode}");
        }
        let given = look(host, "cat /etc/resolv.conf", &["--dns=192.0.2.1"]);
        assert_eq!(given, "nameserver 192.0.2.1\n");
    });
}

#[test]
fn cache_1_15_the_network_of_the_build_counts() {
    on_a_machine(|host| {
        let script = "ls /sys/class/net; cat /proc/sys/net/ipv4/ping_group_range";
        let (private, none) = (
            look(host, script, &[]),
            look(host, script, &["--network=none"]),
        );
        assert!(private.starts_with("eth0\nlo\n0\t"), "{private}");
        assert!(none.starts_with("lo\n0\t"), "{none}");
    });
}

#[test]
fn commands_of_run_have_a_private_network_too() {
    on_a_machine(|host| {
        let fetch = ["run", "alpine", "sh", "-c", FETCH];
        let said = host.run(&fetch).success().stdout;
        assert_eq!(said, "world\nnothing\nnothing\nnothing\n");
    });
}

#[test]
fn builds_side_by_side_have_networks_of_their_own() {
    on_a_machine(|host| {
        let dockerfile = "FROM alpine AS a\nRUN wget -q -O /out http://198.51.100.7:8001/\n\
                          FROM alpine AS b\nRUN wget -q -O /out http://198.51.100.7:8001/ # again\n\
                          FROM scratch\nCOPY --from=a /out /a\nCOPY --from=b /out /b\n";
        host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
        let start = || {
            let mut command = host.rbuild(&["bud", "--no-cache", "--jobs=2", "ctx"]);
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let builds = [start(), start()];
        for mut build in builds {
            assert!(build.wait().unwrap().success());
        }
    });
}

/// A default for everybody: where there is no pasta it is said once, and works.
#[test]
fn without_pasta_commands_have_the_machine_s_network_or_fail_as_asked() {
    let Some(host) = host_with(&[Need::Tool("newuidmap")]) else {
        return;
    };
    let programs = host.scratch.path().join("programs");
    fs::create_dir(&programs).unwrap();
    for name in ["newuidmap", "newgidmap"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{name}"), programs.join(name)).unwrap();
    }
    host.scratch
        .file("ctx/Dockerfile", "FROM alpine\nRUN echo a\nRUN echo b\n")
        .unwrap();
    let build = |mode: &str| {
        let mut command = host.rbuild(&["bud", mode, "ctx"]);
        Output::of(command.env("PATH", &programs)).unwrap()
    };
    let failed = build("--network=private").failure();
    assert!(failed.says("`pasta` is not installed"), "{failed}");
    assert!(
        failed.says("hint: ask the administrator to install `passt`"),
        "{failed}"
    );
    let fine = build("--network=default").success();
    let said = fine
        .stderr
        .matches("commands have this machine's network")
        .count();
    assert_eq!(said, 1, "{fine}");
    // The results are those of a build with a private network.
    let again = build("--network=private").success();
    assert!(!again.says("pasta"), "{again}");
}

/// A build that is killed when the test ends, also by a panic.
struct Builder(Child);

impl Drop for Builder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Builder {
    /// Its children that are pasta, as directories of /proc.
    fn pastas(&self) -> Vec<PathBuf> {
        let id = self.0.id().to_string();
        let is_pasta = |process: &PathBuf| {
            let read = |name: &str| fs::read_to_string(process.join(name)).unwrap_or_default();
            let stat = read("stat");
            let parent = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.split(' ').nth(1));
            parent == Some(&id) && read("cmdline").starts_with("pasta\0")
        };
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let processes = processes.map(|process| process.path());
        processes.filter(is_pasta).collect()
    }
}

#[test]
fn pasta_starts_with_the_first_command_and_ends_with_a_killed_builder() {
    on_a_machine(|host| {
        let dockerfile = "FROM alpine\nRUN --network=none echo first; sleep 3\nRUN true\n\
                          RUN echo second; sleep 100\n";
        host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
        let mut command = host.rbuild(&["bud", "ctx"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut builder = Builder(child.unwrap());
        let mut said = BufReader::new(builder.0.stderr.take().unwrap()).lines();
        let mut wait_for = |word| while !said.next().unwrap().unwrap().ends_with(word) {};
        wait_for(" first");
        assert_eq!(builder.pastas(), Vec::<PathBuf>::new());
        wait_for(" second");
        let running = builder.pastas();
        assert_eq!(running.len(), 1, "one for all commands");
        builder.0.kill().unwrap();
        builder.0.wait().unwrap();
        // What has ended has no command line, also if nobody has asked for its status yet.
        let lives = || fs::read(running[0].join("cmdline")).is_ok_and(|line| !line.is_empty());
        wait_until(|| format!("{running:?} lives"), || !lives());
    });
}

#[test]
fn a7_proxies_of_the_environment_reach_commands_unless_refused() {
    let Some(host) = host() else { return };
    for (flag, expected) in [
        ("--http-proxy", "http://p\n"),
        ("--http-proxy=false", "none\n"),
    ] {
        host.scratch
            .file(
                "ctx/Dockerfile",
                "FROM alpine\nRUN echo ${http_proxy:-none} > /out\n",
            )
            .unwrap();
        let mut command = host.rbuild(&["bud", flag, "--no-cache", "-t", "it", "ctx"]);
        Output::of(command.env("http_proxy", "http://p"))
            .unwrap()
            .success();
        let said = host.run(&["run", "it", "cat", "/out"]).success();
        assert_eq!(said.stdout, expected, "{flag}");
    }
}
