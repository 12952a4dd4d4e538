//! What can be typed about attestations: documents that say how an image was made and what is in it.

use clap::Args;

/// What is said of the result, beside it.
#[derive(Args, Debug)]
pub struct AttestArgs {
    /// Say how the image was made (SLSA): `true`, `false`, or `mode=min|max[,builder-id=URI]`. `max`,
    /// which `true` is, tells the Dockerfile and the values of build arguments too. For outputs of
    /// type registry and oci (an index with the image and what is said of it), local and tar (the
    /// file provenance.json) [default: false]
    #[arg(long, value_name = "SPEC", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub provenance: Option<String>,
    /// Say which packages are in the image, by its databases of dpkg and apk (SPDX), for the same
    /// outputs (the file sbom.spdx.json) [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub sbom: Option<String>,
    /// The same in one flag: `type=provenance[,mode=…][,builder-id=…]`, `type=sbom`; repeatable
    #[arg(long, value_name = "SPEC")]
    pub attest: Vec<String>,
}
