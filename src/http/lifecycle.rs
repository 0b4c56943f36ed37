//! The end of the server, and new rules for it, on request.

use actix_web::{HttpRequest, HttpResponse, web};

use super::auth;
use super::refusal::text;
use super::state::AppState;

/// `PUT` and `POST /-/quit`.
pub async fn quit(request: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    if let Some(refused) = refused(&request, &state) {
        return refused;
    }
    tracing::info!("asked to quit");
    state.quit.notify_one();
    text(HttpResponse::Ok(), "Requesting termination... Goodbye!".to_owned())
}

/// `PUT` and `POST /-/reload`: reads the rules anew. A file that is at fault changes nothing.
pub async fn reload(request: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    if let Some(refused) = refused(&request, &state) {
        return refused;
    }
    match state.reload() {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(error) => text(HttpResponse::InternalServerError(), format!("the rules stay as they were: {error}")),
    }
}

/// The answer to whoever may not do that.
fn refused(request: &HttpRequest, state: &AppState) -> Option<HttpResponse> {
    if !state.parts.config.has_lifecycle {
        return Some(text(HttpResponse::Forbidden(), "Lifecycle API is not enabled.".to_owned()));
    }
    auth::refused(request, state)
}
