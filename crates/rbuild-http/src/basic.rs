//! User and password as a header. RFC 7617, RFC 4648.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of `Authorization` for `user:password`.
pub fn basic(user_and_password: &str) -> String {
    let mut value = String::from("Basic ");
    for chunk in user_and_password.as_bytes().chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 0x3f;
            let padding = digit as usize > chunk.len();
            value.push(if padding {
                '='
            } else {
                char::from(ALPHABET[index as usize])
            });
        }
    }
    value
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
