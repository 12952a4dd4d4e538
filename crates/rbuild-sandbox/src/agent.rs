//! Forwards connections from a socket inside of the sandbox to an agent's socket outside.
//!
//! The agent's own socket cannot be mounted: it belongs to the user and an agent talks to
//! nobody else, but the command may run as a subordinate user. So the builder connects for it.
//!
//! Invariant: what it starts ends with the command: every connection has one end in there.

use std::{
    io,
    net::Shutdown,
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use rbuild_sys::{self as sys, Flag, wait_readable};

/// Connections at the same time; the command decides how many it asks for.
const MAX_CONNECTIONS: usize = 32;

/// Accepts connections while it lives.
pub(crate) struct Forwarding {
    stop: Flag,
    thread: Option<JoinHandle<()>>,
}

impl Forwarding {
    /// Forwards what connects to `listener` to the socket `agent`.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn start(listener: UnixListener, agent: &Path) -> Result<Self, io::Error> {
        let stop = Flag::new().map_err(|error| error.source)?;
        let (stopped, agent) = (stop.clone(), agent.to_owned());
        let accept = move || accept(&listener, &stopped, &agent);
        let thread = thread::Builder::new().spawn(accept)?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, stop: &Flag, agent: &Path) {
    let open = Arc::new(());
    loop {
        let waited: sys::Result<_> = wait_readable([listener.as_fd(), stop.as_fd()]);
        match waited {
            Ok([_, true]) | Err(_) => return,
            Ok(_) => {}
        }
        let Ok((client, _)) = listener.accept() else {
            continue;
        };
        if Arc::strong_count(&open) <= MAX_CONNECTIONS {
            // A client whose connection cannot be forwarded sees that it is closed.
            let _ = forward(client, agent, &open);
        }
    }
}

/// Connects `client` with the agent: a thread for each direction. They end when `client` does.
fn forward(client: UnixStream, agent: &Path, open: &Arc<()>) -> Result<(), io::Error> {
    let agent = UnixStream::connect(agent)?;
    let (requests, answers) = (client.try_clone()?, agent.try_clone()?);
    let token = Arc::clone(open);
    thread::Builder::new().spawn(move || {
        pass(&requests, &agent, Shutdown::Write);
        drop(token);
    })?;
    thread::Builder::new().spawn(move || pass(&answers, &client, Shutdown::Both))?;
    Ok(())
}

/// Copies all that comes `from`, then ends `to`.
fn pass(mut from: &UnixStream, mut to: &UnixStream, ends: Shutdown) {
    // Either side may go away at any time; then there is nothing left to pass on.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(ends);
}
