//! Revisions: uploads, the history, and what is in it.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use actors::blocking;
use actors::controller::{Deploy, Deployed, FileOf, History, OneRevision};
use actors::error::ControlError;
use api::{FileEntry, Page, RevisionDetail};
use quotas::scope::{RevisionNumber, ScriptId};
use quotas::units::Bytes as Size;
use runtime::archive::ArchiveLimits;
use runtime::bundle::Bundle;

use super::query::{Query, cursor, idempotency_key};
use super::scripts::{converged, named, told, too_slow};
use super::{Answered, Door, body, json, ok, shapes, tagged};
use crate::http::auth::Caller;
use crate::http::problem::{self, ProblemError};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest message and tag.
const MESSAGE_MAX: usize = 4_000;
const TAG_MAX: usize = 128;

pub(super) async fn upload(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
) -> Answered {
    let query = Query::read(&request, &["activate", "message", "tag", "dry_run", "wait", "timeout"])?;
    // Before a byte of the body is read.
    let script = ScriptId { team: path.0.parse()?, script: path.1.parse()? };
    caller.uploads(&script)?;
    let (wait, timeout) = (query.wait()?, query.timeout()?);
    let deploy = |bundle| -> Result<Deploy, ProblemError> {
        Ok(Deploy {
            who: caller.who(),
            script: script.clone(),
            bundle,
            message: query.text("message", MESSAGE_MAX)?.unwrap_or_default(),
            tag: query.text("tag", TAG_MAX)?,
            activate: query.flag("activate", true)?,
            dry_run: query.flag("dry_run", false)?,
            idempotency_key: idempotency_key(&request)?,
        })
    };
    let bundle = {
        let _arriving = door.uploads.arrive(&script.team)?;
        let archive = archive(&request, payload).await?;
        let _turn = door.uploads.unpack().await?;
        let unpacked = blocking::run(move || Bundle::from_archive(&archive, &ArchiveLimits::default())).await;
        let unpacked =
            unpacked.map_err(|_| ProblemError::of("server.internal", "the archive was not unpacked"))?;
        unpacked.map_err(ControlError::Invalid)?
    };
    let deploy = deploy(bundle)?;
    let dry_run = deploy.dry_run;
    let until = Instant::now() + timeout;
    let done = tokio::time::timeout(timeout, door.node.controller().send(deploy)).await;
    let done = done.map_err(|_| too_slow())??.map_err(|error| told(&caller, error))?;
    let converged = dry_run || converged(&door, &script, wait, until).await;
    let answer = answer(&script, &done, dry_run, converged);
    let status = match (done.repeated || dry_run, answer.converged) {
        (true, _) => StatusCode::OK,
        (false, true) => StatusCode::CREATED,
        (false, false) => StatusCode::ACCEPTED,
    };
    let mut response = tagged(json(status, &answer), &answer.head.etag);
    if done.repeated {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The bytes of an upload.
async fn archive(request: &HttpRequest, payload: web::Payload) -> Result<web::Bytes, ProblemError> {
    let limits = ArchiveLimits::default();
    // A plain tar holds headers and padding beside its files; what it may be exactly is checked when it is
    // unpacked.
    let most = match body::media_type(request).as_str() {
        "application/gzip" | "application/zstd" => limits.compressed,
        "application/x-tar" | "application/octet-stream" => Size::new(limits.total.get().saturating_mul(2)),
        _ => {
            let wanted = "application/x-tar, application/gzip, application/zstd or application/octet-stream";
            return Err(body::other_type(wanted));
        }
    };
    body::read(request, payload, most).await
}

fn answer(script: &ScriptId, done: &Deployed, dry_run: bool, converged: bool) -> api::DeployAnswer {
    api::DeployAnswer {
        revision: shapes::revision(script, &done.revision, Some(&done.head)),
        head: problem::head(&done.head),
        active: done.head.active.map(RevisionNumber::get),
        endpoints: shapes::ids(&done.endpoints),
        removed: shapes::ids(&done.removed),
        warnings: problem::diagnostics(&done.warnings),
        cuts: done.cuts.iter().map(shapes::cut).collect(),
        repeated: done.repeated,
        dry_run,
        converged,
        took_ms: u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
    }
}

pub(super) async fn history(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answered {
    let query = Query::read(&request, &["limit", "cursor"])?;
    let script = named(&caller, &path.0, &path.1)?;
    let (limit, before) = (query.limit()?, query.cursor::<RevisionNumber>("revision")?);
    let asked = History { script: script.clone(), before, limit };
    let found = door.node.controller().send(asked).await??;
    let head = door.node.store().head(&script).await?;
    // The first revision is the end of every history.
    let rest = found.last().filter(|last| found.len() == limit && last.number != RevisionNumber::first());
    let cursor = rest.map(|last| cursor("revision", last.number));
    let items = found.iter().map(|revision| shapes::revision(&script, revision, head.as_ref())).collect();
    ok(&Page { items, cursor })
}

pub(super) async fn one(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String, String)>,
) -> Answered {
    Query::read(&request, &[])?;
    let script = named(&caller, &path.0, &path.1)?;
    let asked = OneRevision { script: script.clone(), number: path.2.parse()? };
    let (revision, files) = door.node.controller().send(asked).await??;
    let head = door.node.store().head(&script).await?;
    let file = |file: actors::controller::FileInfo| FileEntry { path: file.path, bytes: file.size.get() };
    ok(&RevisionDetail {
        revision: shapes::revision(&script, &revision, head.as_ref()),
        files: files.into_iter().map(file).collect(),
    })
}

pub(super) async fn file(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String, String, String)>,
) -> Answered {
    Query::read(&request, &[])?;
    let script = named(&caller, &path.0, &path.1)?;
    let asked = FileOf { script, number: path.2.parse()?, path: path.3.clone() };
    let bytes = door.node.controller().send(asked).await??;
    // Never as what a browser would show: a team's file is a stranger's text.
    let media = HeaderValue::from_static("application/octet-stream");
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, media)).body(bytes))
}
