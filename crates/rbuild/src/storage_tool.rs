//! The programs that own `containers-storage:`, podman's store: started, fed, drained, and what
//! they say when they fail.
//!
//! What crosses is an archive of `docker save` in a pipe: layers are plain tars there, nothing is
//! compressed only to be unpacked again, and no file of ours is left however either side ends. A
//! program whose pipe breaks fails: each layer is verified by whoever reads.
//!
//! Knows: which programs there are, and their arguments. Does not know: what is in an archive.
//!
//! Invariant: a program is started before this process enters its user namespace. In there it
//! would take us for root, and find root's store or other owners of files. It has the user's
//! environment (`storage.conf`, `XDG_RUNTIME_DIR`), and outlives us for as long as it needs to
//! notice that the pipe is closed: what it has begun is its own to remove.

use std::{
    io::{self, BufWriter, ErrorKind, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
};

use crate::failure::Failure;

/// How much is handed over at once, in bytes.
const BUFFER: usize = 1 << 20;
/// How many of the last lines that a program said are told.
const LINES: usize = 3;
/// The most that is kept of what a program says, in bytes.
const SPEECH: u64 = 1 << 20;

/// A way to call a program.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    program: &'static str,
    arguments: Vec<String>,
}

/// Reads an archive from standard input: podman alone can, the others want a file.
fn loading() -> Vec<Call> {
    vec![call("podman", ["load", "-q"])]
}

/// Writes the image `name` to standard output, best first. `full` is its name for those that would
/// not look for `localhost/…`, and what it is called in the archive; `None` if `name` is an id.
fn saving(name: &str, full: Option<&str>) -> Vec<Call> {
    let (source, archive) = match full {
        Some(full) => (
            full.to_owned(),
            format!("docker-archive:/dev/stdout:{full}"),
        ),
        None => {
            let hex = name.trim_start_matches("sha256:");
            (format!("@{hex}"), "docker-archive:/dev/stdout".to_owned())
        }
    };
    let source = format!("containers-storage:{source}");
    vec![
        call("podman", ["save", "-q", "--format=docker-archive", name]),
        call("skopeo", ["copy", "-q", &source, &archive]),
        call("buildah", ["push", "-q", name, &archive]),
    ]
}

fn call<const N: usize>(program: &'static str, arguments: [&str; N]) -> Call {
    let arguments = arguments.map(str::to_owned).into();
    Call { program, arguments }
}

/// Which of a program's standard streams is the pipe.
#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

/// A program that was started.
struct Tool {
    /// It and its command, as `podman load`.
    called: String,
    /// What it does to which image, for messages.
    task: String,
    child: Child,
}

impl Tool {
    /// Starts the first of `calls` whose program is in `PATH` for `image`; `None` if there is none.
    fn start(image: &str, calls: Vec<Call>, way: Way) -> Result<Option<Self>, Failure> {
        for Call { program, arguments } in calls {
            let (input, output, task) = match way {
                Way::In => {
                    let task = format!("put `{image}` into podman's store");
                    (Stdio::piped(), Stdio::null(), task)
                }
                Way::Out => {
                    let task = format!("take `{image}` out of podman's store");
                    (Stdio::null(), Stdio::piped(), task)
                }
            };
            let mut command = Command::new(program);
            command.args(&arguments).stdin(input).stdout(output);
            match command.stderr(Stdio::piped()).spawn() {
                Ok(child) => {
                    let called = format!("{program} {}", arguments[0]);
                    return Ok(Some(Self {
                        called,
                        task,
                        child,
                    }));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let message = format!("cannot run `{program}`: {error}");
                    return Err(Failure::message(message));
                }
            }
        }
        Ok(None)
    }

    /// Collects what it says, so that it never waits for us to listen. To be called when this
    /// process is where it may have threads.
    fn listen(&mut self) -> JoinHandle<String> {
        let errors = self.child.stderr.take();
        thread::spawn(move || {
            let mut said = Vec::new();
            if let Some(mut errors) = errors {
                let _ = errors.by_ref().take(SPEECH).read_to_end(&mut said);
                let _ = io::copy(&mut errors, &mut io::sink());
            }
            String::from_utf8_lossy(&said).into_owned()
        })
    }

    /// Waits for its end; `said` is from [`Tool::listen`].
    fn finish(mut self, said: JoinHandle<String>) -> Result<(), Failure> {
        let status = self.child.wait()?;
        let said = said.join().expect("listening does not panic");
        match status.success() {
            true => Ok(()),
            false => Err(Failure::from(Failed {
                called: self.called,
                task: self.task,
                status,
                source: Said(last_lines(&said)),
            })),
        }
    }
}

/// A program that puts an image into podman's store.
pub struct Loader(Tool);

