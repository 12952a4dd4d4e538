//! A terminal with a program in it, and somebody who types and reads. pty(7).

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::{Error, patience::PATIENCE};

/// A terminal in which a program runs.
#[derive(Debug)]
pub struct Terminal {
    /// Both ends: the second keeps the terminal when the program has closed it.
    ends: Option<(File, OwnedFd)>,
    child: Child,
    seen: String,
}

/// Rows and columns of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in each.
    pub columns: u16,
}

impl Terminal {
    /// Starts `command` with a new terminal of that size as its standard descriptors. It is
    /// `setsid --ctty …`, so that the terminal is that of its session too.
    ///
    /// # Errors
    /// [`Error::Program`] if it cannot be started.
    pub(crate) fn start(command: &mut Command, size: Size) -> Result<Self, Error> {
        let program = command.get_program().display().to_string();
        let failed = || {
            let program = program.clone();
            move |source| Error::Program { program, source }
        };
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
        let master = master.map_err(|errno| failed()(errno.into()))?;
        let slave = grantpt(&master)
            .and_then(|()| unlockpt(&master))
            .and_then(|()| fcntl_setfl(&master, OFlags::NONBLOCK))
            .and_then(|()| tcsetwinsize(&master, size.into()))
            .and_then(|()| ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY))
            .map_err(|errno| failed()(errno.into()))?;
        let copy = || slave.try_clone().map_err(failed());
        let child = command
            .stdin(copy()?)
            .stdout(copy()?)
            .stderr(copy()?)
            .spawn()
            .map_err(failed())?;
        Ok(Self {
            ends: Some((master.into(), slave)),
            child,
            seen: String::new(),
        })
    }

    /// The program's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types `text`.
    ///
    /// # Panics
    /// If the terminal does not take it.
    #[track_caller]
    pub fn enter(&mut self, text: &str) {
        let typed = self.master().write_all(text.as_bytes());
        typed.expect("a terminal takes a short line");
    }

    /// Makes the terminal another size.
    ///
    /// # Panics
    /// Never: it is a terminal.
    pub fn resize(&self, size: Size) {
        tcsetwinsize(self.master(), size.into()).expect("a terminal has a size");
    }

    /// Waits until `text` was written after what was waited for before.
    ///
    /// # Panics
    /// If that does not happen in 20 seconds.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "`{text}` does not appear; there is: {}",
                self.seen
            );
            self.read();
        }
    }

    /// Waits for the end of the program; returns its status and what it wrote after what was
    /// waited for.
    ///
    /// # Panics
    /// If it does not end in 20 seconds.
    #[track_caller]
    pub fn wait(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("the child is ours");
            self.read();
            if let Some(status) = ended {
                return (status, std::mem::take(&mut self.seen));
            }
            assert!(start.elapsed() < PATIENCE, "no end: {}", self.seen);
        }
    }

    /// Closes the terminal and waits for the end of the program.
    ///
    /// # Panics
    /// If it does not end in 20 seconds.
    #[track_caller]
    pub fn hang_up(mut self) -> ExitStatus {
        self.ends = None;
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "no end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn master(&self) -> &File {
        let (master, _) = self.ends.as_ref().expect("only `hang_up` closes it");
        master
    }

    /// Whether keys are shown and lines are edited: a terminal as a shell expects it.
    ///
    /// # Panics
    /// Never: it is a terminal.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(self.master()).expect("a terminal has modes");
        let local = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        modes.local_modes.contains(local) && modes.output_modes.contains(OutputModes::OPOST)
    }

    /// Reads what is there, after waiting a moment for it.
    fn read(&mut self) {
        let moment = Timespec {
            tv_sec: 0,
            tv_nsec: 20_000_000,
        };
        let _ = poll(
            &mut [PollFd::new(self.master(), PollFlags::IN)],
            Some(&moment),
        );
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.master().read(&mut buffer) {
            self.seen
                .push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl From<Size> for Winsize {
    fn from(size: Size) -> Self {
        Self {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        }
    }
}
