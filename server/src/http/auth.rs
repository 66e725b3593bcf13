//! Auth: who asks on the admin door, by the token that they bring.
//!
//! Invariant: no secret is kept, only hashes, which are compared in constant time; the token of the
//! configuration never needs the store, so that a switch can be turned off while the store is down.
//! Not here: what a role may do to what (`caller`), HTTP (`manage`).

mod caller;
mod lockout;
mod token;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actors::error::StoreError;
use actors::node::{Node, Shared};
use actors::storage::{Change, Store, TokenRow};
use actors::who::{Who, unix_ms};
use api::Role;
use quotas::scope::TeamName;
use subtle::ConstantTimeEq;

pub use self::caller::Caller;
use self::lockout::Lockout;
pub use self::token::TokenText;
use crate::config::Secret;

/// The shortest token that a configuration may name.
pub const ADMIN_TOKEN_MIN: usize = 16;
/// The longest text that is looked at as a token.
const TOKEN_MAX: usize = 4_096;
/// The name under which the token of the configuration stands in the history.
const CONFIGURED: &str = "admin";
/// How old what was read from the store may become.
const FRESH: Duration = Duration::from_secs(5);
/// How long ago the store was last asked, at least, when it is asked for a token that is not known.
const UNKNOWN: Duration = Duration::from_millis(500);
/// How often is looked whether tokens changed.
const FOLLOW: Duration = Duration::from_millis(500);
/// How long a request waits for the store to say which tokens there are.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// Why there is nobody who could be let in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The configured token is easily guessed.
    #[error("the admin token is too short: it has to have at least {ADMIN_TOKEN_MIN} characters")]
    TooShort,
    /// The store did not take the first token.
    #[error("{0}")]
    Store(StoreError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

impl AuthError {
    /// Every code of this enum's own.
    pub const CODES: [&'static str; 2] = ["auth.token_too_short", "auth.no_randomness"];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooShort => "auth.token_too_short",
            Self::Store(error) => error.code(),
            Self::Random(_) => "auth.no_randomness",
        }
    }
}

/// Why a token does not let its bearer in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// It is not known here, or revoked.
    Invalid,
    /// Its time is over.
    Expired,
    /// The address failed too often; when it may try again.
    Locked(Duration),
    /// The store was not reached yet, so nobody can say.
    Unread(StoreError),
}

/// What a token says about its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The name for the history.
    pub name: String,
    /// The token's id; none for the token of the configuration.
    pub id: Option<String>,
    /// What it allows.
    pub role: Role,
    /// The team it is bound to.
    pub team: Option<TeamName>,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: Option<u64>,
}

/// A token that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is to allow.
    pub role: Role,
    /// The team it is to be bound to.
    pub team: Option<TeamName>,
    /// What it is for.
    pub note: String,
    /// When it is to end, in Unix milliseconds.
    pub expires_ms: Option<u64>,
}

/// The tokens of a node.
pub struct Tokens {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    configured: Option<[u8; 32]>,
    known: Mutex<Known>,
    reading: tokio::sync::Mutex<()>,
    lockout: Mutex<Lockout>,
}

/// What the store said.
#[derive(Default)]
struct Known {
    rows: Arc<HashMap<String, TokenRow>>,
    /// Whether the store was ever reached.
    read: bool,
    /// When it was asked, and what the count of changes was then.
    asked: Option<(Instant, u64)>,
}

impl Tokens {
    /// Whether the token of a configuration may be one; to be asked before anything is started.
    ///
    /// # Errors
    /// It is too short.
    pub fn check(configured: Option<&Secret>) -> Result<(), AuthError> {
        let is_short = |token: &Secret| token.reveal().chars().count() < ADMIN_TOKEN_MIN;
        if configured.is_some_and(is_short) { Err(AuthError::TooShort) } else { Ok(()) }
    }

