//! `RUN --device`: which nodes of the host's `/dev` a command has.
//!
//! Knows: how a node is named. Does not know: whether there is one.
//!
//! Spec: dockerfile.md R7. The names of the Container Device Interface are refused: nothing here
//! reads its specifications.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast;
use rbuild_oci::ImagePath;

use crate::fold::Fold;
use crate::op::Device;

impl Fold<'_> {
    /// The devices of one `RUN`; `None` after an error in any of them.
    pub(crate) fn devices(&mut self, devices: &[ast::Device]) -> Option<Vec<Device>> {
        let all: Vec<_> = devices.iter().map(|device| self.device(device)).collect();
        all.into_iter().collect()
    }

    fn device(&mut self, device: &ast::Device) -> Option<Device> {
        let name = &device.name.value;
        let refusal = |message: String, hint: &str| {
            Diagnostic::error(device.name.span.clone(), message).with_hint(hint)
        };
        let Some(below) = name.strip_prefix("/dev/") else {
            let message = format!("there is no device `{name}`: CDI names are not supported");
            return self.fail(refusal(
                message,
                "name a node, such as `--device=/dev/fuse`",
            ));
        };
        let (below, permissions) = below.split_once(':').unwrap_or((below, "rwm"));
        if !["rw", "rwm"].contains(&permissions) {
            let message = format!("`{permissions}` cannot be enforced on `/dev/{below}`");
            let hint = "a command may read and write its devices: leave it out, or write `rw`";
            return self.fail(refusal(message, hint));
        }
        let path = ImagePath::root().join(below);
        let is_clean = |path: &ImagePath| !path.is_root() && path.relative() == below;
        match path.filter(is_clean) {
            Some(path) => Some(Device {
                path,
                required: device.required,
            }),
            None => self.fail(refusal(
                format!("`{name}` is not the name of a device"),
                "name a node, such as `--device=/dev/fuse`",
            )),
        }
    }
}
