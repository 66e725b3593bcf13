//! Routes: which script has a pattern, one row a pattern.
//!
//! Invariant: a row is made only where there is none and taken away only by its owner. Patterns are claimed in
//! one order, so that of two scripts that want the same ones, one gets them.
//! Not here: what makes two patterns the same; they come canonical.

use quotas::scope::ScriptId;

use super::super::records::Claimed;
use super::Scylla;
use super::asks::Ask;
use crate::error::StoreError;

/// How often one row is tried.
const SENDS: usize = 4;

/// Whose a pattern is after a claim.
enum Whose {
    /// The script's, and it was before.
    Mine,
    /// The script's, by this claim.
    New,
    /// Another script's.
    Of(ScriptId),
}

impl Scylla {
    pub(super) async fn claim_all(
        &self,
        script: &ScriptId,
        patterns: &[String],
    ) -> Result<Claimed, StoreError> {
        let mut wanted: Vec<_> = patterns.iter().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let me = script.to_string();
        let mut new = Vec::new();
        for pattern in wanted {
            match self.claim(&me, pattern).await? {
                Whose::Mine => {}
                Whose::New => new.push(pattern.clone()),
                Whose::Of(owner) => {
                    self.release_all(script, &new).await?;
                    return Ok(Claimed::Taken { pattern: pattern.clone(), owner });
                }
            }
        }
        Ok(Claimed::All)
    }

    async fn claim(&self, me: &str, pattern: &str) -> Result<Whose, StoreError> {
        let mut sent = 0;
        loop {
            match self.owner(pattern).await? {
                Some(owner) if owner == me => return Ok(if sent == 0 { Whose::Mine } else { Whose::New }),
                Some(owner) => {
                    let owner =
                        owner.parse().map_err(|error| StoreError::corrupt("a route's owner", error))?;
                    return Ok(Whose::Of(owner));
                }
                None if sent == SENDS => {
                    return Err(StoreError::unavailable(format_args!("`{pattern}` could not be claimed")));
                }
                None => {}
            }
            sent += 1;
            if self.links.now()?.ask(Ask::Claim, (pattern, me)).await.is_ok_and(|answer| answer.applied()) {
                return Ok(Whose::New);
            }
            // Not applied, or who knows: the row says which.
        }
    }

    pub(super) async fn release_all(&self, script: &ScriptId, patterns: &[String]) -> Result<(), StoreError> {
        let me = script.to_string();
        for pattern in patterns {
            self.release(&me, pattern).await?;
        }
        Ok(())
    }

    async fn release(&self, me: &str, pattern: &str) -> Result<(), StoreError> {
        for _ in 0..SENDS {
            // Whatever came of it, the row tells; a row of another script's is left alone by its condition.
            let sent = self.links.now()?.ask(Ask::Release, (pattern, me)).await;
            if sent.is_ok_and(|answer| answer.applied()) || self.owner(pattern).await?.as_deref() != Some(me)
            {
                return Ok(());
            }
        }
        Err(StoreError::unavailable(format_args!("`{pattern}` could not be released")))
    }

    /// The script that has a pattern.
    async fn owner(&self, pattern: &str) -> Result<Option<String>, StoreError> {
        let found = self.links.now()?.ask(Ask::Route, (pattern,)).await?;
        Ok(found.first().and_then(|line| line.text("script").map(str::to_owned)))
    }
}
