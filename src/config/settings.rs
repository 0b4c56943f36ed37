//! The table of settings: one row each, read by the flags, the environment, the file and the help alike.

/// One setting. On the command line `--name value`, in the environment `CATCHMENT_NAME`, in the file `name = value`.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// In the flag's spelling.
    pub name: &'static str,
    /// What the value is, for the help.
    pub value: &'static str,
    /// Read like any given value; empty for "none", or for what the machine or another setting decides.
    pub default: &'static str,
    /// One line.
    pub help: &'static str,
    /// How it is given.
    pub form: SettingForm,
    /// Whether its values are never shown.
    pub is_secret: bool,
}

/// How a setting is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingForm {
    /// One value.
    Value,
    /// It may be given several times: a list in the file, commas in the environment.
    List,
    /// `true` or `false`; as a flag also `--name` and `--no-name`.
    Switch,
}

const fn one(name: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, value, default, help, form: SettingForm::Value, is_secret: false }
}

const fn list(name: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { form: SettingForm::List, ..one(name, value, default, help) }
}

const fn switch(name: &'static str, help: &'static str) -> Setting {
    Setting { form: SettingForm::Switch, ..one(name, "BOOLEAN", "false", help) }
}

/// All settings, in the order of the help.
pub const SETTINGS: &[Setting] = &[
    one(
        "preset",
        "NAME",
        "none",
        "Defaults, and some flags, of the system that is replaced: weaveworks, by-job, gauges-last, zapier, gravel, torch, hermes or pushgateway",
    ),
    list("listen", "ADDRESS", "0.0.0.0:9091", "Address and port to listen on"),
    one("telemetry-listen", "ADDRESS", "none", "A second address and port, for own metrics and health alone"),
    list(
        "udp-listen",
        "ADDRESS",
        "none",
        "Address and port for observations by UDP datagram, such as 0.0.0.0:7789, or unix:PATH for a Unix socket",
    ),
    one("udp-sockets", "COUNT", "", "Sockets, each with a thread, that share a UDP address [default: one per core]"),
    one("udp-buffer", "BYTES", "8MiB", "Receive buffer asked for each datagram socket; the system may grant less"),
    one("declarations", "FILE", "", "JSON file of the metrics that may be observed by datagram [default: all may]"),
    one("shards", "COUNT", "", "Shard actors that hold the series [default: one per core]"),
    one("workers", "COUNT", "", "Threads that serve HTTP [default: one per core]"),
    one(
        "door",
        "DOOR",
        "aggregate",
        "What a push to /metrics means: aggregate, source or replace; /<door>/metrics is always there",
    ),
    one(
        "gauges",
        "POLICY",
        "",
        "What a gauge shows when several pushes set it: last, sum, min, max or mean [default: last, through the source door sum]",
    ),
    one("gauge-window", "DURATION", "5m", "How long min, max and mean, and quantiles of observations, look back"),
    one("summaries", "POLICY", "sum-count", "What becomes of summaries: sum-count (quantiles are dropped) or discard"),
    one("path-labels", "POLICY", "add", "Whether labels in the push's path are put on its series: add or ignore"),
    one(
        "source-key",
        "LABELS",
        "all",
        "Labels of the path that tell sources apart: all, or names with commas between them",
    ),
    one("series-ttl", "DURATION", "none", "How long a series stays after its last push"),
    one("group-ttl", "DURATION", "none", "How long a group of the replace door stays after its last push"),
    one("source-ttl", "DURATION", "5m", "How long a source lives after its last push"),
    one("mode-label", "NAME", "none", "Label that says how its series is merged, and is removed"),
    one("accepted-status", "STATUS", "202", "Answer to a good push, but for the replace door: 200 or 202"),
    list("cors-origin", "ORIGIN", "*", "Origin whose pages may push; * for any, none for no CORS"),
    Setting {
        is_secret: true,
        ..list("push-user", "NAME=PASSWORD", "", "Who may push, with basic authentication [default: everybody]")
    },
    switch("web.enable-lifecycle", "Allow /-/quit and /-/reload"),
    switch("web.enable-admin-api", "Allow /api/v1/admin"),
    one("web.route-prefix", "PATH", "/", "What all paths begin with"),
    one("web.telemetry-path", "PATH", "/metrics", "Path of the page"),
    one(
        "persistence.file",
        "FILE",
        "",
        "File of a Pushgateway, whose groups are taken over at the start [default: none]",
    ),
    one("max-body", "BYTES", "16MiB", "Largest push, as sent"),
    one("max-decompressed", "BYTES", "64MiB", "Largest push, decompressed"),
    one("max-line", "BYTES", "64KiB", "Longest line of a push"),
    one("max-samples", "COUNT", "500000", "Samples of one push"),
    one("max-labels", "COUNT", "64", "Labels of one series"),
    one("max-name-length", "BYTES", "256", "Longest metric or label name"),
    one("max-value-length", "BYTES", "4KiB", "Longest label value"),
    one("max-series-length", "BYTES", "8KiB", "Longest label text of one series, with the labels of the path"),
    one("max-families", "COUNT", "100000", "Families stored"),
    one("max-series", "COUNT", "10000000", "Series stored; known ones go on being updated"),
    one("max-series-per-family", "COUNT", "10000000", "Series stored of one family"),
    one("max-series-per-source", "COUNT", "1000000", "Series stored of one source"),
    one("max-inflight", "BYTES", "256MiB", "Bodies being read and decoded at once; beyond it pushes get 503"),
    one("max-queued", "BYTES", "64MiB", "Decoded pushes on their way to one shard; beyond it pushes get 503"),
    one("max-queued-pushes", "COUNT", "65536", "The same, counted in pushes"),
    one(
        "max-templates",
        "BYTES",
        "128MiB",
        "Memory for knowing pushes again that come again and again but for their values",
    ),
    one("max-connections", "COUNT", "25000", "Connections open at once, for each worker"),
    one("max-scrapes", "COUNT", "16", "Scrapes streamed at once; beyond it scrapes get 503"),
    one("header-timeout", "DURATION", "10s", "Time for a request's head to arrive"),
    one("body-timeout", "DURATION", "30s", "Time for a push's body to arrive"),
    one("scrape-stall-timeout", "DURATION", "2m", "How long a scraper may read nothing before it is cut off"),
    one("keep-alive", "DURATION", "75s", "How long an idle connection is kept"),
    one("shutdown-delay", "DURATION", "1s", "Time between failing readiness and closing the listeners at the end"),
    one("shutdown-timeout", "DURATION", "30s", "Time for accepted pushes and running scrapes to finish at the end"),
    one("log-level", "LEVEL", "info", "error, warn, info, debug or trace"),
];

/// The row of a name, with `_` as good as `-`.
pub fn setting(name: &str) -> Option<&'static Setting> {
    let name = name.replace('_', "-");
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The row of an environment variable, which has `_` for `-` and `.` too. Without the prefix, in lower case.
pub fn setting_of_variable(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.replace(['-', '.'], "_") == name)
}
