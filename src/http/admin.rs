//! What an administrator removes: series by selector, or everything.

use actix_web::{HttpRequest, HttpResponse, web};

use super::auth;
use super::query::values;
use super::refusal::{HttpRefusal, text};
use super::state::AppState;
use crate::ingest::{Refusal, Restored};
use crate::selector::Selector;

/// `PUT` and `POST /api/v1/admin/wipe`.
pub async fn wipe(request: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    if let Some(refused) = auth::refused(&request, &state) {
        return refused;
    }
    match state.parts.ingest.wipe().await {
        Ok(()) => {
            tracing::info!("wiped: everything was removed");
            HttpResponse::Accepted().finish()
        }
        Err(error) => state.refuse(&HttpRefusal::Push(Refusal::Shard(error)), request.path()),
    }
}

/// `PUT` and `POST /api/v1/admin/import-pushgateway`: the body is the file in which a Pushgateway keeps its groups.
pub async fn import_pushgateway(request: HttpRequest, file: web::Bytes, state: web::Data<AppState>) -> HttpResponse {
    if let Some(refused) = auth::refused(&request, &state) {
        return refused;
    }
    match state.parts.ingest.restore(&file).await {
        Ok(Restored { groups, refused }) => {
            tracing::info!(groups, refused, "a Pushgateway's file was taken over");
            text(HttpResponse::Ok(), format!("{groups} groups were taken over, {refused} refused"))
        }
        Err(error) => text(HttpResponse::BadRequest(), format!("expected a Pushgateway's persistence file: {error}")),
    }
}

/// `PUT` and `POST /api/v1/admin/delete_series?match[]=<selector>`: removes the series that one of the selectors matches.
pub async fn delete_series(request: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    if let Some(refused) = auth::refused(&request, &state) {
        return refused;
    }
    let selectors: Result<Vec<Selector>, _> =
        values(request.query_string(), "match[]").map(|selector| selector.parse()).collect();
    let selectors = match selectors {
        Ok(selectors) if selectors.is_empty() => {
            return text(HttpResponse::BadRequest(), "expected a parameter match[], got none".to_owned());
        }
        Ok(selectors) => selectors,
        Err(error) => return text(HttpResponse::BadRequest(), format!("match[]: {error}")),
    };
    match state.parts.ingest.delete_matching(selectors).await {
        Ok(removed) => {
            tracing::info!(removed, query = request.query_string(), "series were deleted");
            HttpResponse::NoContent().finish()
        }
        Err(error) => state.refuse(&HttpRefusal::Push(Refusal::Shard(error)), request.path()),
    }
}
