//! The played machine: its commands are a small language that edits the tree.
//!
//! ```text
//! write PATH TEXT   append PATH TEXT   join PATH FROM   mkdir PATH   rm PATH
//! link TARGET PATH  hard OLD NEW       chmod MODE PATH  chown UID:GID PATH
//! say TEXT          scold TEXT         env PATH         fail STATUS  starve STATUS  nothing
//! seen TARGET PATH  (writes what the bind mount at TARGET shows)
//! new PATH          (writes what nobody has written before)
//! meet              (waits until another command meets it)
//! ```
//!
//! Commands are separated by `;`. What they do depends on the tree and the environment alone.

use std::{
    io::{Read, Write},
    sync::{
        Barrier, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use rbuild_engine::Runner;
use rbuild_sandbox::{Error, Exit, MountKind, Spec, Stream};
use rbuild_sys::{Dir, FileKind};

/// The next thing that is new.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where two commands meet.
static MEETING: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

/// Plays commands.
pub struct Script;

impl Runner for Script {
    fn run(&self, spec: &Spec<'_>, output: &mut dyn FnMut(Stream, &[u8])) -> Result<Exit, Error> {
        let text = spec.argv.last().expect("a plan's commands have words");
        let root = Dir::from_fd(spec.root.try_clone_to_owned().unwrap());
        let mut scene = Scene {
            root: &root,
            spec,
            output,
        };
        let status = text.split(';').find_map(|command| scene.play(command));
        Ok(Exit {
            timed_out: None,
            out_of_memory: text.contains("starve"),
            status: status.unwrap_or(0),
            without: Vec::new(),
            traces: rbuild_sandbox::Traces::default(),
        })
    }
}

/// A command and what it can see.
struct Scene<'a> {
    root: &'a Dir,
    spec: &'a Spec<'a>,
    output: &'a mut dyn FnMut(Stream, &[u8]),
}

impl Scene<'_> {
    /// The status of a command that ends the script.
    fn play(&mut self, command: &str) -> Option<u8> {
        let (verb, rest) = split(command.trim());
        let (first, second) = split(rest);
        match verb {
            "write" => self.write(first, second.as_bytes()),
            "new" => {
                let count = NEXT.fetch_add(1, Ordering::Relaxed);
                self.write(first, count.to_string().as_bytes());
            }
            "append" => self.write(first, &[self.read(first), second.into()].concat()),
            "join" => self.write(first, &[self.read(first), self.read(second)].concat()),
            "mkdir" => drop(
                self.root
                    .make_dirs(path(first), 0o755, |_, _| Ok(()))
                    .unwrap(),
            ),
            "rm" => self.at(first, |dir, name| dir.remove_all(name).unwrap()),
            "link" => self.at(second, |dir, name| {
                dir.symlink(first.as_bytes(), name).unwrap();
            }),
            "hard" => self.at(second, |dir, name| {
                self.at(first, |old, from| dir.link(old, from, name).unwrap());
            }),
            "chmod" => self.at(second, |dir, name| {
                let mode = u32::from_str_radix(first, 8).unwrap();
                dir.set_mode(name, mode).unwrap();
            }),
            "chown" => self.at(second, |dir, name| {
                let (uid, gid) = first.split_once(':').unwrap();
                dir.set_owner(name, uid.parse().unwrap(), gid.parse().unwrap())
                    .unwrap();
            }),
            "say" => (self.output)(Stream::Stdout, format!("{rest}\n").as_bytes()),
            "scold" => (self.output)(Stream::Stderr, format!("{rest}\n").as_bytes()),
            "env" => self.write(first, self.spec.env.join("\n").as_bytes()),
            "seen" => {
                let mut shown = String::new();
                for mount in &self.spec.mounts {
                    if let MountKind::Bind { source, path, .. } = &mount.kind
                        && mount.target.as_str() == first
                    {
                        match source.resolve_dir(path.relative().as_bytes()) {
                            Ok(dir) => list(&dir, "", &mut shown),
                            Err(_) => shown.push_str("a file\n"),
                        }
                    }
                }
                self.write(second, shown.as_bytes());
            }
            "fail" | "starve" => return Some(rest.parse().unwrap()),
            "meet" => drop(MEETING.wait()),
            "nothing" => {}
            _ => unreachable!("no command `{verb}`"),
        }
        None
    }

    fn at(&self, at: &str, act: impl FnOnce(&Dir, &[u8])) {
        let (dir, name) = self.root.resolve_parent(path(at)).unwrap();
        act(&dir, name.unwrap_or(b"."));
    }

    /// As a shell's `>` does it on a file that is not open for anyone else.
    fn write(&self, at: &str, content: &[u8]) {
        self.at(at, |dir, name| {
            dir.remove_all(name).unwrap();
            let mut file = dir.create(name, 0o644).unwrap();
            file.write_all(content).unwrap();
        });
    }

    /// What is in the file; nothing if there is none.
    fn read(&self, at: &str) -> Vec<u8> {
        let mut content = Vec::new();
        if let Ok(mut file) = self.root.resolve_file(path(at)) {
            file.read_to_end(&mut content).unwrap();
        }
        content
    }
}

/// Names, modes and contents below `dir`.
fn list(dir: &Dir, above: &str, shown: &mut String) {
    for entry in dir.entries().unwrap() {
        let stat = dir.stat(&entry.name).unwrap();
        let path = format!("{above}/{}", String::from_utf8_lossy(&entry.name));
        shown.push_str(&format!("{path} {:o} {:?}\n", stat.mode, stat.kind));
        match stat.kind {
            FileKind::Directory => list(&dir.child(&entry.name).unwrap(), &path, shown),
            FileKind::File => {
                let mut file = dir.read(&entry.name).unwrap();
                file.read_to_string(shown).unwrap();
            }
            _ => {}
        }
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn path(text: &str) -> &[u8] {
    text.trim_start_matches('/').as_bytes()
}
