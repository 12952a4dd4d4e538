//! A session: the right to write, and a place for what is not finished.
//!
//! A session owns a lease, a file that it keeps locked for its life, and the staging
//! directory of the same name. A lease whose lock can be taken belongs to a dead process;
//! whoever sees that throws its staging away.

use std::{
    fmt::Display,
    fs::File,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rbuild_sys::{Dir, Errno, FileKind};

use crate::{
    Durability, Layer, LayerId, Store,
    error::{Context, Result},
    flock::Flock,
    id::random_bytes,
    record,
};

/// How long [`Store::begin`] may clean up after the dead.
const SWEEP_TIME: Duration = Duration::from_millis(200);

/// The right to write to a store. Dropping it removes what it did not commit.
///
/// Threads may share it.
#[derive(Debug)]
pub struct Session {
    store: Store,
    id: String,
    /// Tells this boot of the machine from others; where the kernel does not say, it is
    /// something that no other session has.
    boot: String,
    lease: Flock,
    staging: Arc<Dir>,
    next: AtomicU64,
}

impl Session {
    pub(crate) fn begin(store: &Store) -> Result<Self> {
        sweep(store, Instant::now() + SWEEP_TIME);
        let what = || "a lease".to_owned();
        let leases = store.make_subdirectory("leases").writing(what)?;
        let known = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let known = known.as_deref().map(str::trim);
        let (id, lease) = loop {
            let id = new_id(known).writing(what)?;
            let lease = leases.create(id.as_bytes(), 0o600).writing(what)?;
            // Waits no longer than a sweep needs to see whether it is a dead one.
            let lease = Flock::exclusive(lease, || format!("leases/{id}"))?;
            // A sweep that saw it before it was locked has taken it for a dead one.
            if rbuild_sys::file_stat(&*lease).writing(what)?.links > 0 {
                break (id, lease);
            }
        };
        let staging = store
            .make_subdirectory(&format!("staging/{id}"))
            .writing(|| format!("staging/{id}"))?;
        Ok(Self {
            store: store.clone(),
            boot: known.unwrap_or(&id).to_owned(),
            id,
            lease,
            staging: Arc::new(staging),
            next: AtomicU64::new(0),
        })
    }

    /// The store it writes to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Opens layer `id`, which an image names, and keeps it from being deleted as long as this
    /// session lives. `None` if it is missing or damaged. For layers that no image vouches for
    /// there is [`Session::finished_layer`].
    ///
    /// # Errors
    /// [`Error::Write`] if the lease cannot be extended, [`Error::Read`] if reading fails.
    pub fn layer(&self, id: &LayerId) -> Result<Option<Layer>> {
        self.hold(id)?;
        self.store.layer(id)
    }

    /// A file without a name, to keep something in for as long as it is open.
    ///
    /// # Errors
    /// [`Error::Write`] if it cannot be created.
    pub fn scratch_file(&self) -> Result<File> {
        let named = || {
            let name = self.unused_name();
            let file = self.staging.create(&name, 0o600)?;
            self.staging.unlink(&name).map(|()| file)
        };
        // No O_TMPFILE here: a file that lost its name will do.
        let file = self.staging.create_unnamed(0o600).or_else(|_| named());
        file.writing(|| "a temporary file".to_owned())
    }

    /// Adds `object` to the lease. To be done before the object is used.
    pub(crate) fn hold(&self, object: &impl Display) -> Result<()> {
        let line = format!("{object}\n");
        let written = (&*self.lease).write_all(line.as_bytes());
        record::on(written, "write", self.id.as_bytes()).writing(|| "a lease".to_owned())
    }

    pub(crate) fn staging(&self) -> &Arc<Dir> {
        &self.staging
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.store.durability() == Durability::Commit
    }

    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    /// A name in staging that was not used before.
    pub(crate) fn unused_name(&self) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        number.to_string().into_bytes()
    }

    /// Makes `bytes` the content of the file `name` in `dir`, in one step.
    pub(crate) fn replace(&self, dir: &Dir, name: &[u8], bytes: &[u8]) -> rbuild_sys::Result<()> {
        let temporary = self.unused_name();
        let file = record::create(&self.staging, &temporary, bytes)?;
        if self.is_durable() {
            record::on(file.sync_data(), "fdatasync", name)?;
        }
        dir.rename(&self.staging, &temporary, name)
    }

    /// Forces the names in `dir` to disk, if objects must survive a crash of the machine.
    pub(crate) fn sync_names(&self, dir: &Dir) -> rbuild_sys::Result<()> {
        if self.is_durable() {
            record::sync_names(dir)
        } else {
            Ok(())
        }
    }

    /// Moves `name` of `dir`, a damaged object, out of the way.
    pub(crate) fn discard(&self, dir: &Dir, name: &[u8]) -> rbuild_sys::Result<()> {
        let discarded = self.staging.rename_new(dir, name, &self.unused_name());
        rbuild_sys::Error::absent(discarded).map(drop)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What stays behind is swept by the next session.
        if let Ok(Some(staging)) = self.store.subdirectory("staging")
            && staging.remove_all(self.id.as_bytes()).is_ok()
            && let Ok(Some(leases)) = self.store.subdirectory("leases")
        {
            let _ = leases.unlink(self.id.as_bytes());
        }
    }
}

