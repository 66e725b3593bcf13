//! The token by which nodes of one fleet know each other.

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// The tokens of a fleet: one is shown, the others are accepted while the signing key is rotated.
pub struct FleetTokens {
    current: Secret,
    accepted: Vec<Secret>,
}

impl FleetTokens {
    /// The tokens that come from these signing keys.
    pub fn of(current: &[u8; 32], older: &[[u8; 32]]) -> Self {
        let token = |key: &[u8; 32]| {
            let derived = blake3::derive_key("callboard fleet token v1", key);
            Secret::new(format!("Bearer {}", blake3::Hash::from(derived).to_hex()))
        };
        let accepted = std::iter::once(current).chain(older).map(token).collect();
        Self { current: token(current), accepted }
    }

    /// What this node shows, as a header's value.
    pub(super) fn shown(&self) -> &str {
        self.current.reveal()
    }

    /// Whether a request comes from a node of the fleet.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        // All are compared, so that the time tells nothing of which one fits.
        self.accepted
            .iter()
            .fold(false, |known, token| known | bool::from(token.reveal().as_bytes().ct_eq(shown)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn nodes_of_one_key_know_each_other_also_while_it_is_rotated() {
        let (old, new, other) = ([1; 32], [2; 32], [3; 32]);
        let admits = |mine: &FleetTokens, theirs: &FleetTokens| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(theirs.shown()).unwrap());
            mine.admits(&headers)
        };
        let before = FleetTokens::of(&old, &[]);
        let during = FleetTokens::of(&new, &[old]);
        let accepts_new = FleetTokens::of(&old, &[new]);
        assert!(admits(&before, &before) && admits(&during, &before) && admits(&accepts_new, &during));
        assert!(!admits(&before, &FleetTokens::of(&other, &[])));
        assert!(!before.admits(&HeaderMap::new()));
    }
}
