//! Every transport and every compression, both ways: others unpack from what we write the tree and
//! the configuration that we have, and we from what they write.
//!
//! A place is given as a template: `REGISTRY` is that of the test, `HERE` its directory. Only what a
//! program unpacked is compared, as that program shows it; an exit status proves nothing. The root
//! itself is left out: no layer says anything of it, and podman gives it mode 0555, umoci 0755.

use rbuild_testkit::{Account, Host, Need, Output, Registry, Tree, need, unpack};
use serde_json::{Value, json};

use crate::{archives::peer, surroundings::host_with};

/// Every kind of file that a layer can carry, and what deletes them.
const RICH: &str = "FROM alpine AS made\n\
    RUN mkdir -p /out/deep && echo built > /out/deep/file && chmod 2750 /out/deep && chown -R 5:60000 /out\n\
    FROM alpine\n\
    ENV A=1 B=\"two words\"\n\
    WORKDIR /srv/app\n\
    COPY --from=made /out /srv/out\n\
    RUN mkdir -p /gone/a /opaque/a && touch /gone/a/x /opaque/a/x /lost\n\
    RUN echo x > program && chmod 4711 program && ln program hard && ln -s program soft \\\n\
        && mkfifo pipe && : > empty && echo s > 'with space' && mkdir -m 1777 sticky \\\n\
        && chown -h 1:2 soft && touch -d @1 old && head -c 100000 /dev/zero > zeros\n\
    RUN rm -r /gone /lost && rm -r /opaque && mkdir -p /opaque/b && touch /opaque/b/y\n\
    USER 1:2\n\
    CMD [\"cat\", \"/srv/app/with space\"]\n";

/// A test's images and the places that they go to.
struct Site {
    host: Host,
    registry: Registry,
    /// Of the image, which is called `rich:1` here.
    id: String,
    tree: String,
}

