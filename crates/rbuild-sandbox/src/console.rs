//! A terminal for a command: what the user types goes to it, what it draws goes to the user.
//!
//! Knows: two terminals, the user's and the command's, and that either may be slow.
//! Does not know: what is typed, or where the command's terminal comes from (`rbuild_sys::Pty`).
//!
//! Invariant: the user's terminal is raw only while a command runs.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
};

use rbuild_sys::{
    self as sys, Interest, RawTerminal, WindowChanges, copy_window_size, is_terminal, wait_ready,
};

use crate::{
    ending::{Ending, Running},
    stdio::is_not_now,
};

/// The user's side of a terminal.
#[derive(Debug)]
pub struct Console {
    /// `None`: nothing is passed on.
    typed: Option<File>,
    drawn: File,
    changes: WindowChanges,
}

/// ^D: what a terminal takes for the end of its input. termios(3), VEOF.
const END_OF_INPUT: u8 = 4;

/// More than a terminal keeps of what was drawn, in pieces of the buffer.
const LAST_PIECES: usize = 16;

impl Console {
    /// Passes on what is read from `typed`, and writes what is drawn to `drawn`; either may be
    /// something else than a terminal. To be called before other threads are started.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn new(typed: Option<OwnedFd>, drawn: OwnedFd) -> Result<Self, sys::Error> {
        Ok(Self {
            typed: typed.map(File::from),
            drawn: drawn.into(),
            changes: WindowChanges::watch()?,
        })
    }

    /// The user's terminal, if there is one.
    fn terminal(&self) -> Option<&File> {
        let both = self.typed.iter().chain([&self.drawn]);
        both.into_iter().find(|file| is_terminal(file))
    }

    /// Makes the command's terminal, of which `shown` is the other end, as large as the user's.
    pub(crate) fn fit(&self, shown: impl AsFd) -> Result<(), sys::Error> {
        match self.terminal() {
            Some(terminal) => copy_window_size(terminal, shown),
            None => Ok(()),
        }
    }

    /// Passes on what is typed and drawn until the command has ended.
    pub(crate) fn follow(
        &self,
        running: Running<'_>,
        shown: OwnedFd,
    ) -> Result<Ending, sys::Error> {
        let typed = self.typed.as_ref().filter(|file| is_terminal(file));
        let _raw = typed.map(RawTerminal::new).transpose()?;
        let mut relay = Relay {
            console: self,
            shown: shown.into(),
            buffer: vec![0; 64 << 10],
            to_type: Vec::new(),
            input: Side::Open,
            output: Side::Open,
        };
        loop {
            let ready = relay.pass_on(&running)?;
            if ready.contains(&true) {
                let ending = running.end(ready)?;
                relay.draw_rest()?;
                return Ok(ending);
            }
        }
    }
}

/// Whether more can come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Open,
    Closed,
}

/// What is on its way.
struct Relay<'a> {
    console: &'a Console,
    shown: File,
    buffer: Vec<u8>,
    /// Typed, and not yet taken by the command's terminal.
    to_type: Vec<u8>,
    input: Side,
    output: Side,
}

impl Relay<'_> {
    /// Waits until something happens and passes it on; says which of the command's ends are
    /// reached.
    fn pass_on(&mut self, running: &Running<'_>) -> Result<[bool; 3], sys::Error> {
        let ends = running.ends();
        // What is not waited for is replaced by something that is anyway.
        let idle = (ends[0], Interest::Read);
        let typing = self.input == Side::Open && self.to_type.is_empty();
        let source = self.console.typed.as_ref().filter(|_| typing);
        let typed = source.map_or(idle, |file| (file.as_fd(), Interest::Read));
        let full = !self.to_type.is_empty();
        let shown = self.shown.as_fd();
        let room = if full { (shown, Interest::Write) } else { idle };
        let drawn = match self.output {
            Side::Open => (shown, Interest::Read),
            Side::Closed => idle,
        };
        let [over, cancelled, late] = ends.map(|fd| (fd, Interest::Read));
        let changes = (self.console.changes.as_fd(), Interest::Read);
        let [over, cancelled, late, drew, typed, room, resized] =
            wait_ready([over, cancelled, late, drawn, typed, room, changes])?;
        if drew {
            self.draw()?;
        }
        if typed && typing {
            self.take_typed()?;
        }
        if (room && full) || !self.to_type.is_empty() {
            self.type_on()?;
        }
        if resized {
            self.console.changes.acknowledge();
            self.console.fit(&self.shown)?;
        }
        Ok([over, cancelled, late])
    }

    /// Shows one piece of what the command drew.
    fn draw(&mut self) -> Result<(), sys::Error> {
        match self.shown.read(&mut self.buffer) {
            Ok(0) => self.output = Side::Closed,
            Ok(count) => (&self.console.drawn)
                .write_all(&self.buffer[..count])
                .map_err(io("write"))?,
            Err(error) if is_not_now(&error) => {}
            // EIO: no process has the terminal open any more.
            Err(_) => self.output = Side::Closed,
        }
        Ok(())
    }

    /// When the command has ended, so have all that had its terminal: the rest is there already.
    fn draw_rest(&mut self) -> Result<(), sys::Error> {
        for _ in 0..LAST_PIECES {
            if self.output == Side::Open {
                self.draw()?;
            }
        }
        Ok(())
    }

    fn take_typed(&mut self) -> Result<(), sys::Error> {
        let Some(mut typed) = self.console.typed.as_ref() else {
            return Ok(());
        };
        match typed.read(&mut self.buffer) {
            Ok(0) => {
                self.input = Side::Closed;
                self.to_type.push(END_OF_INPUT);
            }
            Ok(count) => self.to_type.extend_from_slice(&self.buffer[..count]),
            Err(error) if is_not_now(&error) => {}
            Err(error) => return Err(io("read")(error)),
        }
        Ok(())
    }

    /// Gives the command's terminal as much of what was typed as it takes.
    fn type_on(&mut self) -> Result<(), sys::Error> {
        match self.shown.write(&self.to_type) {
            Ok(count) => drop(self.to_type.drain(..count)),
            Err(error) if is_not_now(&error) => {}
            Err(_) => {
                self.to_type.clear();
                self.input = Side::Closed;
            }
        }
        Ok(())
    }
}

fn io(call: &'static str) -> impl FnOnce(std::io::Error) -> sys::Error {
    move |source| sys::Error {
        call,
        operand: "terminal".to_owned(),
        source,
    }
}
