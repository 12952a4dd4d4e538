//! ^C and its relatives: end what runs, tidy up, exit with 128 + number; a second one is immediate.

use std::{
    process,
    sync::atomic::{AtomicI32, Ordering},
    thread,
    time::Duration,
};

use rbuild_sandbox::Cancel;
use rbuild_sys::{TerminationSignals, block_termination_signals, restore_terminal};

/// The signal that came; 0 for none.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// How long tidying up may take.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Holds termination signals back, in this thread and all that it starts. To be called before
/// there are others.
///
/// # Errors
/// Never in practice: the set of signals is valid.
pub fn hold() -> rbuild_sys::Result<TerminationSignals> {
    block_termination_signals()
}

/// Lets a signal end what `cancels` reach. The process exits by itself when it has tidied up, at
/// the latest after 1.5 seconds or with the second signal.
pub fn watch(signals: TerminationSignals, cancels: impl IntoIterator<Item = Cancel>) {
    let cancels: Vec<Cancel> = cancels.into_iter().collect();
    thread::spawn(move || {
        let Ok(first) = signals.wait() else { return };
        RECEIVED.store(first, Ordering::SeqCst);
        cancels.iter().for_each(Cancel::cancel);
        thread::spawn(move || {
            thread::sleep(PATIENCE);
            exit(first);
        });
        if let Ok(second) = signals.wait() {
            exit(second);
        }
    });
}

/// Ends the process because of `signal`, at once: what it leaves in the store is swept by the next
/// one, and the guardian ends its commands.
fn exit(signal: i32) -> ! {
    restore_terminal();
    process::exit(128 + signal)
}

/// Ends what `cancel` reaches as SIGPIPE would, which is ignored: nobody reads what we say.
pub fn broken_pipe(cancel: &Cancel) {
    const SIGPIPE: i32 = 13;
    let first = RECEIVED.compare_exchange(0, SIGPIPE, Ordering::SeqCst, Ordering::SeqCst);
    if first.is_ok() {
        cancel.cancel();
    }
}

/// The exit status that a signal asks for; `None` if none came.
pub fn status() -> Option<u8> {
    match RECEIVED.load(Ordering::SeqCst) {
        0 => None,
        signal => u8::try_from(128 + signal).ok(),
    }
}