impl Loader {
    /// Starts it for `image`. To be called before this process enters its namespaces.
    ///
    /// # Errors
    /// If there is none.
    pub fn start(image: &str) -> Result<Self, Failure> {
        let found = Tool::start(image, loading(), Way::In)?;
        found.map(Self).ok_or_else(|| {
            Failure::message("`containers-storage:` needs `podman`, which is not in PATH").with_hint(
                "others of its tools take archives: `rbuild save -o FILE NAME`, `skopeo copy docker-archive:FILE containers-storage:NAME`",
            )
        })
    }

    /// It and its command.
    pub fn called(&self) -> &str {
        &self.0.called
    }

    /// Gives it the archive that `fill` writes, and waits until it has done its work.
    ///
    /// # Errors
    /// As `fill`: the archive ends too early then, and it takes nothing; else what it says if it
    /// fails.
    pub fn feed(
        mut self,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let said = self.0.listen();
        let mut fed = Fed {
            end: self.0.child.stdin.take().expect("its input is a pipe"),
            is_broken: false,
        };
        let mut out = BufWriter::with_capacity(BUFFER, &mut fed);
        let given = fill(&mut out).and_then(|()| Ok(out.flush()?));
        drop(out);
        let is_broken = fed.is_broken;
        drop(fed);
        match (given, self.0.finish(said)) {
            (Err(_), Err(failed)) if is_broken => Err(failed),
            (given, done) => given.and(done),
        }
    }
}

/// A program that takes an image out of podman's store.
pub struct Saver(Tool);

impl Saver {
    /// Starts it for the image that the user calls `name`, `full` in full; `None` for an id. To be
    /// called before this process enters its namespaces.
    ///
    /// # Errors
    /// If there is none.
    pub fn start(name: &str, full: Option<&str>) -> Result<Self, Failure> {
        let found = Tool::start(name, saving(name, full), Way::Out)?;
        found.map(Self).ok_or_else(|| {
            Failure::message(
                "`containers-storage:` needs `podman`, `skopeo` or `buildah`, and none is in PATH",
            )
            .with_hint("`rbuild load` takes what `podman save` wrote elsewhere")
        })
    }

    /// It and its command.
    pub fn called(&self) -> &str {
        &self.0.called
    }

    /// Gives the archive to `take`, which reads all of it.
    ///
    /// # Errors
    /// What the program says if it fails, whatever `take` made of that; else as `take`.
    pub fn drain<T>(
        mut self,
        take: impl FnOnce(&mut dyn Read) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let said = self.0.listen();
        let mut drained = Drained {
            end: self.0.child.stdout.take().expect("its output is a pipe"),
            is_over: false,
        };
        let taken = take(&mut drained);
        let is_over = drained.is_over;
        drop(drained);
        let done = self.0.finish(said);
        match taken {
            // It failed because nobody read on.
            Err(failure) if !is_over => Err(failure),
            taken => done.and(taken),
        }
    }
}

/// The input of a program, and whether it has stopped to read.
struct Fed {
    end: ChildStdin,
    is_broken: bool,
}

impl Write for Fed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.end.write(bytes);
        self.is_broken |= written.is_err();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end.flush()
    }
}

/// The output of a program, and whether it was read to its end.
struct Drained {
    end: ChildStdout,
    is_over: bool,
}

impl Read for Drained {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.end.read(buffer)?;
        self.is_over |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot {task}: `{called}` failed ({status})")]
struct Failed {
    called: String,
    task: String,
    status: ExitStatus,
    source: Said,
}

/// The end of what a program said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    match lines[..] {
        [] => "it says nothing".to_owned(),
        _ => lines[lines.len().saturating_sub(LINES)..].join("\n    "),
    }
}

#[cfg(test)]
mod tests {
    use super::{last_lines, saving};

    #[test]
    fn those_who_know_no_localhost_are_given_the_full_name() {
        let calls = saving("it:1", Some("localhost/it:1"));
        let texts: Vec<String> = calls
            .iter()
            .map(|call| format!("{} {}", call.program, call.arguments.join(" ")))
            .collect();
        assert_eq!(
            texts,
            [
                "podman save -q --format=docker-archive it:1",
                "skopeo copy -q containers-storage:localhost/it:1 docker-archive:/dev/stdout:localhost/it:1",
                "buildah push -q it:1 docker-archive:/dev/stdout:localhost/it:1",
            ]
        );
        let id = saving("sha256:12ab", None);
        assert_eq!(id[1].arguments[2], "containers-storage:@12ab");
        assert_eq!(id[1].arguments[3], "docker-archive:/dev/stdout");
    }

    #[test]
    fn the_end_of_what_a_program_says_is_told() {
        assert_eq!(last_lines("a\n\nb\nc\nd\n"), "b\n    c\n    d");
        assert_eq!(last_lines("\n"), "it says nothing");
    }
}
