// Pushes of counters and histograms in delimited protobuf, at a steady rate. The body is encoded once, at the start.
//
//   k6 run -e TARGET=http://127.0.0.1:9091 -e RATE=500 loadtest/k6/protobuf.js

import http from "k6/http";
import { check } from "k6";
import * as load from "./common.js";

export const options = {
  scenarios: { push: load.openLoop("push", load.rate) },
  thresholds: load.thresholds(50),
  summaryTrendStats: load.trendStats,
};

// The few parts of protobuf that metrics need: fields as arrays of bytes.
function varint(value) {
  const bytes = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return bytes.concat(value);
}

const ascii = (text) => Array.from(text, (character) => character.charCodeAt(0));
const number = (field, value) => varint(field * 8).concat(varint(value));
const message = (field, bytes) => varint(field * 8 + 2).concat(varint(bytes.length), bytes);

function double(field, value) {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value, true);
  return varint(field * 8 + 1).concat(Array.from(new Uint8Array(view.buffer)));
}

const COUNTER = { type: 0, field: 3 };
const HISTOGRAM = { type: 4, field: 7 };

function metric(kind, index, value) {
  const pairs = Object.entries(load.labels(index)).map(([name, text]) => message(1, message(1, ascii(name)).concat(message(2, ascii(text)))));
  return message(4, pairs.flat().concat(message(kind.field, value)));
}

// A family with its length before it.
function family(name, kind, count, value) {
  const metrics = Array.from({ length: count }, (_, index) => metric(kind, index, value(index))).flat();
  const bytes = message(1, ascii(name)).concat(number(3, kind.type), metrics);
  return varint(bytes.length).concat(bytes);
}

function histogram() {
  const buckets = load.bounds.map((bound, at) => message(3, number(1, at).concat(double(2, bound))));
  return number(1, load.bounds.length).concat(double(2, 2.75), buckets.flat());
}

const histograms = Math.floor(load.series / 5);
const body = new Uint8Array([
  ...family("k6_requests_total", COUNTER, load.series - histograms, (index) => double(1, 1 + (index % 7))),
  ...(histograms > 0 ? family("k6_request_seconds", HISTOGRAM, histograms, histogram) : []),
]).buffer;

const type = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
const parameters = { headers: { "Content-Type": type }, tags: { kind: "push" } };

export function push() {
  const response = http.post(`${load.target}/metrics/job/k6`, body, parameters);
  check(response, { accepted: (answer) => answer.status === 200 || answer.status === 202 });
}

export const handleSummary = load.summary("pushes in protobuf");
