//! The HTTP side: every route on one screen.

mod admin;
mod auth;
pub mod coding;
mod groups;
mod ingest;
mod lifecycle;
mod path;
mod query;
mod refusal;
mod scrape;
mod state;

pub use ingest::WorkerScratch;
pub use state::{AppState, StateParts};

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Condition;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use crate::config::{CorsOrigins, HttpConfig};
use crate::model::door::Door;
use refusal::text;

/// Adds all routes.
pub fn configure(service: &mut ServiceConfig, config: &HttpConfig) {
    let has_cors = config.cors != CorsOrigins::Listed(Vec::new());
    administration(service, config);
    let routes = web::scope(&config.route_prefix).configure(|service| routes(service, config));
    service.service(routes.wrap(Condition::new(has_cors, cors(&config.cors)))).default_service(web::to(not_found));
}

/// What ends or empties the server: not for pages in a browser.
fn administration(service: &mut ServiceConfig, config: &HttpConfig) {
    const LARGEST_FILE: usize = 1 << 30;
    let change = |path| web::resource(format!("{}{path}", config.route_prefix)).default_service(only("PUT, POST"));
    service
        .service(change("/-/quit").put(lifecycle::quit).post(lifecycle::quit))
        .service(change("/-/reload").put(lifecycle::reload).post(lifecycle::reload));
    if config.has_admin_api {
        let delete_series = change("/api/v1/admin/delete_series");
        let import = change("/api/v1/admin/import-pushgateway").app_data(web::PayloadConfig::new(LARGEST_FILE));
        service
            .service(change("/api/v1/admin/wipe").put(admin::wipe).post(admin::wipe))
            .service(import.put(admin::import_pushgateway).post(admin::import_pushgateway))
            .service(delete_series.put(admin::delete_series).post(admin::delete_series));
    }
}

fn routes(service: &mut ServiceConfig, config: &HttpConfig) {
    let page = &*config.telemetry_path;
    if page != "/metrics" {
        service.service(web::resource(page).get(scrape::page).default_service(only("GET")));
    }
    for path in ["/metrics", "/metrics/"] {
        // Without labels there is no group.
        let (resource, methods) = match config.door {
            Door::Replace => (web::resource(path), "GET"),
            Door::Aggregate | Door::Source => (pushes(path, config.door), "GET, POST, PUT, DELETE"),
        };
        service.service(match page {
            "/metrics" => resource.get(scrape::page).default_service(only(methods)),
            _ if config.door == Door::Replace => resource.default_service(web::to(not_found)),
            _ => resource.default_service(only("POST, PUT, DELETE")),
        });
    }
    let other = "/metrics/{group:.*}";
    service.service(pushes(other, config.door).default_service(only("POST, PUT, DELETE")));
    for door in Door::ALL {
        for path in ["/metrics", "/metrics/", other] {
            let path = format!("/{}{path}", door.name());
            service.service(pushes(&path, door).default_service(only("POST, PUT, DELETE")));
        }
    }
    let any_get = |path| web::resource::<&str>(path).default_service(only("GET, HEAD"));
    let options = || web::method(Method::OPTIONS).to(HttpResponse::Ok);
    let api = |path| web::resource::<&str>(path).route(options()).default_service(only("GET, OPTIONS"));
    service
        .service(web::resource("/").get(index).default_service(only("GET")))
        .service(any_get("/-/healthy").get(scrape::healthy).head(scrape::healthy))
        .service(any_get("/-/ready").get(scrape::ready).head(scrape::ready))
        .service(web::resource("/-/metrics").get(scrape::own_metrics).default_service(only("GET")))
        .service(api("/api/v1/status").get(groups::status))
        .service(api("/api/v1/metrics").get(groups::metrics));
}

/// Pushes by one door, and deletions.
fn pushes(path: &str, door: Door) -> actix_web::Resource {
    web::resource(path).app_data(web::Data::new(door)).post(ingest::push).put(ingest::push).delete(ingest::delete)
}

/// Adds the routes of the address for own metrics and health alone.
pub fn configure_telemetry(service: &mut ServiceConfig) {
    let any_get = |path| web::resource::<&str>(path).default_service(only("GET, HEAD"));
    for path in ["/healthy", "/-/healthy"] {
        service.service(any_get(path).get(scrape::alive).head(scrape::alive));
    }
    for path in ["/ready", "/-/ready"] {
        service.service(any_get(path).get(scrape::ready).head(scrape::ready));
    }
    service.service(any_get("/metrics").get(scrape::own_metrics)).default_service(web::to(not_found));
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
fn cors(origins: &CorsOrigins) -> Cors {
    const PREFLIGHT_SECONDS: usize = 3600;
    let cors =
        Cors::default().allowed_methods(["GET", "POST", "PUT", "DELETE"]).allow_any_header().max_age(PREFLIGHT_SECONDS);
    match origins {
        CorsOrigins::Any => cors.allow_any_origin().send_wildcard(),
        CorsOrigins::Listed(origins) => origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}
