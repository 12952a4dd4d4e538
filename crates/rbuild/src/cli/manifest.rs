//! What can be typed about lists of images for several platforms.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};

use super::{CompressionArgs, CompressionFormat, ManifestFormat, PolicyArgs, RegistryArgs};

const MANIFEST_NOTES: &str = "\
A list is in the store under a name of its own, and keeps its images from being deleted. It is
written as an OCI index, or as Docker's manifest list if all its images are in Docker's format.

Example:
  rbuild manifest create app:1 app:1-amd64 docker://registry.example/app:1-arm64
  rbuild manifest push app:1 docker://registry.example/app:1";

/// Make lists of images for several platforms, and push them.
#[derive(Args, Debug)]
#[command(after_help = MANIFEST_NOTES)]
pub struct ManifestArgs {
    #[command(subcommand)]
    pub command: ManifestCommand,
}

/// What to do with a list.
#[derive(Subcommand, Debug)]
pub enum ManifestCommand {
    /// Make a list, and print its id
    Create(ListCreateArgs),
    /// Add images to a list, and print its id
    Add(ListAddArgs),
    /// Change what a list says of an image, and print its id
    Annotate(ListAnnotateArgs),
    /// Print a list, or what a registry has, as JSON
    Inspect(ListInspectArgs),
    /// Send a list and its images to a registry or an OCI layout
    Push(Box<ListPushArgs>),
    /// Take an image out of a list, and print its id
    Remove(ListRemoveArgs),
    /// Delete lists; their images stay
    Rm(ListRmArgs),
    /// Tell by the exit status whether the store has a list
    Exists(ListArgs),
}

/// A list.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Its name
    #[arg(value_name = "LIST")]
    pub list: String,
}

/// Print a list.
#[derive(Args, Debug)]
pub struct ListInspectArgs {
    /// Its name; what the store has no list of is asked for at the registry, docker://NAME at once
    #[arg(value_name = "LIST")]
    pub list: String,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// Make a list.
#[derive(Args, Debug)]
pub struct ListCreateArgs {
    /// Its name
    #[arg(value_name = "LIST")]
    pub list: String,
    /// Images to add: as for `add`
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Change the list if there is one
    #[arg(short, long)]
    pub amend: bool,
    /// Add all images of what is an index in a registry, or a list here
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub signatures: PolicyArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// Add images to a list.
#[derive(Args, Debug)]
pub struct ListAddArgs {
    /// The list
    #[arg(value_name = "LIST")]
    pub list: String,
    /// Images, by name or id, or places; what the store has not is fetched
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Add all images of what is an index in a registry, or a list here
    #[arg(long, conflicts_with_all = ["os", "arch", "variant"])]
    pub all: bool,
    #[command(flatten)]
    pub entry: EntryArgs,
    #[command(flatten)]
    pub signatures: PolicyArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// What a list says of an image.
#[derive(Args, Debug, Default)]
pub struct EntryArgs {
    /// An annotation; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// The architecture [default: as the image says]
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<String>,
    /// The operating system [default: as the image says]
    #[arg(long, value_name = "OS")]
    pub os: Option<String>,
    /// The variant of the architecture [default: as the image says]
    #[arg(long, value_name = "VARIANT")]
    pub variant: Option<String>,
    /// The version of the operating system [default: as the image says]
    #[arg(long, value_name = "VERSION")]
    pub os_version: Option<String>,
    /// What the operating system must have; repeatable [default: as the image says]
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub os_features: Vec<String>,
}

/// Change what a list says of an image.
#[derive(Args, Debug)]
pub struct ListAnnotateArgs {
    /// The list
    #[arg(value_name = "LIST")]
    pub list: String,
    /// The image: its digest as `inspect` shows it, its name or its id
    #[arg(value_name = "IMAGE")]
    pub image: String,
    #[command(flatten)]
    pub entry: EntryArgs,
}

/// Take an image out of a list.
#[derive(Args, Debug)]
pub struct ListRemoveArgs {
    /// The list
    #[arg(value_name = "LIST")]
    pub list: String,
    /// The image: its digest as `inspect` shows it, its name or its id
    #[arg(value_name = "IMAGE")]
    pub image: String,
}

/// Delete lists.
#[derive(Args, Debug)]
pub struct ListRmArgs {
    /// The lists
    #[arg(required = true, value_name = "LIST")]
    pub lists: Vec<String>,
}

/// Send a list to a registry, an archive or a directory.
#[derive(Args, Debug)]
pub struct ListPushArgs {
    /// The list
    #[arg(value_name = "LIST")]
    pub list: String,
    /// docker://HOST/NAME[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG] or dir:DIR
    /// [default: docker://LIST]
    #[arg(value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// Send the images too; with `false` the registry must have them, and it must be one
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    pub all: bool,
    /// Write the list and its manifests in this format
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub format: Option<ManifestFormat>,
    /// List each image once more, compressed in this way; repeatable
    #[arg(long, value_enum, value_name = "FORMAT", value_delimiter = ',')]
    pub add_compression: Vec<CompressionFormat>,
    /// Delete the list when it is sent
    #[arg(short = 'p', long, visible_alias = "purge")]
    pub rm: bool,
    /// Send no signatures; none are sent anyway, accepted for podman's users
    #[arg(long)]
    pub remove_signatures: bool,
    /// Write the digest of the list to FILE
    #[arg(long, value_name = "FILE")]
    pub digestfile: Option<PathBuf>,
    /// Print nothing
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub compression: CompressionArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
}
