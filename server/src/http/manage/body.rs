//! The body of a request: read within a bound and a time, and as JSON with what is wrong and where.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use api::Problem;
use api::problem::Fault;
use futures_util::StreamExt;
use quotas::units::Bytes as Size;
use serde::de::DeserializeOwned;

use super::query::invalid;
use crate::http::problem::ProblemError;

/// The largest body in JSON.
const JSON_MAX: Size = Size::kib(64);
/// How long a body may take to arrive.
const TIME: Duration = Duration::from_secs(60);

/// The media type of a body, without its parameters, in small letters.
pub(super) fn media_type(request: &HttpRequest) -> String {
    let text = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The refusal of a body of another type.
pub(super) fn other_type(wanted: &str) -> ProblemError {
    ProblemError::of("request.media_type", format!("send it as {wanted}"))
}

/// Reads a body of at most so many bytes.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    most: Size,
) -> Result<Bytes, ProblemError> {
    if request.headers().contains_key(CONTENT_ENCODING) {
        let detail = "a body with a Content-Encoding is not taken; send it as it is";
        return Err(ProblemError::of("request.media_type", detail));
    }
    let most_bytes = usize::try_from(most.get()).unwrap_or(usize::MAX);
    let too_large = || ProblemError::of("request.too_large", format!("at most {most} are taken"));
    let said =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > most.get()) {
        return Err(too_large());
    }
    let arrive = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| invalid(format!("the body broke off: {error}")))?;
            if body.len() + chunk.len() > most_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    let slow = || Err(ProblemError::of("request.timeout", "the body did not arrive in time"));
    tokio::time::timeout(TIME, arrive).await.unwrap_or_else(|_| slow())
}

/// Reads a body in JSON.
pub(super) async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, ProblemError> {
    if media_type(request) != "application/json" {
        return Err(other_type("application/json"));
    }
    let bytes = read(request, payload, JSON_MAX).await?;
    let mut reader = serde_json::Deserializer::from_slice(&bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path: Vec<String> = error.path().iter().map(|segment| format!("/{segment}")).collect();
        fault(&path.concat(), error.inner().to_string())
    })?;
    reader.end().map_err(|error| fault("", error.to_string()))?;
    Ok(value)
}

/// A fault of one field of a body.
pub(super) fn fault(pointer: &str, detail: impl Into<String>) -> ProblemError {
    let detail = detail.into();
    let errors = vec![Fault { pointer: pointer.to_owned(), detail: detail.clone() }];
    Problem { errors, ..Problem::of("request.invalid", detail) }.into()
}
