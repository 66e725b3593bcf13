//! A stand-in for the services behind: three documents of about 400 bytes that are ready to be sent.

use actix_web::web::{ServiceConfig, get};
use actix_web::{HttpResponse, http::header::ContentType};

/// Who the user is.
pub const PROFILE: &str = concat!(
    r#"{"avatar":"owl","devices":["tv-2015","tv-2021","phone","tablet"],"id":"ada","languages":["en","fr","de"],"#,
    r#""name":"Ada","parental":{"limit":16,"pin":true},"plan":"family","preferences":{"autoplay":true,"quality":"#,
    r#""uhd","subtitles":false,"theme":"dark"},"profiles":[{"id":"p1","name":"Ada"},{"id":"p2","name":"Ben"},"#,
    r#"{"id":"p3","name":"Kids"}],"since":"2019-04-01","tracking":{"cohort":"b","experiment":"rows-7"}}"#,
);
/// What there is to see.
pub const CATALOG: &str = concat!(
    r#"{"rows":[{"name":"Because you watched","titles":[{"id":"t1","title":"Title 1"},{"id":"t2","title":"Title 2"},"#,
    r#"{"id":"t3","title":"Title 3"}]},{"name":"New this week","titles":[{"id":"t10","title":"Title 10"},"#,
    r#"{"id":"t11","title":"Title 11"},{"id":"t12","title":"Title 12"}]}],"tracking":{"experiment":"rows-7","#,
    r#""page":"home","request":"c0ffee","served":"edge-4","version":12},"ttl":300,"variant":"television"}"#,
);
/// What was left half-watched.
pub const RESUME: &str = concat!(
    r#"{"items":[{"seconds":95,"title":"t1"},{"seconds":1240,"title":"t7"},{"seconds":33,"title":"t12"},"#,
    r#"{"seconds":2810,"title":"t21"},{"seconds":640,"title":"t30"},{"seconds":71,"title":"t31"}],"#,
    r#""synced":["tv-2015","phone"],"tracking":{"experiment":"rows-7","page":"home","request":"c0ffee"},"#,
    r#""updated":"2026-01-01T10:00:00Z","version":33}"#,
);

/// Serves the documents.
///
/// # Errors
/// No port is free.
pub fn run() -> anyhow::Result<()> {
    crate::serving::run(routes)
}

fn routes(config: &mut ServiceConfig) {
    config
        .route("/profile", get().to(async || document(PROFILE)))
        .route("/catalog", get().to(async || document(CATALOG)))
        .route("/resume", get().to(async || document(RESUME)));
}

fn document(text: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_json_of_about_400_bytes() {
        for document in [PROFILE, CATALOG, RESUME] {
            assert!((330..470).contains(&document.len()), "{} bytes: {document}", document.len());
            serde_json::from_str::<serde_json::Value>(document).unwrap();
        }
    }
}
