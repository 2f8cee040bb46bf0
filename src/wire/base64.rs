//! Bytes as text: RFC 4648's base64 with its padding, for what is no text in JSON.

use base64ct::{Base64, Encoding};

/// Bytes as text.
pub fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// The bytes a text stands for; none when it stands for none.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_and_bytes_again() {
        // The vectors of RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!((encode(bytes.as_bytes()), decode(text)), (text.to_owned(), Some(bytes.into())));
        }
        for text in ["Zg", "Zg=", "Z", "Zm9v\n", "Zm9_", "Zh==", "=", "\u{e9}"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
