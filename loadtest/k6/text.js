// Pushes of counters in the text format, at a steady rate.
//
//   k6 run -e TARGET=http://127.0.0.1:9091 -e RATE=500 loadtest/k6/text.js

import http from "k6/http";
import { check } from "k6";
import * as load from "./common.js";

export const options = {
  scenarios: { push: load.openLoop("push", load.rate) },
  thresholds: load.thresholds(50),
  summaryTrendStats: load.trendStats,
};

const body = load.textFamily("k6_requests_total", "counter", load.series, (index) => 1 + (index % 7));
const parameters = { headers: { "Content-Type": "text/plain; version=0.0.4" }, tags: { kind: "push" } };

export function push() {
  const response = http.post(`${load.target}/metrics/job/k6`, body, parameters);
  check(response, { accepted: (answer) => answer.status === 200 || answer.status === 202 });
}

export const handleSummary = load.summary("pushes in text");
