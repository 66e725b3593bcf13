//! Codes: every stable code that a problem can have, with its title and usual status.
//!
//! The status says what its reader will do: 4xx, change the call (429: call less); 500, the script or we
//! failed; 503 with `Retry-After`, we protect ourselves; 504, it took too long.
//!
//! Invariant: a code is never given another meaning; it stands here once, and the table is sorted.
//! Not here: codes of diagnostics (`script.syntax`, `manifest.unknown_key`, …), which stand inside a
//! `script.invalid`.

/// A stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The code's text.
    pub code: &'static str,
    /// The usual status of an answer with it.
    pub status: u16,
    /// What it is, in a few words.
    pub title: &'static str,
}

/// What is said when no other code fits: a mistake of ours.
pub const INTERNAL: &Code = &Code { code: "server.internal", status: 500, title: "The server failed" };

/// The code with this text.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.binary_search_by_key(&code, |known| known.code).ok().map(|place| &CODES[place])
}

const fn code(code: &'static str, status: u16, title: &'static str) -> Code {
    Code { code, status, title }
}

/// Every code, sorted.
pub const CODES: &[Code] = &[
    code("audit.unknown", 404, "There is no such entry"),
    code("auth.expired", 401, "The token has ended"),
    code("auth.forbidden", 403, "The token does not allow this"),
    code("auth.invalid", 401, "The token is not known here"),
    code("auth.missing", 401, "A token is needed"),
    code("budget.exceeded", 429, "The budget is used up"),
    code("compiler.busy", 503, "Too many compilations are waiting"),
    code("compiler.died", 422, "The script broke the compiler"),
    code("compiler.timeout", 422, "The script takes too long to compile"),
    code("compiler.too_large", 422, "The script compiles to more than is allowed"),
    code("compiler.unavailable", 503, "The compiler cannot be run"),
    code("concurrency.exceeded", 429, "Too many calls at one time"),
    code("cursor.expired", 410, "The cursor is too old"),
    code("cursor.invalid", 400, "That is no cursor"),
    code("deadline.exceeded", 504, "The call took too long"),
    code("decision.unknown", 404, "There is no such decision"),
    code("deploy.conflict", 412, "Somebody else was faster"),
    code("deploy.frozen", 403, "Deploys are frozen"),
    code("depth.exceeded", 500, "The script nests too deeply"),
    code("drill.running", 409, "A drill is running"),
    code("drill.unfit", 422, "The endpoint cannot be called in a drill"),
    code("endpoint.expired", 410, "The endpoint was for a test that is over"),
    code("endpoint.lost", 503, "The call was lost"),
    code("endpoint.unknown", 404, "There is no such endpoint"),
    code("engine.panic", 500, "The engine failed"),
    code("file.unknown", 404, "There is no such file"),
    code("fuel.exhausted", 500, "The script used up its fuel"),
    code("hops.exceeded", 508, "The call went in a circle"),
    code("host.refused", 421, "This server does not answer for that host"),
    code("host_bytes.exceeded", 500, "The script moved too many bytes"),
    code("host_calls.exceeded", 500, "The script made too many host calls"),
    code("idempotency.invalid", 400, "That is no idempotency key"),
    code("idempotency.mismatch", 422, "The idempotency key belongs to another request"),
    code("idempotency.running", 409, "The same request is still running"),
    code("journal.unwritable", 500, "It is in force and could not be written down"),
    code("lane.full", 503, "The thread that would run it is full"),
    code("memory.exceeded", 503, "All calls together hold too much memory"),
    code("memory.exhausted", 500, "The script used up its memory"),
    code("method.not_allowed", 405, "The path does not answer this method"),
    code("node.draining", 503, "The node is about to stop"),
    code("node.other", 421, "Another node answers here"),
    code("node.starting", 503, "The node is not ready yet"),
    code("node.stopping", 503, "The node is about to stop"),
    code("node.upgrading", 503, "The node hands over to another process"),
    code("path.malformed", 400, "The path is not well formed"),
    code("precondition.invalid", 400, "`If-Match` is not a tag of this resource"),
    code("precondition.missing", 428, "`If-Match` is needed"),
    code("pressure.shed", 503, "The node has too much to do"),
    code("quarantine.active", 503, "The endpoint is set aside"),
    code("quota.conflict", 412, "Somebody else was faster"),
    code("quota.exceeded", 429, "The team's quota is used up"),
    code("quota.invalid", 422, "The quota cannot be set so"),
    code("rate.exceeded", 429, "Too many requests"),
    code("request.headers_too_large", 431, "The request's headers are too large"),
    code("request.invalid", 400, "The request makes no sense"),
    code("request.media_type", 415, "The body is of a type that is not taken here"),
    code("request.timeout", 408, "The request did not arrive in time"),
    code("request.too_large", 413, "The request's body is too large"),
    code("resource.unknown", 404, "There is nothing at this path"),
    code("response.too_large", 500, "The script's answer is too large"),
    code("revision.unknown", 404, "There is no such revision"),
    code("route.conflict", 409, "The route belongs to another script"),
    code("route.unknown", 404, "No endpoint answers this path"),
    code("scope.invalid", 400, "That is not the name of anything"),
    code("script.failed", 500, "The script failed"),
    code("script.invalid", 422, "The script is not right"),
    code("script.returned_error", 500, "The script returned an error"),
    code("script.unknown", 404, "There is no such script"),
    code("server.internal", 500, "The server failed"),
    code("service.unknown", 404, "There is no such service"),
    code("store.corrupt", 500, "Something stored cannot be read"),
    code("store.invalid", 400, "The store does not take this"),
    code("store.locked", 503, "Another process has the store open"),
    code("store.schema", 503, "The store is laid out for another version"),
    code("store.too_large", 413, "It is larger than the store takes"),
    code("store.unavailable", 503, "The store does not answer"),
    code("store.unknown", 503, "It may or may not be stored"),
    code("switch.capped", 503, "As many calls are alive as an operator allows"),
    code("switch.changed", 409, "The switch was set anew"),
    code("switch.fallback", 503, "Only its fallback answers"),
    code("switch.held", 403, "Somebody else set the switch"),
    code("switch.killed", 503, "It was switched off while it ran"),
    code("switch.last_good", 503, "Only its last good answer is given"),
    code("switch.misfit", 422, "The kind of switch makes no sense for the scope"),
    code("switch.off", 503, "It is switched off"),
    code("switch.past", 422, "The switch would have ended already"),
    code("switch.shed", 503, "Less important calls are kept out"),
    code("switch.too_many", 422, "Too many switches are off"),
    code("switch.unknown", 404, "It is not switched off"),
    code("team.mismatch", 422, "The manifest names another script"),
    code("token.unknown", 404, "There is no such token"),
    code("unit.bundle", 503, "The stored unit belongs to another bundle"),
    code("unit.content", 503, "The stored unit cannot be read"),
    code("unit.damaged", 503, "The stored unit is damaged"),
    code("unit.fingerprint", 503, "The stored unit was made by another engine"),
    code("unit.format", 503, "The stored unit has another format"),
    code("unit.invalid", 400, "That is not a quantity"),
    code("unit.key", 503, "The stored unit was signed with another key"),
    code("unit.loading", 503, "The unit is still being loaded"),
    code("unit.signature", 503, "The stored unit's signature does not hold"),
    code("unit.unavailable", 503, "The unit cannot be loaded"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_code_stands_in_it_once() {
        assert!(CODES.is_sorted_by(|one, next| one.code < next.code));
        for code in CODES {
            assert_eq!(find(code.code), Some(code));
        }
        assert_eq!(find("no.such"), None);
        assert_eq!(find(INTERNAL.code), Some(INTERNAL));
    }

    #[test]
    fn a_code_is_two_plain_words_and_has_a_title_and_a_status_of_an_error() {
        for Code { code, status, title } in CODES {
            let plain =
                |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let (first, second) = code.split_once('.').unwrap();
            assert!(plain(first) && plain(second), "{code}");
            assert!((400..600).contains(status), "{code}");
            assert!(!title.is_empty() && !title.ends_with('.'), "{code}: {title}");
        }
    }
}
