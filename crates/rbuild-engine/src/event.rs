//! What happened, as data. The engine emits it; only the binary draws it.

use rbuild_plan::{Key, Reason, StepId};
use rbuild_store::LayerId;

pub use rbuild_sandbox::Stream;

use crate::fetch::Remote;

/// Something the user may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step's result was known already.
    Cached(StepId),
    /// A step's result can be looked up.
    Recorded {
        /// The step.
        step: StepId,
        /// Under these.
        keys: Vec<Key>,
        /// When it was made, seconds since 1970.
        created: i64,
    },
    /// A step starts.
    Started {
        /// Which.
        step: StepId,
        /// Why its result was not known.
        why: Reason,
    },
    /// A running command wrote a line; its bytes, without the newline.
    Output {
        /// The step that runs the command.
        step: StepId,
        /// Which of its two streams.
        stream: Stream,
        /// As written, at most 64 KiB.
        line: Vec<u8>,
    },
    /// What a step changed is a layer now, which nothing changes any more.
    Frozen {
        /// The step.
        step: StepId,
        /// Its layer.
        layer: LayerId,
    },
    /// What a step had changed, whose result was known already, is this layer.
    Known {
        /// The step.
        step: StepId,
        /// Its layer; the store may lack it, if it is one of an import.
        layer: LayerId,
    },
    /// A step has ended well.
    Finished(StepId),
    /// Another build is making the same thing; we take its result.
    Waiting(StepId),
    /// A wildcard of a COPY from a stage or an image matches nothing there.
    Unmatched {
        /// The step that copies.
        step: StepId,
        /// Which of its items the wildcard is.
        item: usize,
    },
    /// Something was fetched for an ADD; told again when it is fetched again: what is told last is
    /// what counts.
    Fetched {
        /// The step that adds.
        step: StepId,
        /// Which of its items it is.
        item: usize,
        /// What was fetched.
        remote: Remote,
    },
    /// Not an error, but worth a line.
    Warning(String),
}