    /// The tokens of a node, with the one of its configuration. Where there is neither that nor any stored
    /// admin's, one is made and stored; it is the second part of the answer, to be shown this once.
    ///
    /// # Errors
    /// The configured token is too short, or the store does not take the first one. A store that does not
    /// answer is no error: the stored tokens are read as soon as it does.
    pub async fn bootstrap(
        node: &Node,
        configured: Option<&Secret>,
    ) -> Result<(Self, Option<Secret>), AuthError> {
        Self::check(configured)?;
        let tokens = Self {
            store: Arc::clone(node.store()),
            shared: Arc::clone(node.shared()),
            configured: configured.map(|token| token::hash(token.reveal())),
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            lockout: Mutex::default(),
        };
        match tokens.read().await {
            Ok(()) => {}
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Unknown { .. })) => {
                tracing::warn!(%error, "tokens not read; only the configured one is known until the store answers");
                return Ok((tokens, None));
            }
            Err(error) => return Err(AuthError::Store(error)),
        }
        let is_admin = |row: &TokenRow| row.role == Role::Admin.as_str() && row.team.is_none() && holds(row);
        if tokens.configured.is_some() || tokens.rows().values().any(is_admin) {
            return Ok((tokens, None));
        }
        let first = Wanted { role: Role::Admin, team: None, note: "first".to_owned(), expires_ms: None };
        let (_, secret) = tokens.create(first, &Who::node("bootstrap")).await?;
        Ok((tokens, Some(secret)))
    }

    /// Who brings this token from this address.
    ///
    /// # Errors
    /// It does not let them in.
    pub async fn bearer(&self, presented: &str, from: IpAddr) -> Result<Bearer, Denied> {
        let locked = self.lockout().locked(from, Instant::now());
        // A text that a person chose may be guessed, so an address that failed often may not try it. A token
        // that was made here cannot be: whoever has it is let in, however often others fail beside them.
        let found = match presented.len() <= TOKEN_MAX {
            true if locked.is_none() && self.is_configured(presented) => return Ok(configured()),
            true => self.stored(presented, locked.is_none()).await,
            false => Err(Denied::Invalid),
        };
        match (found, locked) {
            (Err(Denied::Invalid), Some(wait)) => Err(Denied::Locked(wait)),
            (Err(Denied::Invalid), None) => {
                self.lockout().failed(from, Instant::now());
                Err(Denied::Invalid)
            }
            (found, _) => found,
        }
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.read().await?;
        let mut rows: Vec<TokenRow> = self.rows().values().cloned().collect();
        rows.sort_by(|one, other| (one.created_ms, &one.id).cmp(&(other.created_ms, &other.id)));
        Ok(rows)
    }

    /// Makes a token. Its text is the second part of the answer and is kept nowhere.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn create(&self, wanted: Wanted, who: &Who) -> Result<(TokenRow, Secret), AuthError> {
        let text = TokenText::make().map_err(AuthError::Random)?;
        let row = TokenRow {
            id: text.id().to_owned(),
            hash: token::hash(text.as_str()),
            role: wanted.role.as_str().to_owned(),
            team: wanted.team,
            note: wanted.note,
            created_ms: unix_ms(),
            expires_ms: wanted.expires_ms,
            revoked: false,
        };
        let audit = who.entry("token.create", format_args!("token:{}", row.id), Some(row.note.clone()));
        self.store.put_token(&row, &audit).await.map_err(AuthError::Store)?;
        self.learn(row.clone());
        self.tell();
        Ok((row, Secret::new(text.as_str().to_owned())))
    }

    /// Revokes a token for good; nothing when there is none of this id.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn revoke(&self, id: &str, who: &Who) -> Result<Option<TokenRow>, StoreError> {
        self.read().await?;
        let Some(row) = self.rows().get(id).cloned() else { return Ok(None) };
        let revoked = TokenRow { revoked: true, ..row };
        if self.rows().get(id).is_some_and(|row| !row.revoked) {
            let audit = who.entry("token.revoke", format_args!("token:{id}"), Some(revoked.note.clone()));
            self.store.put_token(&revoked, &audit).await?;
            self.learn(revoked.clone());
            self.tell();
        }
        Ok(Some(revoked))
    }

    /// Reads the tokens again whenever they changed, so that a revoked one ends soon whether or not somebody shows
    /// it, and what this node keeps nearby of them is what the store has. Never ends.
    pub async fn follow(&self) {
        loop {
            tokio::time::sleep(FOLLOW).await;
            let changed = self.shared.tokens_changed();
            let is_known = {
                let known = self.known();
                known.read && known.asked.is_some_and(|(_, seen)| seen == changed)
            };
            if !is_known {
                let _reading = self.reading.lock().await;
                // A store that does not answer is asked again.
                let _ = tokio::time::timeout(STORE_WAIT, self.read()).await;
            }
        }
    }

    fn is_configured(&self, presented: &str) -> bool {
        self.configured.is_some_and(|hash| same(&hash, presented))
    }

    async fn stored(&self, presented: &str, asks_again: bool) -> Result<Bearer, Denied> {
        let came = Instant::now();
        let text = TokenText::parse(presented).ok_or(Denied::Invalid)?;
        if self.is_stale() {
            let seen = self.rows();
            let _reading = self.reading.lock().await;
            // Somebody else may have read while this one waited.
            if Arc::ptr_eq(&seen, &self.rows()) && self.is_stale() {
                self.read_in_time().await?;
            }
        }
        if asks_again && !self.rows().contains_key(text.id()) {
            // It may have been made on another node a moment ago. However many are unknown, the store is asked twice a
            // second.
            let _reading = self.reading.lock().await;
            let asked = self.known().asked.map(|(at, _)| at).filter(|at| *at < came);
            if let Some(asked) = asked {
                tokio::time::sleep(UNKNOWN.saturating_sub(asked.elapsed())).await;
                self.read_in_time().await?;
            }
        }
        let known = (self.rows(), self.known().read);
        let row = match known {
            (rows, true) => rows.get(text.id()).cloned(),
            (_, false) => {
                return Err(Denied::Unread(StoreError::Unavailable {
                    why: "it was not reached yet".to_owned(),
                }));
            }
        };
        // An unknown id costs the same comparison as a known one.
        let is_same = same(&row.as_ref().map_or([0; 32], |row| row.hash), text.as_str());
        let row = row.filter(|row| is_same && !row.revoked).ok_or(Denied::Invalid)?;
        let role: Role = row.role.parse().map_err(|_| Denied::Invalid)?;
        if row.expires_ms.is_some_and(|end| end <= unix_ms()) {
            return Err(Denied::Expired);
        }
        let name = if row.note.is_empty() { row.id.clone() } else { format!("{} ({})", row.id, row.note) };
        Ok(Bearer { name, id: Some(row.id), role, team: row.team, expires_ms: row.expires_ms })
    }

    /// Reads the tokens. Where the store does not answer, what was read before still holds: it locks nobody out.
    async fn read_in_time(&self) -> Result<(), Denied> {
        let read = tokio::time::timeout(STORE_WAIT, self.read()).await;
        let late = || StoreError::Unavailable { why: "it did not answer in time".to_owned() };
        let Err(error) = read.unwrap_or_else(|_| Err(late())) else { return Ok(()) };
        let mut known = self.known();
        known.asked = Some((Instant::now(), self.shared.tokens_changed()));
        if known.read { Ok(()) } else { Err(Denied::Unread(error)) }
    }

    fn is_stale(&self) -> bool {
        let changed = self.shared.tokens_changed();
        self.known().asked.is_none_or(|(at, seen)| seen != changed || at.elapsed() >= FRESH)
    }

    async fn read(&self) -> Result<(), StoreError> {
        // Counted first, so that what changes while it is read is read again.
        let asked = Some((Instant::now(), self.shared.tokens_changed()));
        let rows = self.store.tokens().await?;
        let rows = Arc::new(rows.into_iter().map(|row| (row.id.clone(), row)).collect());
        *self.known() = Known { rows, read: true, asked };
        Ok(())
    }

    /// Takes a row that was stored a moment ago, so that it holds here at once.
    fn learn(&self, row: TokenRow) {
        let mut known = self.known();
        let mut rows = (*known.rows).clone();
        rows.insert(row.id.clone(), row);
        known.rows = Arc::new(rows);
    }

    /// Tells the other nodes, and has the change read here too.
    fn tell(&self) {
        self.shared.fleet.hint(Change::Tokens);
        self.shared.count_tokens();
    }

    fn rows(&self) -> Arc<HashMap<String, TokenRow>> {
        Arc::clone(&self.known().rows)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lockout(&self) -> std::sync::MutexGuard<'_, Lockout> {
        self.lockout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn configured() -> Bearer {
    Bearer { name: CONFIGURED.to_owned(), id: None, role: Role::Admin, team: None, expires_ms: None }
}

fn holds(row: &TokenRow) -> bool {
    !row.revoked && row.expires_ms.is_none_or(|end| end > unix_ms())
}

fn same(hash: &[u8; 32], presented: &str) -> bool {
    bool::from(hash.ct_eq(&token::hash(presented)))
}
