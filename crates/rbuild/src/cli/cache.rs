//! What can be typed after `rbuild cache`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

const CACHE_NOTES: &str = "\
Caches are called by the `id=` of the mount (its target where none was given), or by the first
characters of their KEY where several have the id. Whatever uses a cache while a build does waits for
it, except `rm`, which refuses.

Examples:
  rbuild cache export go-build - | zstd > go-build.tar.zst
  rbuild cache import go-build go-build.tar.zst";

/// Look after what RUN --mount=type=cache keeps.
#[derive(Args, Debug)]
#[command(after_help = CACHE_NOTES)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// What to do with cache mounts.
#[derive(Subcommand, Debug)]
pub enum CacheCommand {
    /// List them: id, owner, mode, copies, last use, size
    Ls,
    /// Delete some
    Rm {
        /// Their ids or keys
        #[arg(value_name = "ID", required_unless_present = "all")]
        ids: Vec<String>,
        /// Delete all that nobody uses
        #[arg(short, long, conflicts_with = "ids")]
        all: bool,
    },
    /// Write one to a tar
    Export {
        /// Its id or key
        #[arg(value_name = "ID")]
        id: String,
        /// The tar; `-` is standard output
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Make one of a tar (plain, gzip or zstd), with the owner and mode of the tar's `./`
    Import {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        /// The tar; `-` is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}
