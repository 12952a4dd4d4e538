//! Keys differ when any keyed field differs, and only then.

use proptest::prelude::{any, prop_assert_eq, proptest};
use rbuild_oci::{ImagePath, ModeChange, Platform};

use super::{Key, SourceDigest, step_key};
use crate::graph::{StageId, Step, StepId, Tree};
use crate::op::{
    Access, Archives, CacheMount, Copy, Device, Item, Mount, MountKind, Network, Node, Op, Run,
    Script, Secret, Security, Sharing, Source, Workdir,
};

fn amd64() -> Platform {
    Platform::new("linux", "amd64", None)
}

fn parent() -> Key {
    Key::of_empty_tree(&amd64())
}

fn path(text: &str) -> ImagePath {
    ImagePath::root().join(text).unwrap()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn paths(paths: &[&str]) -> Vec<Item> {
    paths
        .iter()
        .map(|&path| Item::Path(path.to_owned()))
        .collect()
}

fn mode(text: &str) -> Option<ModeChange> {
    Some(text.parse().unwrap())
}

fn inline(name: &str, content: &str) -> [Item; 1] {
    let (name, content) = (name.to_owned(), content.to_owned());
    [Item::Inline { name, content }]
}

fn step(op: Op) -> Step {
    Step {
        stage: StageId(0),
        span: 0..1,
        title: String::new(),
        parent: Tree::Empty,
        op,
    }
}

fn a_run() -> Run {
    Run {
        argv: texts(&["sh", "-c", "x"]),
        env: vec![("A".to_owned(), "1".to_owned())],
        args: Vec::new(),
        proxy_env: Vec::new(),
        cwd: path("/w"),
        user: String::new(),
        script: None,
        mounts: Vec::new(),
        network: Network::Private,
        security: Security::Sandbox,
        devices: Vec::new(),
        ulimits: Vec::new(),
    }
}

fn device(name: &str) -> Device {
    Device {
        path: path(name),
        required: false,
    }
}

fn tmpfs(target: &str, size: Option<u64>) -> Mount {
    Mount {
        target: path(target),
        kind: MountKind::Tmpfs { size },
    }
}

fn bind(path: &str, access: Access) -> Mount {
    of_kind(MountKind::Bind {
        source: Source::Context,
        path: path.to_owned(),
        access,
    })
}

fn cache(change: impl FnOnce(&mut CacheMount)) -> Mount {
    let mut cache = CacheMount {
        id: "a".to_owned(),
        sharing: Sharing::Shared,
        seed: None,
        mode: 0o755,
        uid: None,
        gid: None,
        access: Access::ReadWrite,
    };
    change(&mut cache);
    of_kind(MountKind::Cache(cache))
}

fn secret(change: impl FnOnce(&mut Secret)) -> Mount {
    let mut secret = Secret {
        id: "a".to_owned(),
        file: true,
        env: None,
        node: NODE,
        counts: false,
        required: false,
    };
    change(&mut secret);
    of_kind(MountKind::Secret(secret))
}

fn ssh(id: &str, required: bool) -> Mount {
    let id = id.to_owned();
    of_kind(MountKind::Ssh {
        id,
        node: NODE,
        required,
    })
}

const NODE: Node = Node {
    mode: 0o400,
    uid: 0,
    gid: 0,
};

fn of_kind(kind: MountKind) -> Mount {
    let target = path("/m");
    Mount { target, kind }
}

fn with_mount(mount: Mount, sources: &[SourceDigest]) -> Key {
    let run = Run {
        mounts: vec![mount],
        ..a_run()
    };
    step_key(&step(Op::Run(Box::new(run))), &parent(), sources)
}

fn a_copy() -> Copy {
    Copy {
        source: Source::Context,
        items: paths(&["dir/a", "b"]),
        destination: path("/d"),
        destination_is_dir: false,
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        archives: Archives::Keep,
    }
}

fn of_run(change: impl FnOnce(&mut Run)) -> Key {
    let mut run = a_run();
    change(&mut run);
    step_key(&step(Op::Run(Box::new(run))), &parent(), &[])
}

fn of_copy(digest: SourceDigest, change: impl FnOnce(&mut Copy)) -> Key {
    let mut copy = a_copy();
    change(&mut copy);
    step_key(&step(Op::Copy(Box::new(copy))), &parent(), &[digest])
}

const CONTENT: SourceDigest = SourceDigest::Content([7; 32]);

#[track_caller]
fn all_differ(keys: &[Key]) {
    for (index, key) in keys.iter().enumerate() {
        assert!(
            !keys[..index].contains(key),
            "number {index} equals an earlier one"
        );
    }
}

#[test]
fn a_run_is_what_it_sees() {
    all_differ(&[
        of_run(|_| {}),
        of_run(|run| run.argv.push(String::new())),
        of_run(|run| run.argv = texts(&["sh", "-cx"])),
        of_run(|run| run.argv = texts(&["s", "h-c", "x"])),
        of_run(|run| run.env[0].1.push('1')),
        of_run(|run| run.env[0] = ("A1".to_owned(), String::new())),
        of_run(|run| run.env.clear()),
        of_run(|run| run.env.push(("A".to_owned(), "1".to_owned()))),
        of_run(|run| run.cwd = path("/")),
        of_run(|run| run.user.push('1')),
        of_run(|run| run.network = Network::None),
        of_run(|run| run.network = Network::Host),
        of_run(|run| run.security = Security::Insecure),
        of_run(|run| run.devices = vec![device("fuse")]),
        of_run(|run| run.devices = vec![device("kvm")]),
        of_run(|run| run.ulimits = vec!["nofile=64:64".to_owned()]),
        of_run(|run| {
            run.script = Some(Script {
                path: path("/x"),
                body: "a".to_owned(),
            });
        }),
        of_run(|run| {
            run.script = Some(Script {
                path: path("/x"),
                body: "b".to_owned(),
            });
        }),
        of_run(|run| run.mounts.push(tmpfs("/a", None))),
        of_run(|run| run.mounts.push(tmpfs("/b", None))),
        of_run(|run| run.mounts.push(tmpfs("/a", Some(1)))),
    ]);
}

#[test]
fn words_cannot_move_between_argv_and_env() {
    let moved = of_run(|run| {
        run.argv = texts(&["sh", "-c", "x", "A", "1"]);
        run.env.clear();
    });
    all_differ(&[of_run(|_| {}), moved]);
}

#[test]
fn proxies_do_not_count_a7() {
    let proxy = ("HTTP_PROXY".to_owned(), "http://p".to_owned());
    assert_eq!(of_run(|run| run.proxy_env.push(proxy)), of_run(|_| {}));
}

#[test]
fn titles_and_places_do_not_count() {
    let mut other = step(Op::Run(Box::new(a_run())));
    other.title.push('x');
    other.span = 5..9;
    other.stage = StageId(3);
    assert_eq!(step_key(&other, &parent(), &[]), of_run(|_| {}));
}

#[test]
fn parent_and_platform_count_k5_t52() {
    let arm = Platform::new("linux", "arm", Some("v6"));
    let arm7 = Platform::new("linux", "arm", Some("v7"));
    let roots = [
        Key::of_empty_tree(&amd64()),
        Key::of_empty_tree(&arm),
        Key::of_empty_tree(&arm7),
        Key::of_image_tree("", &amd64()),
        Key::of_image_tree("sha256:1", &amd64()),
        Key::of_image_tree("sha256:1", &arm),
        Key::of_image_tree("sha256:2", &amd64()),
    ];
    all_differ(&roots);
    let of = |root| step_key(&step(Op::Run(Box::new(a_run()))), &root, &[]);
    all_differ(&roots.map(of));
}

#[test]
fn a_copy_is_names_content_and_place() {
    all_differ(&[
        of_copy(CONTENT, |_| {}),
        of_copy(SourceDigest::Content([8; 32]), |_| {}),
        of_copy(SourceDigest::Tree(Key::from_bytes([7; 32])), |_| {}),
        of_copy(CONTENT, |copy| copy.items = paths(&["dir/a"])),
        of_copy(CONTENT, |copy| copy.items = paths(&["b", "a"])),
        of_copy(CONTENT, |copy| copy.items = paths(&["dir/a", "c"])),
        of_copy(CONTENT, |copy| copy.destination = path("/e")),
        of_copy(CONTENT, |copy| copy.destination_is_dir = true),
        of_copy(CONTENT, |copy| copy.chown = Some("1".to_owned())),
        of_copy(CONTENT, |copy| copy.chmod = mode("1")),
        of_copy(CONTENT, |copy| copy.chmod = mode("0")),
        of_copy(CONTENT, |copy| copy.source = Source::Tree(Tree::Empty)),
        of_copy(CONTENT, |copy| copy.chmod = mode("a=")),
        of_copy(CONTENT, |copy| copy.link = true),
        of_copy(CONTENT, |copy| copy.parents = true),
        of_copy(CONTENT, |copy| copy.exclude = texts(&["x"])),
        of_copy(CONTENT, |copy| copy.archives = Archives::Unpack),
        of_copy(CONTENT, |copy| copy.items.extend(inline("a", "x"))),
        of_copy(CONTENT, |copy| copy.items.extend(inline("a", "y"))),
    ]);
}

#[test]
fn the_shape_of_a_mount_counts() {
    let kinds = [
        with_mount(tmpfs("/m", None), &[]),
        with_mount(bind("", Access::ReadOnly), &[CONTENT]),
        with_mount(bind("", Access::ReadWrite), &[CONTENT]),
        with_mount(bind("a", Access::ReadOnly), &[CONTENT]),
        with_mount(cache(|_| {}), &[]),
        with_mount(cache(|cache| cache.access = Access::ReadOnly), &[]),
        with_mount(secret(|_| {}), &[]),
        with_mount(secret(|secret| secret.file = false), &[]),
        with_mount(secret(|secret| secret.env = Some("A".to_owned())), &[]),
        with_mount(ssh("default", false), &[]),
    ];
    all_differ(&kinds);
}

#[test]
fn what_is_mounted_counts_t46() {
    let of = |digest| with_mount(bind("a", Access::ReadOnly), &[digest]);
    all_differ(&[
        of(CONTENT),
        of(SourceDigest::Content([8; 32])),
        of(SourceDigest::Tree(Key::from_bytes([7; 32]))),
    ]);
}

#[test]
fn secrets_agents_and_the_choice_of_a_cache_do_not_count_k4() {
    let cache_key = with_mount(cache(|_| {}), &[]);
    let other = |cache: &mut CacheMount| {
        cache.id.push('x');
        cache.sharing = Sharing::Locked;
        cache.mode = 0o700;
        cache.uid = Some(7);
    };
    assert_eq!(with_mount(cache(other), &[]), cache_key);
    let secret_key = with_mount(secret(|_| {}), &[]);
    let other = |secret: &mut Secret| {
        secret.id.push('x');
        secret.required = true;
    };
    assert_eq!(with_mount(secret(other), &[]), secret_key);
    let counted = |content: u8| {
        let digest = SourceDigest::Content([content; 32]);
        with_mount(secret(|secret| secret.counts = true), &[digest])
    };
    all_differ(&[secret_key, counted(1), counted(2)]);
    let agent_key = with_mount(ssh("default", false), &[]);
    assert_eq!(with_mount(ssh("other", true), &[]), agent_key);
}

#[test]
fn two_contexts_with_the_same_files_are_one() {
    let of = |source: Source| of_copy(CONTENT, |copy| copy.source = source);
    let named = |name: &str| of(Source::Named(name.to_owned()));
    assert_eq!(named("a"), named("b"));
    assert_eq!(named("a"), of(Source::Context));
    all_differ(&[named("a"), of(Source::Tree(Tree::Empty))]);
}

#[test]
fn where_the_copied_content_lies_does_not_count_k3() {
    let elsewhere = of_copy(CONTENT, |copy| copy.items = paths(&["x/y/a", "z/b"]));
    assert_eq!(elsewhere, of_copy(CONTENT, |_| {}));
    let of = |id| {
        of_copy(CONTENT, |copy| {
            copy.source = Source::Tree(Tree::Step(StepId(id)));
        })
    };
    assert_eq!(of(1), of(2));
}

#[test]
fn by_tree_the_whole_pattern_counts() {
    let tree = SourceDigest::Tree(Key::from_bytes([7; 32]));
    all_differ(&[
        of_copy(tree, |_| {}),
        of_copy(tree, |copy| copy.items = paths(&["x/a", "b"])),
    ]);
}

#[test]
fn a_workdir_is_its_path_and_owner() {
    let of = |at: &str, user: &str| {
        let workdir = Workdir {
            path: path(at),
            user: user.to_owned(),
        };
        step_key(&step(Op::Workdir(workdir)), &parent(), &[])
    };
    all_differ(&[of("/a", ""), of("/b", ""), of("/a", "b"), of("/a", "c")]);
}

#[test]
fn the_recipe_is_version_4() {
    // If this fails, the recipe has changed: bump RECIPE, then bless.
    assert_eq!(
        of_run(|_| {}).hex(),
        "1c29825cfb4f08ef612a85b3a565c2c007b9de66f3c76f88c5298d62a897776f"
    );
}

#[test]
fn only_lower_case_hex_is_a_key() {
    let hex = parent().hex();
    assert_eq!(Key::from_hex(&hex), Some(parent()));
    for bad in [
        "",
        "0",
        "../",
        &hex[1..],
        &hex.to_uppercase(),
        &format!("{hex}0"),
    ] {
        assert_eq!(Key::from_hex(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn equal_runs_are_equal_keys_and_the_reverse(
        a in any::<(Vec<String>, Vec<(String, String)>, String)>(),
        b in any::<(Vec<String>, Vec<(String, String)>, String)>(),
        proxies in any::<Vec<(String, String)>>(),
    ) {
        let of = |(argv, env, user): (Vec<String>, Vec<(String, String)>, String), proxy_env| {
            of_run(|run| *run = Run { argv, env, proxy_env, cwd: path("/"), user, ..a_run() })
        };
        let same = a == b;
        prop_assert_eq!(of(a.clone(), proxies), of(a.clone(), Vec::new()));
        prop_assert_eq!(of(a, Vec::new()) == of(b, Vec::new()), same);
    }
}
