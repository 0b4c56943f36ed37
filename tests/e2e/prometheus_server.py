"""A running Prometheus server, and what it makes of the page."""

import json
import urllib.parse
import urllib.request

from harness import HOST, Process, clean_environment, eventually, free_port

# Several scrapes, on a busy machine.
SCRAPED_SECONDS = 20


class Prometheus:
    """A Prometheus server that scrapes one target every second."""

    def __init__(self, program, target, directory, *flags):
        self.port = free_port()
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {"job_name": "catchment", "honor_labels": True, "static_configs": [{"targets": [target]}]}
            ],
        }
        # JSON is YAML.
        (directory / "prometheus.yml").write_text(json.dumps(config))
        arguments = [
            program,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={HOST}:{self.port}",
            "--log.level=warn",
            *flags,
        ]
        self.process = Process(arguments, clean_environment())
        eventually(lambda: self.process.has_ended() or self.is_ready(), "Prometheus is ready", SCRAPED_SECONDS)
        assert not self.process.has_ended(), self.process.log()

    def get(self, path):
        with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=10) as response:
            return response.read()

    def is_ready(self):
        try:
            return bool(self.get("/-/ready"))
        except OSError:
            return False

    def query(self, expression):
        """The only value of the expression's result; None if it has none yet."""
        answer = json.loads(self.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
        assert answer["status"] == "success"
        result = answer["data"]["result"]
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None

    def wait_for(self, expression, value):
        eventually(lambda: self.query(expression) == value, f"{expression} == {value}", SCRAPED_SECONDS)

    def last_error(self):
        targets = json.loads(self.get("/api/v1/targets"))["data"]["activeTargets"]
        return targets[0]["lastError"]

    def stop(self):
        self.process.ask_to_stop()
        assert self.process.exit_code() == 0, self.process.log()
