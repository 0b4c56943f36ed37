//! The end of the server, and new rules for it, on request.

use actix_web::{HttpResponse, web};

use super::refusal::text;
use super::state::AppState;

/// `PUT` and `POST /-/quit`.
pub async fn quit(state: web::Data<AppState>) -> HttpResponse {
    if !state.parts.config.has_lifecycle {
        return forbidden();
    }
    tracing::info!("asked to quit");
    state.quit.notify_one();
    text(HttpResponse::Ok(), "Requesting termination... Goodbye!".to_owned())
}

/// `PUT` and `POST /-/reload`: reads the rules anew. A file that is at fault changes nothing.
pub async fn reload(state: web::Data<AppState>) -> HttpResponse {
    if !state.parts.config.has_lifecycle {
        return forbidden();
    }
    match state.reload() {
        Ok(()) => HttpResponse::Ok().finish(),
        Err(error) => text(HttpResponse::InternalServerError(), format!("the rules stay as they were: {error}")),
    }
}

fn forbidden() -> HttpResponse {
    text(HttpResponse::Forbidden(), "Lifecycle API is not enabled.".to_owned())
}
