//! The HTTP side: every route on one screen.

pub mod coding;
mod ingest;
mod path;
mod refusal;
mod scrape;
mod state;

pub use ingest::WorkerScratch;
pub use state::{AppState, StateParts};

use actix_cors::Cors;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use crate::config::CorsOrigins;
use refusal::text;

/// Adds all routes.
pub fn configure(service: &mut ServiceConfig) {
    let pushes = [("/metrics", true), ("/metrics/", true), ("/metrics/{group:.*}", false)];
    for (path, is_page) in pushes {
        service.service(metrics_resource(path, is_page));
        service.service(metrics_resource(&format!("/aggregate{path}"), false));
    }
    service
        .service(web::resource("/").get(index).default_service(only("GET")))
        .service(
            web::resource("/-/healthy").get(scrape::healthy).head(scrape::healthy).default_service(only("GET, HEAD")),
        )
        .service(web::resource("/-/ready").get(scrape::ready).head(scrape::ready).default_service(only("GET, HEAD")))
        .service(web::resource("/-/metrics").get(scrape::own_metrics).default_service(only("GET")))
        .default_service(web::to(not_found));
}

/// Pushes, and for the page's own address scrapes.
fn metrics_resource(path: &str, is_page: bool) -> actix_web::Resource {
    let resource = web::resource(path).post(ingest::push).put(ingest::push);
    if is_page {
        resource.get(scrape::page).default_service(only("GET, POST, PUT"))
    } else {
        resource.default_service(only("POST, PUT"))
    }
}

/// The answer to a method that a known path does not have.
fn only(methods: &'static str) -> actix_web::Route {
    web::to(move || async move {
        let mut response = text(HttpResponse::MethodNotAllowed(), format!("expected the method {methods}"));
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
        response
    })
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    text(HttpResponse::NotFound(), format!("expected a known path such as /metrics, got {}", request.path()))
}

async fn index() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(include_str!("http/index.html"))
}

/// CORS headers and the answers to preflights, for browsers that push.
pub fn cors(origins: &CorsOrigins) -> Cors {
    const PREFLIGHT_SECONDS: usize = 3600;
    let cors =
        Cors::default().allowed_methods(["GET", "POST", "PUT", "DELETE"]).allow_any_header().max_age(PREFLIGHT_SECONDS);
    match origins {
        CorsOrigins::Any => cors.allow_any_origin().send_wildcard(),
        CorsOrigins::Listed(origins) => origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}
