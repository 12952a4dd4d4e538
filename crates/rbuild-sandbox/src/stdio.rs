//! The standard descriptors of a command, and our ends of them.

use std::{
    fs::File,
    io::{ErrorKind, PipeReader, Read},
    os::fd::{AsFd, OwnedFd},
};

use rbuild_sys::{self as sys, Errno, Pty, set_file_owner, set_nonblocking, wait_readable};

use crate::{
    console::Console,
    ending::{Ending, Running},
    run::Stream,
    spec::{Input, Spec, Stdio},
};

/// Bytes in a pipe at most, without privileges over the machine; pipe(7).
const MAX_PIPE: usize = 1 << 20;

/// Where we read what a command writes.
pub(crate) enum Ours<'a> {
    /// From pipes.
    Pipes(Vec<(Stream, PipeReader)>),
    /// Nowhere: its output is ours.
    Nothing,
    /// From its terminal, for the console.
    Terminal(&'a Console, OwnedFd),
}

/// The descriptors 0, 1 and 2 of a command, and our ends of them. `terminals` is where it has its
/// terminals.
pub(crate) fn descriptors<'a>(
    spec: &Spec<'a>,
    terminals: Option<&OwnedFd>,
) -> Result<([OwnedFd; 3], Ours<'a>), sys::Error> {
    match spec.stdio {
        Stdio::Capture => captured(spec),
        Stdio::Inherit(input) => {
            let input = match input {
                Input::Builders => copy(&std::io::stdin())?,
                Input::Nothing => nothing()?,
            };
            let (output, errors) = (copy(&std::io::stdout())?, copy(&std::io::stderr())?);
            Ok(([input, output, errors], Ours::Nothing))
        }
        Stdio::Terminal(console) => {
            let terminals =
                terminals.ok_or_else(|| sys::Error::new("open", "ptmx", Errno::NOENT))?;
            let pty = Pty::open(terminals)?;
            console.fit(&pty.shown)?;
            own(&pty.terminal, spec);
            let (second, third) = (copy(&pty.terminal)?, copy(&pty.terminal)?);
            let ours = Ours::Terminal(console, pty.shown);
            Ok(([pty.terminal, second, third], ours))
        }
    }
}

fn captured<'a>(spec: &Spec<'_>) -> Result<([OwnedFd; 3], Ours<'a>), sys::Error> {
    let pipe = || {
        let (reader, writer) = std::io::pipe().map_err(io("pipe"))?;
        set_nonblocking(&reader)?;
        own(&writer, spec);
        Ok::<_, sys::Error>((reader, OwnedFd::from(writer)))
    };
    let ((from_output, output), (from_errors, errors)) = (pipe()?, pipe()?);
    let ours = vec![(Stream::Stdout, from_output), (Stream::Stderr, from_errors)];
    Ok(([nothing()?, output, errors], Ours::Pipes(ours)))
}

/// Lets the command's user open /dev/stdout, as images with log files linked there do. An id that
/// is not mapped is reported by the step that takes it on.
fn own(fd: impl AsFd, spec: &Spec<'_>) {
    let _ = set_file_owner(fd, spec.identity.uid, spec.identity.gid);
}

fn nothing() -> Result<OwnedFd, sys::Error> {
    File::open("/dev/null")
        .map(OwnedFd::from)
        .map_err(io("open"))
}

fn copy(fd: &dyn AsFd) -> Result<OwnedFd, sys::Error> {
    fd.as_fd().try_clone_to_owned().map_err(io("dup"))
}

fn io(call: &'static str) -> impl FnOnce(std::io::Error) -> sys::Error {
    move |source| sys::Error {
        call,
        operand: String::new(),
        source,
    }
}

impl Ours<'_> {
    /// Passes on what the command writes until it has ended.
    pub(crate) fn follow(
        self,
        running: Running<'_>,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Ending, sys::Error> {
        match self {
            Self::Pipes(pipes) => read_all(pipes, running, output),
            Self::Nothing => {
                let ready = wait_readable(running.ends())?;
                running.end(ready)
            }
            Self::Terminal(console, shown) => console.follow(running, shown),
        }
    }
}

/// Reads and waits until the command has ended.
fn read_all(
    mut pipes: Vec<(Stream, PipeReader)>,
    running: Running<'_>,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ending, sys::Error> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let [over, cancelled, late] = running.ends();
        let pipe = |index: usize| pipes.get(index).map_or(over, |(_, pipe)| pipe.as_fd());
        let [ready @ .., _, _] = wait_readable([over, cancelled, late, pipe(0), pipe(1)])?;
        read_once(&mut pipes, &mut buffer, output)?;
        if ready.contains(&true) {
            let ending = running.end(ready)?;
            // When process 1 of a pid namespace has ended so have all others: what is in the
            // pipes now is all there will be. But a pipe that was passed to the outside need
            // not end: so no more is read than a pipe can hold.
            for _ in 0..MAX_PIPE / buffer.len() {
                read_once(&mut pipes, &mut buffer, output)?;
            }
            return Ok(ending);
        }
    }
}

/// Reads from each pipe what is there, without waiting; forgets the pipes that have ended.
fn read_once(
    pipes: &mut Vec<(Stream, PipeReader)>,
    buffer: &mut [u8],
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<(), sys::Error> {
    let mut failure = None;
    pipes.retain_mut(|(stream, pipe)| {
        match pipe.read(buffer) {
            Ok(0) => return false,
            Ok(count) => output(*stream, &buffer[..count]),
            Err(error) if is_not_now(&error) => {}
            Err(source) => failure = Some(source),
        }
        true
    });
    failure.map_or(Ok(()), |source| Err(io("read")(source)))
}

/// Whether `error` says that there is nothing at the moment.
pub(crate) fn is_not_now(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
