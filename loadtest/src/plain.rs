//! The plain body reader: the gateway's HTTP server with a handler that reads the body and does nothing. No gateway on this
//! server can be faster, so others are told as ratios to it.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};

use crate::error::Error;

/// As long as Catchment keeps idle connections.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Bytes of a body that are read.
const BODY_LIMIT: usize = 64 << 20;

/// Serves until the process ends. The address is told to the caller before the first request.
pub fn serve(listen: SocketAddr, workers: Option<usize>, told: impl Fn(SocketAddr)) -> Result<(), Error> {
    let failed = |error| Error::Start(format!("a listener on {listen}"), error);
    actix_web::rt::System::new().block_on(async {
        let mut server = HttpServer::new(|| App::new().default_service(web::to(read)));
        if let Some(workers) = workers {
            server = server.workers(workers);
        }
        let server = server.keep_alive(KEEP_ALIVE).bind(listen).map_err(failed)?;
        server.addrs().into_iter().for_each(told);
        server.run().await.map_err(failed)
    })
}

async fn read(body: web::Payload) -> HttpResponse {
    match body.to_bytes_limited(BODY_LIMIT).await {
        Ok(Ok(_)) => HttpResponse::new(StatusCode::ACCEPTED),
        Ok(Err(_)) => HttpResponse::new(StatusCode::BAD_REQUEST),
        Err(_) => HttpResponse::new(StatusCode::PAYLOAD_TOO_LARGE),
    }
}
