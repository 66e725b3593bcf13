//! Tokens: who may do what on the admin plane.

use crate::Time;
use crate::shape::{one_of, shapes};

one_of! {
    /// What a token allows. Each role may do what those before it may.
    pub enum Role ("a role") {
        /// Look at everything of its team.
        Viewer = "viewer",
        /// Deploy and roll back its team's scripts.
        Deployer = "deployer",
        /// Flip switches and lift quarantines.
        Operator = "operator",
        /// Make and revoke tokens.
        Admin = "admin",
    }
}

shapes! {
    answer
    /// A token as it may be shown: never its secret.
    pub struct Token {
        /// Its id.
        pub id: String,
        /// What it allows.
        pub role: Role,
        /// The team it is bound to; absent for all teams.
        pub team: Option<String>,
        /// What it is for.
        pub note: String,
        /// When it was made.
        pub created: Time,
        /// When it ends.
        pub expires: Option<Time>,
        /// Whether it was revoked.
        pub revoked: bool,
    }

    request
    /// The token that is wanted.
    pub struct TokenRequest {
        /// What it is to allow.
        pub role: Role,
        /// The team it is to be bound to; absent for all teams.
        pub team: Option<String>,
        /// What it is for.
        pub note: String,
        /// When it is to end.
        pub expires: Option<Time>,
    }

    answer
    /// A token that was made. The secret is shown this once.
    pub struct TokenMade {
        /// The token.
        pub token: Token,
        /// What to send as `Authorization: Bearer`.
        pub secret: String,
    }

    answer
    /// Who the caller is.
    pub struct Whoami {
        /// The name that stands in the audit.
        pub name: String,
        /// The id of the token.
        pub token: Option<String>,
        /// What the token allows.
        pub role: Role,
        /// The team it is bound to; absent for all teams.
        pub team: Option<String>,
        /// When the token ends.
        pub expires: Option<Time>,
        /// The address that the call came from.
        pub from: String,
    }
}
