//! The text of a token: `cb_`, an id, a secret, and a checksum so that a typo fails at once.
//!
//! Invariant: the secret has 256 random bits, so a fast hash is enough to keep it; the id may be shown.

use std::fmt;

const PREFIX: &str = "cb_";
const ID_BYTES: usize = 5;
const SECRET_BYTES: usize = 32;
const CHECK_BYTES: usize = 4;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A well-formed token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText {
    text: String,
    id_end: usize,
}

impl TokenText {
    /// A new token.
    ///
    /// # Errors
    /// The system gives no random numbers; the text says why.
    pub fn make() -> Result<Self, String> {
        let mut random = [0; ID_BYTES + SECRET_BYTES];
        getrandom::fill(&mut random).map_err(|error| error.to_string())?;
        let (id, secret) = random.split_at(ID_BYTES);
        let body = format!("{PREFIX}{}_{}", base32(id), base32(secret));
        let text = format!("{body}{}", check(&body));
        Ok(Self { text, id_end: PREFIX.len() + length(ID_BYTES) })
    }

    /// Reads a token; nothing when it is none, or was mistyped.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_plain = |text: &str| text.bytes().all(|byte| ALPHABET.contains(&byte));
        let long = (length(ID_BYTES), length(SECRET_BYTES) + length(CHECK_BYTES));
        if (id.len(), rest.len()) != long || !is_plain(id) || !is_plain(rest) {
            return None;
        }
        let (body, said) = text.split_at(text.len() - length(CHECK_BYTES));
        (said == check(body)).then(|| Self { text: text.to_owned(), id_end: PREFIX.len() + id.len() })
    }

    /// The id within it.
    pub fn id(&self) -> &str {
        &self.text[PREFIX.len()..self.id_end]
    }

    /// All of it: a secret.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_…", self.id())
    }
}

/// The hash under which a token is kept.
pub(super) fn hash(text: &str) -> [u8; 32] {
    blake3::derive_key("callboard admin token v1", text.as_bytes())
}

fn check(body: &str) -> String {
    let sum = blake3::derive_key("callboard admin token checksum v1", body.as_bytes());
    base32(&sum[..CHECK_BYTES])
}

/// How many characters so many bytes take.
const fn length(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

fn base32(bytes: &[u8]) -> String {
    let (mut text, mut held, mut bits) = (String::with_capacity(length(bytes.len())), 0_u16, 0);
    let mut put = |value: u16| text.push(char::from(ALPHABET[usize::from(value & 31)]));
    for byte in bytes {
        held = (held << 8) | u16::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            put(held >> bits);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        put(held << (5 - bits));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_what_it_writes_and_shows_its_id_alone() {
        let token = TokenText::make().unwrap();
        assert_eq!(TokenText::parse(token.as_str()), Some(token.clone()));
        assert_eq!(token.id().len(), 8);
        assert_eq!(format!("{token:?}"), format!("cb_{}_…", token.id()));
        assert_ne!(TokenText::make().unwrap(), token);
    }

    #[test]
    fn a_typo_anywhere_makes_it_no_token() {
        let token = TokenText::make().unwrap();
        for at in 0..token.as_str().len() {
            let mut bytes = token.as_str().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            assert_eq!(TokenText::parse(&String::from_utf8(bytes).unwrap()), None, "at {at}");
        }
        for text in ["", "cb_", "cb__", "cb_a_b", "ümläut", &token.as_str()[..token.as_str().len() - 1]] {
            assert_eq!(TokenText::parse(text), None, "{text}");
        }
    }

    #[test]
    fn base32_is_that_of_the_standard_without_padding() {
        fn check(bytes: &[u8], text: &str) {
            assert_eq!(base32(bytes), text);
        }
        check(b"", "");
        check(b"f", "my");
        check(b"fo", "mzxq");
        check(b"foobar", "mzxw6ytboi");
    }
}
