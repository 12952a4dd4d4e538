//! What can be typed about the store: what it needs, what goes, whether it is sound.

use clap::{Args, Subcommand};

/// Delete what no image needs: results of steps, images without a name, leftovers of killed builds.
///
/// Images with names stay, and so does what running builds use.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Forget all results of steps, also those that named images consist of
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only delete what was not used since (`until=24h`, `until=2026-01-31T00:00:00Z`), or images
    /// with or without a label (`label=KEY[=VALUE]`, `label!=KEY[=VALUE]`); repeatable
    #[arg(long, value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Stop when the store needs no more than SIZE; the least recently used goes first
    #[arg(long, value_name = "SIZE")]
    pub max_used_space: Option<String>,
    /// Stop when SIZE is free on the file system; the least recently used goes first
    #[arg(long, value_name = "SIZE")]
    pub min_free_space: Option<String>,
    /// Keep what was used within DURATION: 90s, 24h, 7d
    #[arg(long, value_name = "DURATION")]
    pub keep_duration: Option<String>,
    /// Only say what would be deleted, and why
    #[arg(long)]
    pub dry_run: bool,
}

/// Show what the store's disk space is used for.
#[derive(Args, Debug)]
pub struct DfArgs {
    /// List every object, the largest first
    #[arg(short, long)]
    pub verbose: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = DfFormat::Table, value_name = "FORMAT")]
    pub format: DfFormat,
}

/// How `df` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DfFormat {
    /// Columns, for people.
    Table,
    /// One object, sizes in bytes.
    Json,
}

/// Look after the store itself.
#[derive(Args, Debug)]
pub struct StoreArgs {
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// What to do with the store.
#[derive(Subcommand, Debug)]
pub enum StoreCommand {
    /// Read everything and say what is damaged
    Check(CheckArgs),
}

/// Read everything and say what is damaged.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Delete what is damaged, and forget the names that led there
    #[arg(long)]
    pub repair: bool,
}
