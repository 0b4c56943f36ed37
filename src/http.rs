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
use actix_web::middleware::Condition;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, Scope};

use crate::config::{CorsOrigins, HttpConfig};
use crate::exposition::observation_decode::ObservationKind;
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
    service.service(["", "/"].into_iter().fold(observations(door("/metrics", config.door)), |metrics, path| {
        // Without labels there is no group.
        let (resource, methods) = match config.door {
            Door::Replace => (web::resource(path), "GET"),
            Door::Aggregate | Door::Source => (pushes(path), "GET, POST, PUT, DELETE"),
        };
        metrics.service(match page {
            "/metrics" => resource.get(scrape::page).default_service(only(methods)),
            _ if config.door == Door::Replace => resource.default_service(web::to(not_found)),
            _ => resource.default_service(only("POST, PUT, DELETE")),
        })
    }));
    for each in Door::ALL {
        let pushes = door(&format!("/{}/metrics", each.name()), each);
        service.service(if each == Door::Aggregate { observations(pushes) } else { pushes });
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

/// All paths that begin so are for pushes by one door: found by comparing text, for a route with a pattern costs as much as
/// the rest of the way to its handler.
fn door(path: &str, door: Door) -> Scope {
    web::scope(path).app_data(web::Data::new(door)).default_service(web::to(ingest::change))
}

/// Observations, which are merged whatever the door of pushes beside them. Other methods mean the group of the path.
fn observations(pushes: Scope) -> Scope {
    let kinds = [
        ("/counter", ObservationKind::Counter),
        ("/gauge/inc", ObservationKind::GaugeIncrement),
        ("/gauge/dec", ObservationKind::GaugeDecrement),
        ("/gauge/set", ObservationKind::GaugeSet),
        ("/summary", ObservationKind::Summary),
        ("/histogram", ObservationKind::Histogram),
    ];
    // Each path by itself, and none that is not needed: every push is compared with all of them.
    kinds.into_iter().fold(pushes, |pushes, (path, kind)| {
        let resource = web::resource(path).app_data(web::Data::new(kind)).post(ingest::observe);
        pushes.service(resource.default_service(web::to(ingest::change)))
    })
}

/// Pushes, and deletions.
fn pushes(path: &str) -> Resource {
    web::resource(path).post(ingest::change).put(ingest::change).delete(ingest::change)
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

/// The route of methods that a known path does not have.
fn only(methods: &'static str) -> actix_web::Route {
    web::to(move || async move { refusal::wrong_method(methods) })
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
