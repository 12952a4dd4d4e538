//! What can be typed about images in the store: listing, naming, and moving them by files.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use rbuild_oci::Platform;

use super::PolicyArgs;

const FORMAT_NOTES: &str = "\
A TEMPLATE is text with `{{.Field}}`, `{{.Field.Inner}}`, `{{json .Field}}` or
`{{index .Field \"key\"}}` in it; `json` alone prints everything as JSON.";

/// List the images in the store.
#[derive(Args, Debug)]
#[command(after_help = FORMAT_NOTES)]
pub struct ImagesArgs {
    /// Show only images of this name
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Print each image by a template, or all as `json`: {{.Repository}} {{.Tag}} {{.ID}}
    /// {{.Digest}} {{.Created}} {{.CreatedAt}} {{.Size}} {{.Name}} {{.Labels}}
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    /// The same as --format json
    #[arg(long, conflicts_with_all = ["format", "quiet"])]
    pub json: bool,
    /// Show all images; so it is anyway, nothing between two steps is one: accepted for podman's
    /// users
    #[arg(short, long)]
    pub all: bool,
    /// Show only images that fit: dangling=BOOL, label[!]=KEY[=VALUE], reference=PATTERN, id=ID,
    /// before=IMAGE, since=IMAGE, until=TIME (a duration back, RFC 3339, or seconds since 1970);
    /// also readonly=BOOL and intermediate=BOOL, which no image is; repeatable: all must fit, of
    /// references and ids one
    #[arg(short, long, value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Show all names that the image of each line has
    #[arg(long)]
    pub history: bool,
    /// Show digests of manifests too
    #[arg(long)]
    pub digests: bool,
    /// Print only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// Do not shorten ids
    #[arg(long)]
    pub no_trunc: bool,
    /// Leave the headings out
    #[arg(short, long)]
    pub noheading: bool,
}

/// Show how an image was made.
#[derive(Args, Debug)]
#[command(after_help = FORMAT_NOTES)]
pub struct HistoryArgs {
    /// The image, by name or id
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Print each step by a template, or all as `json`: {{.ID}} {{.Created}} {{.CreatedSince}}
    /// {{.CreatedBy}} {{.Size}} {{.Comment}}
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    /// Show sizes and times for people
    #[arg(short = 'H', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    pub human: bool,
    /// Show texts and ids as long as they are
    #[arg(long)]
    pub no_trunc: bool,
    /// Print only ids
    #[arg(short, long)]
    pub quiet: bool,
}

/// Show images, and lists of images, as JSON.
#[derive(Args, Debug)]
#[command(after_help = FORMAT_NOTES)]
pub struct InspectArgs {
    /// Images or lists of them, by name or id
    #[arg(required = true, value_name = "NAME")]
    pub images: Vec<String>,
    /// What the names are of
    #[arg(short, long, value_enum, default_value_t = Inspected::All, value_name = "TYPE")]
    pub r#type: Inspected,
    /// Print by a template instead
    #[arg(short, long, value_name = "TEMPLATE")]
    pub format: Option<String>,
}

/// What can be inspected.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspected {
    /// An image.
    Image,
    /// A list of images for several platforms.
    Manifest,
    /// Whatever has that name: an image, else a list.
    All,
}

/// Tell by the exit status whether the store has an image: 0 if it has, 1 if it has not.
#[derive(Args, Debug)]
pub struct ExistsArgs {
    /// The image, by name or id
    #[arg(value_name = "NAME")]
    pub image: String,
}

/// Give an image another name.
#[derive(Args, Debug)]
pub struct TagArgs {
    /// The image, by name or id
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Its new names
    #[arg(required = true, value_name = "NEW")]
    pub names: Vec<String>,
}

/// Take names away from an image; the image stays.
#[derive(Args, Debug)]
pub struct UntagArgs {
    /// The image, by name or id
    #[arg(value_name = "NAME")]
    pub image: String,
    /// The names to take away [default: all it has]
    #[arg(value_name = "OLD")]
    pub names: Vec<String>,
}

/// Remove names, and images that have no name left.
#[derive(Args, Debug)]
pub struct RmiArgs {
    /// Images, by name or id
    #[arg(value_name = "NAME", required_unless_present_any = ["all", "prune"])]
    pub images: Vec<String>,
    /// Remove all images
    #[arg(short, long)]
    pub all: bool,
    /// Remove the images that have no name, and are in no list
    #[arg(short, long)]
    pub prune: bool,
    /// Remove an image given by id even if it has several names; what is not there is no error
    #[arg(short, long)]
    pub force: bool,
}

const SAVE_NOTES: &str = "\
Examples:
  rbuild save app:1 | podman load
  rbuild save -m -o all.tar app:1 app:2
  rbuild save --format oci-archive -o app.tar app:1";

/// Write images to an archive or a directory.
#[derive(Args, Debug)]
#[command(after_help = SAVE_NOTES)]
pub struct SaveArgs {
    /// The image, by name or id; further names of it are saved too
    #[arg(required = true, value_name = "NAME")]
    pub images: Vec<String>,
    /// Write to FILE (a directory for the formats that are one) [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value_t = SaveFormat::DockerArchive, value_name = "FORMAT")]
    pub format: SaveFormat,
    /// Put several images into one archive
    #[arg(short, long)]
    pub multi_image_archive: bool,
    /// Print nothing; accepted for podman's users: nothing is printed anyway
    #[arg(short, long)]
    pub quiet: bool,
}

/// What `save` writes.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveFormat {
    /// As `docker save`.
    DockerArchive,
    /// A tar of an OCI layout.
    OciArchive,
    /// An OCI layout.
    OciDir,
    /// A manifest in docker's format and its blobs, side by side.
    DockerDir,
}

/// Take images from an archive or a directory, with their names.
#[derive(Args, Debug)]
pub struct LoadArgs {
    /// What `save`, `docker save` or `podman save` wrote, in any format, also compressed
    /// [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Print only names
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub signatures: PolicyArgs,
}

/// Write the files of an image, all layers merged, as a tar.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// The image, by name or id
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Write to FILE [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

const IMPORT_NOTES: &str = "\
Example:
  mmdebstrap --variant=minbase bookworm | rbuild import - debian:12 --change 'CMD [\"bash\"]'";

/// Make an image from a root file system.
#[derive(Args, Debug)]
#[command(after_help = IMPORT_NOTES)]
pub struct ImportArgs {
    /// A tar (plain, gzip or zstd), `-` for standard input, or a directory
    #[arg(value_name = "ROOTFS")]
    pub source: PathBuf,
    /// NAME[:TAG] of the image
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Apply a Dockerfile instruction: ENV, CMD, ENTRYPOINT, WORKDIR, USER, LABEL, EXPOSE, VOLUME,
    /// STOPSIGNAL, SHELL; repeatable
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// What its programs are for [default: this machine's platform]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
    /// Print only the image's id
    #[arg(short, long)]
    pub quiet: bool,
}
