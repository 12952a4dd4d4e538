//! What can be typed about how an image is written down: format, labels of its base, annotations,
//! times, history.

use clap::Args;

/// The latest time that RFC 3339 can tell: the end of the year 9999, in seconds since 1970.
const LATEST: i64 = 253_402_300_799;

/// How the image is written down.
#[derive(Args, Debug)]
pub struct DescriptionArgs {
    /// Whose manifest and media types the image has, in the store and in registries; in layouts and
    /// archives they are always OCI's
    #[arg(long, value_enum, default_value_t = ImageFormat::Oci, value_name = "FORMAT")]
    pub format: ImageFormat,
    /// Add an annotation to the manifest, with `manifest[PLATFORM]:` to that of an image for one
    /// platform; with the prefix `index:` or `manifest-descriptor:`, to a list of images for several
    /// platforms, or to its entries; with `index-descriptor:`, where a layout (-o type=oci) lists that;
    /// repeatable
    #[arg(long, value_name = "[PLACE:]KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Leave an annotation out, also one of the base or of rbuild's own; repeatable
    #[arg(long, value_name = "KEY")]
    pub unsetannotation: Vec<String>,
    /// With `false`, annotations of the base image are left out
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub inherit_annotations: bool,
    /// With `false`, each stage starts without the labels of its base
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub inherit_labels: bool,
    /// Add the label io.rbuild.version
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub identity_label: bool,
    /// With `false`, there is no annotation org.opencontainers.image.created
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub created_annotation: bool,
    /// Leave the history out, that of the base too
    #[arg(long)]
    pub omit_history: bool,
    /// The time of the image, of its new history and of all files in new layers, in seconds since
    /// 1970
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..=LATEST),
          conflicts_with_all = ["source_date_epoch", "rewrite_timestamp"])]
    pub timestamp: Option<i64>,
    /// The time of the image and of its new history; younger files in new layers get it too
    /// [env: SOURCE_DATE_EPOCH] [default: when the steps were executed]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..=LATEST))]
    pub source_date_epoch: Option<i64>,
    /// With `false`, files keep their times even with --source-date-epoch [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub rewrite_timestamp: Option<bool>,
}

/// Whose manifest and media types an image has.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// Those of the OCI image specification.
    Oci,
    /// Docker's, version 2 schema 2; it has no annotations.
    #[value(alias = "v2s2")]
    Docker,
}
