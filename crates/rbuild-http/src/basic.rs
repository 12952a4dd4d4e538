//! User and password as a header. RFC 7617, RFC 4648.

use base64::{Engine, engine::general_purpose::STANDARD};

/// The value of `Authorization` for `user:password`.
pub fn basic(user_and_password: &str) -> String {
    format!("Basic {}", STANDARD.encode(user_and_password))
}

#[cfg(test)]
mod tests {
    use super::basic;

    #[test]
    fn examples_of_the_specifications() {
        assert_eq!(
            basic("Aladdin:open sesame"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert_eq!(basic("foo"), "Basic Zm9v");
        assert_eq!(basic("fooba"), "Basic Zm9vYmE=");
    }
}
