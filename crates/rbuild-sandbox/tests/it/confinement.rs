//! What a command cannot reach: the network, if it has none, and parts of the kernel.

use std::path::Path;

use rbuild_sandbox::Network;

use crate::world::{Wish, World};

pub fn private_network(place: &Path) {
    let world = World::new(place);
    if let Err(error) = world.sandbox.start_private_network() {
        println!("SKIP {error} ({error:?})");
        return;
    }
    let private = |script: &str| {
        let argv = ["/bin/sh", "-c", script];
        let ran = world.run(&Wish {
            argv: &argv,
            network: Network::Private,
            ..Wish::default()
        });
        ran.unwrap().stdout
    };
    let (first, second) = (
        private("readlink /proc/self/ns/net"),
        private("readlink /proc/self/ns/net"),
    );
    assert_eq!(first, second);
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(first.trim(), host.to_str().unwrap());
    let interfaces = private("ls /sys/class/net");
    assert_eq!(interfaces.lines().count(), 2, "{interfaces}");
    let state = private("ip -o link show lo; head -1 /etc/resolv.conf");
    assert!(state.contains("UP"), "{state}");
    assert!(state.ends_with("nameserver 169.254.1.1\n"), "{state}");
    let groups = private("cat /proc/sys/net/ipv4/ping_group_range");
    assert!(groups.starts_with("0\t"), "{groups}");
}

pub fn no_network(place: &Path) {
    let world = World::new(place);
    let offline = |script: &str| {
        let argv = ["/bin/sh", "-c", script];
        world
            .run(&Wish {
                argv: &argv,
                network: Network::None,
                ..Wish::default()
            })
            .unwrap()
    };
    let up = offline("ip -o link; ls /sys/class/net; ip -o -4 addr");
    assert!(up.stdout.contains("lo: <LOOPBACK,UP,LOWER_UP>"), "{up:?}");
    assert!(up.stdout.contains("127.0.0.1/8"), "{up:?}");
    assert_eq!(
        up.stdout
            .lines()
            .filter(|line| line.contains("eth"))
            .count(),
        0
    );
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    let inside = offline("readlink /proc/self/ns/net").stdout;
    assert_ne!(inside.trim(), host.to_str().unwrap());
    let talk = offline(
        "sleep 3 | nc -l -p 80 >/tmp/got & \
         for i in $(seq 29); do echo hello | nc 127.0.0.1 80 && break; sleep 0.1; done; \
         wait; cat /tmp/got",
    );
    assert_eq!(talk.stdout, "hello\n", "{}", talk.stderr);
    assert_ne!(offline("echo x | nc -w 1 1.1.1.1 53").exit.status, 0);
    let write = offline("echo 1 > /sys/class/net/lo/mtu");
    assert_ne!(write.exit.status, 0);
}

pub fn dangerous_calls(place: &Path) {
    let world = World::new(place);
    let seccomp = world.sh("cat /proc/self/status").stdout;
    assert!(seccomp.contains("Seccomp:\t2"), "{seccomp}");
    for refused in ["unshare -U true", "unshare -r true", "unshare -m true"] {
        let ran = world.sh(refused);
        assert!(
            ran.stderr.contains("Operation not permitted"),
            "{refused}: {ran:?}"
        );
    }
    // Subshells, pipes and setuid programs as ever.
    let usual = world.sh("(echo a; echo b) | wc -l; su ann -c 'id -u'");
    assert_eq!(usual.stdout, "2\n1000\n", "{}", usual.stderr);
}
