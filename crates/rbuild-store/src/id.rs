//! 32-byte identifiers that become file names.

use std::{fmt, fs::File, io::Read};

use rbuild_oci::{ChainId, Digest};
use serde::{Deserialize, Serialize};

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Digest);

        impl $name {
            /// From the 32 raw bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Digest::from_bytes(bytes))
            }

            /// The 32 raw bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }

            /// From 64 lower-case hexadecimal digits; `None` if it is anything else.
            pub fn from_hex(hex: &str) -> Option<Self> {
                Digest::from_hex(hex).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = rbuild_oci::Error;

            fn try_from(hex: String) -> Result<Self, rbuild_oci::Error> {
                Digest::from_hex(&hex).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id_type! {
    /// Names a frozen tree of files: the chain id of a pulled layer, or a step's own choice.
    LayerId
}
id_type! {
    /// Names what a step, or a note, is remembered by.
    Key
}

impl Key {
    /// The key of what is called `name`, which can be anything.
    pub fn of(name: &[u8]) -> Self {
        Self(Digest::of(name))
    }
}

impl LayerId {
    /// An id that nobody else has.
    ///
    /// # Errors
    /// When `/dev/urandom` cannot be read.
    pub fn random() -> std::io::Result<Self> {
        random_bytes().map(Self::from_bytes)
    }
}

impl From<ChainId> for LayerId {
    fn from(chain: ChainId) -> Self {
        Self(chain.0)
    }
}

/// Bytes from the kernel's generator.
pub(crate) fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
