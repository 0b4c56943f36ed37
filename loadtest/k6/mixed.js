// A fleet: functions that push increments, workers that push their running totals and are replaced now and then, batch jobs that
// say how their last run went, and a Prometheus that scrapes it all. It needs Catchment's three doors.
//
//   k6 run -e TARGET=http://127.0.0.1:9091 -e RATE=300 -e CHURN=0.05 loadtest/k6/mixed.js
//
//   CHURN     part of the workers that is replaced each second    0.02
//   WORKERS   workers at a time                                   200

import http from "k6/http";
import exec from "k6/execution";
import { check } from "k6";
import { Trend } from "k6/metrics";
import * as load from "./common.js";

const churn = Number(__ENV.CHURN || 0.02);
const workers = Number(__ENV.WORKERS || 200);
const pageBytes = new Trend("page_bytes");

export const options = {
  scenarios: {
    increments: load.openLoop("increment", load.rate * 0.5),
    totals: load.openLoop("total", load.rate * 0.4),
    runs: load.openLoop("run", load.rate * 0.1),
    scrapes: load.openLoop("scrape", 1),
  },
  thresholds: load.thresholds({ aggregate: 100, source: 100, replace: 100, scrape: 2000 }, ["aggregate", "source", "replace", "scrape"]),
  summaryTrendStats: load.trendStats,
};

const headers = { "Content-Type": "text/plain; version=0.0.4" };

function put(door, path, body, method = "POST") {
  const response = http.request(method, `${load.target}/${door}/metrics${path}`, body, { headers, tags: { kind: door, name: door } });
  check(response, { accepted: (answer) => answer.status === 200 || answer.status === 202 });
}

const functions = [
  load.textFamily("fleet_calls_total", "counter", load.series, (index) => 1 + (index % 7)),
  load.textFamily("fleet_call_seconds", "histogram", Math.ceil(load.series / 10), () => load.bounds.map((_, at) => at + 1)),
].join("");

export function increment() {
  put("aggregate", "/job/functions", functions);
}

// A worker's totals grow with its pushes; the number of its generation tells it from the one that was there before.
const pushesOf = {};

export function total() {
  const worker = exec.scenario.iterationInTest % workers;
  const seconds = (Date.now() - exec.scenario.startTime) / 1000;
  const generation = Math.floor(seconds * churn + worker / workers);
  const instance = `worker-${worker}-${generation}-${exec.vu.idInTest}`;
  const pushes = (pushesOf[instance] = (pushesOf[instance] || 0) + 1);
  const body =
    load.textFamily("fleet_jobs_total", "counter", load.series, (index) => pushes * (1 + (index % 7))) +
    load.textFamily("fleet_queue_depth", "gauge", Math.ceil(load.series / 10), (index) => (pushes + index) % 20);
  put("source", `/job/workers/instance/${instance}`, body);
}

export function run() {
  const job = exec.scenario.iterationInTest % 50;
  const body = load.textFamily("batch_rows", "gauge", Math.ceil(load.series / 5), (index) => index + 0.5);
  put("replace", `/job/batch/instance/${job}`, body, "PUT");
}

export function scrape() {
  const response = http.get(`${load.target}/metrics`, { tags: { kind: "scrape", name: "scrape" } });
  check(response, { scraped: (answer) => answer.status === 200 && answer.body.includes("# TYPE fleet_") });
  pageBytes.add(response.body.length);
}

export const handleSummary = load.summary("a fleet");
