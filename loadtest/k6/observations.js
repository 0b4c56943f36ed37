// Single observations as JSON, one after the other and in arrays of 100, to each of the paths that take them.
//
//   k6 run -e TARGET=http://127.0.0.1:9091 -e RATE=1000 loadtest/k6/observations.js

import http from "k6/http";
import exec from "k6/execution";
import { check } from "k6";
import * as load from "./common.js";

export const options = {
  scenarios: {
    single: load.openLoop("single", load.rate * 0.95),
    array: load.openLoop("array", load.rate * 0.05),
  },
  thresholds: load.thresholds(50, ["single", "array"]),
  summaryTrendStats: load.trendStats,
};

const kinds = [
  ["counter", "k6_clicks_total", () => 1],
  ["gauge/set", "k6_tabs_open", (index) => index % 9],
  ["gauge/inc", "k6_users_online", () => 1],
  ["gauge/dec", "k6_users_online", () => 1],
  ["summary", "k6_page_bytes", (index) => 100 * (index % 50)],
  ["histogram", "k6_page_seconds", (index) => 0.01 * (index % 200)],
];

function observation([, name, value], index) {
  return { name, description: "What a browser saw", labels: { page: `/p/${index % 20}` }, value: value(index) };
}

function post(path, body, kind) {
  const parameters = { headers: { "Content-Type": "application/json" }, tags: { kind, name: path } };
  const response = http.post(`${load.target}/metrics/${path}`, JSON.stringify(body), parameters);
  check(response, { accepted: (answer) => answer.status === 200 || answer.status === 202 });
}

export function single() {
  const index = exec.scenario.iterationInTest;
  const kind = kinds[index % kinds.length];
  post(kind[0], observation(kind, index), "single");
}

export function array() {
  const kind = kinds[exec.scenario.iterationInTest % kinds.length];
  post(kind[0], Array.from({ length: 100 }, (_, index) => observation(kind, index)), "array");
}

export const handleSummary = load.summary("observations in JSON");
