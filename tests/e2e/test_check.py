"""`catchment check`, presets and the flags of replaced systems, on the program as it is started."""

import subprocess

import pytest
from harness import HOST, binary, clean_environment, run_to_end

RULES = """
[[rule]]
match = "http_*"
labels = { code = "5*" }
drop_labels = ["pod"]
[[rule]]
match = "debug_*"
drop = true
"""


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "catchment.toml"
    path.write_text(RULES)
    return path


def test_check_explains_what_a_sample_meets(rules):
    sample = 'http_requests_total{code="500",pod="a"}'
    done = run_to_end("check", str(rules), "--sample", sample, "--sample", "debug_x")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert f'{sample}: rule 1 ("http_*")' in lines
    assert '  stored as http_requests_total{code="500"}' in lines
    assert lines[-2:] == ['debug_x: rule 2 ("debug_*")', "  dropped"]


def test_check_reads_samples_from_its_input(rules):
    done = subprocess.run(
        [binary(), "check", str(rules), "--sample", "-"],
        input='debug_x\nup{job="a"}\n',
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert done.returncode == 0
    assert 'up{job="a"}: no rule, the defaults apply' in done.stdout.splitlines()


BAD_FILES = {
    "setting": ("max-bodies = 1\n", "max-bodies"),
    "value": ("max-body = 'much'\n", "max-body"),
    "rule": ("[[rule]]\nmatch = 'a'\n[[rule]]\nmatch = 'b'\nttl = '0s'\n", "rule 2, ttl"),
    "syntax": ("max-body == 1\n", "TOML"),
}


@pytest.mark.parametrize(("text", "named"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_check_refuses_a_bad_file_as_the_start_does(tmp_path, text, named):
    path = tmp_path / "catchment.toml"
    path.write_text(text)
    for arguments in [("check", str(path)), ("--print-config", "--config", str(path))]:
        done = run_to_end(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert named in done.stderr and str(path) in done.stderr


ALIASES = {
    "weaveworks": (["-listen", f"{HOST}:1", "-cors=none", "-push-path", "/metrics/"], {}, f'listen = ["{HOST}:1"]  # flag'),
    "by-job": (["-by-job", "-job-prune-duration", "10s"], {}, 'source-ttl = "10s"  # flag'),
    "gauges-last": (["-listen=:1"], {}, 'gauges = "last"  # preset gauges-last'),
    "zapier": (["--lifecycleListen", ":1"], {"PAG_APILISTEN": ":2"}, 'listen = [":2"]  # environment'),
    "gravel": (["-l", f"{HOST}:1"], {}, 'mode-label = "clearmode"  # preset gravel'),
    "torch": ([], {"SERVICE_PORT": "1", "TORCH_TTL": "2"}, 'series-ttl = "2h"  # environment'),
    "hermes": ([], {}, 'listen = ["0.0.0.0:8080"]  # preset hermes'),
    "pushgateway": (["--web.listen-address=:1", "--log.format=json"], {}, 'door = "replace"  # preset pushgateway'),
}


@pytest.mark.parametrize("preset", ALIASES)
def test_a_preset_knows_the_flags_of_its_system(preset):
    flags, environment, expected = ALIASES[preset]
    done = run_to_end("--preset", preset, *flags, "--print-config", environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout.splitlines()
    if flags:
        assert run_to_end(*flags, "--print-config").returncode == 2


def test_passwords_are_not_printed():
    done = run_to_end("--push-user", "alice=hidden", "--print-config")
    assert done.returncode == 0 and "hidden" not in done.stdout
    assert 'push-user = ["***"]  # flag' in done.stdout.splitlines()
