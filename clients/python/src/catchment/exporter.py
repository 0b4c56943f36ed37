"""Shows a registry over HTTP, for programs that Prometheus can scrape itself."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import Any

from catchment.negotiator import Negotiator
from catchment.registry import Registry


class PrometheusMetricHandler(BaseHTTPRequestHandler):
    """A handler for `http.server` that answers GET on `METRICS_PATH` with the registry, in the format that is asked
    for, and anything else with 404."""

    METRICS_PATH = "/metrics"

    def __init__(self, registry: Registry, *args: Any, **kwargs: Any) -> None:
        """Handles one connection; what follows the registry is what `http.server` gives."""
        self.registry = registry
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        """Answers with the registry."""
        if self.path.partition("?")[0] != self.METRICS_PATH:
            self.send_error(404)
            return
        formatter = Negotiator.negotiate(dict(self.headers.items()))()
        page = formatter.marshall(self.registry)
        body = page.encode() if isinstance(page, str) else page
        self.send_response(200)
        for name, value in formatter.get_headers().items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
