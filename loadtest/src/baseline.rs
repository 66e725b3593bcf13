//! The jobs in plain Rust: what a team would write that had actix-web and a server of its own.
//!
//! Invariant: every route answers with the bytes that the script answers with for the same job.
//! Not here: quotas, metrics, time limits. What callboard adds is part of its price.

use std::fmt::Write;
use std::time::Duration;

use actix_web::error::ErrorBadGateway;
use actix_web::http::header::ContentType;
use actix_web::web::{Data, Query, ServiceConfig, get};
use actix_web::{HttpResponse, Result};
use bytes::Bytes;
use clap::Args;
use futures_util::future::join3;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bench::job::ROWS;

/// How it is started.
#[derive(Debug, Args)]
pub struct Options {
    /// Where the services are
    #[arg(long, env = "LOADTEST_UPSTREAM")]
    upstream: http::Uri,
}

/// The client of one worker, and where the services are.
struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    profile: http::Uri,
    catalog: http::Uri,
    resume: http::Uri,
}

/// Serves the jobs.
///
/// # Errors
/// No port is free.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let base = options.upstream.to_string();
    crate::serving::run(move |config: &mut ServiceConfig| routes(config, base.trim_end_matches('/')))
}

fn routes(config: &mut ServiceConfig, base: &str) {
    config
        .app_data(Data::new(Upstream::at(base)))
        .route("/bench/hello", get().to(hello))
        .route("/bench/composition/derive", get().to(composition_derive))
        .route("/bench/composition/value", get().to(composition_value))
        .route("/bench/fan-out/raw", get().to(fan_out_raw))
        .route("/bench/fan-out/value", get().to(fan_out_value));
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

async fn hello(query: Query<Name>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(format!("Hello {}", query.name))
}

#[derive(Serialize)]
struct Row {
    id: i64,
    rank: i64,
    seen: bool,
    title: String,
}

async fn composition_derive() -> HttpResponse {
    let row = |id| Row { id, rank: id * 3, seen: id % 2 == 0, title: format!("Title {id}") };
    HttpResponse::Ok().json((0..ROWS).map(row).collect::<Vec<_>>())
}

async fn composition_value() -> HttpResponse {
    let row =
        |id: i64| json!({ "id": id, "rank": id * 3, "seen": id % 2 == 0, "title": format!("Title {id}") });
    HttpResponse::Ok().json((0..ROWS).map(row).collect::<Vec<_>>())
}

#[derive(Deserialize)]
struct Profile<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
}

#[derive(Deserialize)]
struct Catalog<'a> {
    #[serde(borrow)]
    rows: &'a RawValue,
}

#[derive(Deserialize)]
struct Resume<'a> {
    #[serde(borrow)]
    items: &'a RawValue,
}

/// What of the answers is not needed is checked and skipped, what is passed on stays the bytes that came.
async fn fan_out_raw(upstream: Data<Upstream>) -> Result<HttpResponse> {
    let (profile, catalog, resume) = upstream.all().await?;
    let profile: Profile<'_> = serde_json::from_slice(&profile).map_err(ErrorBadGateway)?;
    let catalog: Catalog<'_> = serde_json::from_slice(&catalog).map_err(ErrorBadGateway)?;
    let resume: Resume<'_> = serde_json::from_slice(&resume).map_err(ErrorBadGateway)?;
    let mut body = String::with_capacity(1024);
    write!(
        body,
        r#"{{"hello":{},"resume":{},"rows":{}}}"#,
        profile.name.get(),
        resume.items.get(),
        catalog.rows.get()
    )
    .map_err(ErrorBadGateway)?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(body))
}

/// The usual way: everything is read into values, and what is wanted is written again.
async fn fan_out_value(upstream: Data<Upstream>) -> Result<HttpResponse> {
    let (profile, catalog, resume) = upstream.all().await?;
    let read = |body: &Bytes| serde_json::from_slice::<Value>(body).map_err(ErrorBadGateway);
    let (mut profile, mut catalog, mut resume) = (read(&profile)?, read(&catalog)?, read(&resume)?);
    Ok(HttpResponse::Ok().json(json!({
        "hello": profile["name"].take(),
        "resume": resume["items"].take(),
        "rows": catalog["rows"].take(),
    })))
}

impl Upstream {
    fn at(base: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(256)
            .build(connector);
        let uri = |path: &str| format!("{base}/{path}").parse().unwrap_or_default();
        Self { client, profile: uri("profile"), catalog: uri("catalog"), resume: uri("resume") }
    }

    /// Asks all three at once.
    async fn all(&self) -> Result<(Bytes, Bytes, Bytes)> {
        let (profile, catalog, resume) =
            join3(self.ask(&self.profile), self.ask(&self.catalog), self.ask(&self.resume)).await;
        Ok((profile?, catalog?, resume?))
    }

    async fn ask(&self, uri: &http::Uri) -> Result<Bytes> {
        let answer = self.client.get(uri.clone()).await.map_err(ErrorBadGateway)?;
        if !answer.status().is_success() {
            return Err(ErrorBadGateway(answer.status()));
        }
        Ok(answer.into_body().collect().await.map_err(ErrorBadGateway)?.to_bytes())
    }
}