/// `<boot>-<pid>-<random>`.
fn new_id(boot: Option<&str>) -> rbuild_sys::Result<String> {
    let boot = boot.and_then(|id| id.get(..8)).unwrap_or("unknown");
    let random = record::on(random_bytes(), "read", b"/dev/urandom")?;
    let random = u64::from_ne_bytes(random);
    Ok(format!("{boot}-{}-{random:016x}", std::process::id()))
}

/// Throws away what dead sessions left behind, until `deadline`. What fails is left to the
/// next sweep.
pub(crate) fn sweep(store: &Store, deadline: Instant) {
    let (Ok(leases), Ok(staging), Ok(trash)) = (
        store.make_subdirectory("leases"),
        store.make_subdirectory("staging"),
        store.make_subdirectory("trash"),
    ) else {
        return;
    };
    for entry in leases.entries().unwrap_or_default() {
        if Instant::now() >= deadline {
            return;
        }
        bury(&leases, &entry.name, || {
            let moved = trash.rename_new(&staging, &entry.name, &entry.name);
            rbuild_sys::Error::absent(moved).is_ok()
        });
    }
    for entry in staging.entries().unwrap_or_default() {
        if entry.kind == FileKind::File {
            bury(&staging, &entry.name, || true);
        }
    }
    for entry in trash.entries().unwrap_or_default() {
        remove_until(&trash, &entry.name, 5, deadline);
    }
}

/// Deletes the lock file `name` if its holder is dead and `cleaned` succeeds.
fn bury(dir: &Dir, name: &[u8], cleaned: impl FnOnce() -> bool) {
    if let Ok(file) = dir.read(name)
        && let Ok(Some(_dead)) = Flock::try_exclusive(file, String::new)
        && cleaned()
    {
        let _ = dir.unlink(name);
    }
}

/// Deletes `name` and what is below it; looks at the clock in the upper `levels`.
/// Returns whether it is gone.
fn remove_until(dir: &Dir, name: &[u8], levels: u32, deadline: Instant) -> bool {
    if Instant::now() >= deadline {
        return false;
    }
    if levels == 0 || !dir.stat(name).is_ok_and(|stat| stat.is_dir()) {
        return dir.remove_all(name).is_ok();
    }
    let _ = dir.set_mode(name, 0o700);
    let Ok(child) = dir.child(name) else {
        return false;
    };
    let entries = child.entries().unwrap_or_default();
    let emptied = entries
        .iter()
        .all(|entry| remove_until(&child, &entry.name, levels - 1, deadline));
    emptied
        && match dir.rmdir(name) {
            Ok(()) => true,
            Err(error) => error.is(Errno::NOENT),
        }
}