impl Site {
    #[track_caller]
    fn new(tools: &[&'static str]) -> Option<Self> {
        let mut needs: Vec<Need> = tools.iter().map(|tool| Need::Tool(tool)).collect();
        needs.extend(["docker-registry", "skopeo", "umoci"].map(Need::Tool));
        let host = host_with(&needs)?;
        host.build(RICH, &["-t", "rich:1"]).success();
        let id = host.run(&["inspect", "--format", "{{.Id}}", "rich:1"]);
        let id = id.success().stdout.trim_end().to_owned();
        let tree = exported(&host, "rich:1");
        assert!(tree.contains("/srv/out/deep d 2750 5:60000\n"), "{tree}");
        assert!(!tree.contains("/gone") && !tree.contains("/opaque/a"));
        let registry = Registry::start(&host).unwrap();
        Some(Self {
            registry,
            id,
            tree,
            host,
        })
    }

    fn place(&self, template: &str) -> String {
        let here = self.host.scratch.path().display().to_string();
        let place = template.replace("REGISTRY", &self.registry.address());
        place.replace("HERE", &here)
    }

    /// Pushes the image to `place`.
    #[track_caller]
    fn push(&self, place: &str, compression: &str) {
        let format = format!("--compression-format={compression}");
        let flags = match compression {
            "" => Vec::new(),
            _ => vec![format.as_str()],
        };
        let args = [&["push", "-q"], &flags[..], &["rich:1", place]].concat();
        self.host.run(&args).success();
    }

    /// Fetches the image at `place` into a store without it, and looks at it.
    #[track_caller]
    fn pull(&self, place: &str, cell: &str) {
        let other = need(&[Need::Rbuild, Need::Range]).expect("this one is there");
        let id = other.run(&["pull", "-q", place]).success().stdout;
        assert_eq!(id.trim_end(), self.id, "{cell}: the configuration");
        assert_eq!(exported(&other, &self.id), self.tree, "{cell}");
        other.run(&["store", "check"]).success();
        if place.starts_with("docker://") {
            let again = format!("{place}-again");
            other.run(&["push", "-q", &self.id, &again]).success();
            let raw = |place: &str| {
                let inspect = ["inspect", "--raw", "--tls-verify=false", place];
                peer(&self.host, "skopeo", &inspect)
            };
            assert_eq!(raw(&again), raw(place), "{cell}: it leaves as it came");
        }
    }

    /// Looks at what podman or buildah, called `program`, have of `place`.
    #[track_caller]
    fn check_store(&self, program: &str, place: &str, cell: &str) {
        let pull = ["pull", "-q", "--tls-verify=false", place];
        let id = peer(&self.host, program, &pull);
        assert_eq!(id.trim_end(), self.id, "{cell}: the configuration");
        let tree = stored(&self.host, program, &self.id);
        assert_eq!(tree, self.tree, "{cell}");
        peer(&self.host, program, &["rmi", "-f", &self.id]);
    }

    /// Looks at what umoci unpacks of what skopeo makes of `place`.
    #[track_caller]
    fn check_copy(&self, place: &str, number: usize, cell: &str) {
        let layout = format!("copy{number}");
        let to = format!("oci:{layout}:it");
        peer(
            &self.host,
            "skopeo",
            &["copy", "-q", "--src-tls-verify=false", place, &to],
        );
        let inspect = ["inspect", "--tls-verify=false", "--config", "--raw", place];
        let config = peer(&self.host, "skopeo", &inspect);
        assert_eq!(
            sha256(&self.host, &config),
            self.id,
            "{cell}: the configuration"
        );
        let tree = unpack(&self.host, &self.host.scratch.path().join(layout), "it").unwrap();
        assert_eq!(shown(tree), self.tree, "{cell}");
    }
}

/// `tree` without its root.
fn shown(mut tree: Tree) -> String {
    tree.0.remove("/");
    tree.to_string()
}

/// The files of `image` in our store.
#[track_caller]
fn exported(host: &Host, image: &str) -> String {
    host.run(&["export", "-o", "files.tar", image]).success();
    shown(read(host))
}

/// What is in `files.tar`.
fn read(host: &Host) -> Tree {
    let tar = std::fs::File::open(host.scratch.path().join("files.tar")).unwrap();
    Tree::from_tar(tar).unwrap()
}

/// The files of the image `id` as they are in the store of `program`.
#[track_caller]
fn stored(host: &Host, program: &str, id: &str) -> String {
    let options = "--root peer --runroot peer-run --storage-driver overlay";
    let mount = match program {
        "podman" => format!("$({program} {options} image mount {id})"),
        _ => format!("$({program} {options} mount $({program} {options} from --pull-never {id}))"),
    };
    let script = format!(
        "set -e; here=$PWD; cd {mount}; \
         tar --hard-dereference --format=pax --numeric-owner -cf $here/files.tar ."
    );
    peer(host, program, &["unshare", "sh", "-c", &script]);
    shown(read(host))
}

#[track_caller]
fn sha256(host: &Host, text: &str) -> String {
    let mut command = host.account.command("sha256sum");
    let output = Output::of_input(&mut command, text.as_bytes()).unwrap();
    output.stdout.split(' ').next().unwrap().to_owned()
}

/// Where an image can go, and in which compressions we write it there; empty: as is usual there.
const OUT: [(&str, &[&str]); 5] = [
    (
        "docker://REGISTRY/out/CELL:1",
        &["", "gzip", "zstd", "zstd:chunked"],
    ),
    (
        "oci:HERE/out.layout:CELL",
        &["gzip", "zstd", "zstd:chunked"],
    ),
    (
        "oci-archive:HERE/CELL.oci:it",
        &["gzip", "zstd", "zstd:chunked"],
    ),
    ("docker-archive:HERE/CELL.docker:localhost/it:1", &[""]),
    ("dir:HERE/CELL.dir", &["gzip", "zstd", "zstd:chunked"]),
];

/// Writes each cell of the table, and has it looked at.
#[track_caller]
fn out(site: &Site, check: &dyn Fn(&str, usize, &str)) {
    let mut number = 0;
    for (template, compressions) in OUT {
        for compression in compressions {
            number += 1;
            let cell = compression.replace(':', "-");
            let place = site.place(&template.replace("CELL", &format!("c{cell}")));
            site.push(&place, compression);
            check(&place, number, compression);
        }
    }
}

#[test]
fn podman_has_the_files_that_we_write_anywhere() {
    let Some(site) = Site::new(&["podman"]) else {
        return;
    };
    out(&site, &|place, _, _| {
        site.check_store("podman", place, place);
    });
    // Its store itself is filled by its own program.
    site.host
        .run(&["save", "-o", "saved.tar", "rich:1"])
        .success();
    peer(&site.host, "podman", &["load", "-q", "-i", "saved.tar"]);
    assert_eq!(stored(&site.host, "podman", &site.id), site.tree);
}

#[test]
fn buildah_has_the_files_that_we_write_anywhere() {
    let Some(site) = Site::new(&["buildah"]) else {
        return;
    };
    out(&site, &|place, _, _| {
        site.check_store("buildah", place, place);
    });
}

/// umoci 0.4 knows no zstd, and skopeo 1.9 copies layers as they are.
#[test]
fn skopeo_and_umoci_have_the_files_that_we_write_anywhere() {
    let Some(site) = Site::new(&["skopeo"]) else {
        return;
    };
    out(&site, &|place, number, compression| {
        if !compression.starts_with("zstd") {
            site.check_copy(place, number, place);
        }
    });
}

/// Where others write an image, and in which compressions they can.
const IN: [(&str, &[&str]); 5] = [
    (
        "docker://REGISTRY/in/CELL:1",
        &["gzip", "zstd", "zstd:chunked"],
    ),
    ("oci:HERE/in.layout:CELL", &["gzip", "zstd"]),
    ("oci-archive:HERE/CELL.oci:it", &["gzip", "zstd"]),
    ("docker-archive:HERE/CELL.docker:localhost/it:1", &[""]),
    ("dir:HERE/CELL.dir", &["gzip", "zstd"]),
];

/// Has `write` write each cell of the table, and looks at what we make of it.
#[track_caller]
fn back(site: &Site, write: &dyn Fn(&str, &str)) {
    for (template, compressions) in IN {
        for compression in compressions {
            let cell = compression.replace(':', "-");
            let place = site.place(&template.replace("CELL", &format!("c{cell}")));
            write(&place, compression);
            site.pull(&place, &format!("{place} {compression}"));
        }
    }
}

#[track_caller]
fn back_from_store(program: &'static str) {
    let Some(site) = Site::new(&[program]) else {
        return;
    };
    site.push("oci:ours:it", "gzip");
    peer(&site.host, program, &["pull", "-q", "oci:ours:it"]);
    back(&site, &|place, compression| {
        let format = format!("--compression-format={compression}");
        let flags = match compression {
            "" => Vec::new(),
            _ => vec![format.as_str()],
        };
        let args = [
            &["push", "-q", "--tls-verify=false"],
            &flags[..],
            &[&site.id, place],
        ];
        peer(&site.host, program, &args.concat());
    });
}

#[test]
fn we_have_the_files_that_podman_writes_anywhere() {
    back_from_store("podman");
}

#[test]
fn we_have_the_files_that_buildah_writes_anywhere() {
    back_from_store("buildah");
}

#[test]
fn we_have_the_files_that_skopeo_writes_anywhere() {
    let Some(site) = Site::new(&["skopeo"]) else {
        return;
    };
    site.push("oci:ours:it", "gzip");
    back(&site, &|place, compression| {
        let format = ["--dest-compress-format", compression];
        let flags = match compression {
            "" => &[][..],
            _ => &format[..],
        };
        let args = [
            &["copy", "-q", "--dest-tls-verify=false"],
            flags,
            &["oci:ours:it", place],
        ];
        peer(&site.host, "skopeo", &args.concat());
    });
}

#[test]
fn we_have_the_files_that_umoci_packs() {
    let Some(site) = Site::new(&[]) else { return };
    let host = &site.host;
    let layout = host.push_to_layout("rich:1");
    let script = format!(
        "set -e; umoci unpack --image {0}:it bundle; umoci new --image {0}:again; \
         umoci unpack --image {0}:again empty; cp -a bundle/rootfs/. empty/rootfs/; \
         umoci repack --image {0}:again empty",
        layout.display()
    );
    let mut shell = host.account.inside("sh");
    Output::of_success(shell.args(["-c", &script]).current_dir(host.scratch.path())).unwrap();
    let place = format!("oci:{}:again", layout.display());
    let id = host.run(&["pull", "-q", &place]).success().stdout;
    assert_eq!(exported(host, id.trim_end()), site.tree);
}

/// What a command of the image finds: who and where it is, and what it may do with files.
const LOOK: &str = "id -u; id -g; pwd; echo $A $B $PATH; cat 'with space'; ls -ln /srv/app; \
    cat program 2>&1; echo no > soft 2>&1; ls -A / | grep -v -e dev -e proc -e sys -e run -e etc";

/// crun refuses hosts with hybrid control groups, so that hierarchy is hidden from it.
#[test]
fn podman_runs_our_archive_as_we_run_the_image() {
    let needs = [Need::Root, Need::Tool("podman"), Need::Tool("crun")];
    let Some(site) = host_with(&needs).and_then(|_| Site::new(&["podman"])) else {
        return;
    };
    let host = &site.host;
    let ours = host.run(&["run", "rich:1", "sh", "-c", LOOK]);
    for format in ["docker-archive", "oci-archive"] {
        host.run(&["save", "--format", format, "-o", format, "rich:1"])
            .success();
        let script = format!(
            "umount /sys/fs/cgroup/unified 2> /dev/null; \
             podman() {{ command podman --root $PWD/roots --runroot $PWD/roots-run \
                 --storage-driver vfs --cgroup-manager cgroupfs \"$@\"; }}; \
             podman load -q -i {format} >&2 && podman run --rm --runtime crun --cgroups=disabled \
                 --network=none --ulimit=nofile=1024:1024 --ulimit=nproc=1000:1000 {} \
                 sh -c \"$1\"; status=$?; podman rmi -f {0} >&2; rm -rf roots roots-run; exit $status",
            site.id
        );
        let mut command = Account::root().unwrap().command("unshare");
        command
            .args(["-m", "bash", "-c", &script, "bash", LOOK])
            .current_dir(host.scratch.path());
        let theirs = Output::of(&mut command).unwrap();
        assert_eq!(theirs.stdout, ours.stdout, "{format}: {theirs}");
        assert_eq!(theirs.status, ours.status, "{format}: {theirs}");
    }
    assert!(ours.says("/srv/app\n1 two words /"), "{ours}");
}

#[test]
fn umoci_makes_a_bundle_that_says_what_we_run() {
    let Some(site) = Site::new(&[]) else { return };
    let layout = site.host.push_to_layout("rich:1");
    unpack(&site.host, &layout, "it").unwrap();
    let bundle = site
        .host
        .scratch
        .path()
        .join("unpacked/bundle-0/config.json");
    let said: Value = serde_json::from_str(&std::fs::read_to_string(bundle).unwrap()).unwrap();
    let process = &said["process"];
    assert_eq!(process["args"], json!(["cat", "/srv/app/with space"]));
    assert_eq!(
        (&process["cwd"], &process["user"]["uid"]),
        (&json!("/srv/app"), &json!(1))
    );
    assert_eq!(process["user"]["gid"], 2);
    let env = process["env"].as_array().unwrap();
    assert!(env.contains(&json!("A=1")) && env.contains(&json!("B=two words")));
    let ours = site.host.run(&["run", "rich:1"]).success().stdout;
    assert_eq!(ours, "s\n");
}
