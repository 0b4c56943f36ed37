// What the scripts share: where to push, how much, and how the outcome is told.
//
//   TARGET    base URL of the gateway            http://127.0.0.1:9091
//   RATE      pushes a second                    200
//   DURATION  time of the load                   30s
//   SERIES    series of a push                   50
//   SUMMARY   file for the outcome as JSON       k6-summary.json; empty for none

export const target = (__ENV.TARGET || "http://127.0.0.1:9091").replace(/\/+$/, "");
export const rate = Number(__ENV.RATE || 200);
export const duration = __ENV.DURATION || "30s";
export const series = Number(__ENV.SERIES || 50);
const summaryFile = __ENV.SUMMARY === undefined ? "k6-summary.json" : __ENV.SUMMARY;

// An open loop: iterations begin at the rate that was asked for, whether or not earlier ones have ended. If the virtual users do
// not suffice, k6 counts the iterations that it dropped.
export function openLoop(exec, perSecond) {
  return {
    executor: "constant-arrival-rate",
    exec,
    rate: Math.max(1, Math.round(perSecond)),
    timeUnit: "1s",
    duration,
    preAllocatedVUs: 50,
    maxVUs: 500,
  };
}

// What a good run keeps to. Percentiles are of the requests with the tag `kind`.
export function thresholds(p99, kinds = ["push"]) {
  const limits = { http_req_failed: ["rate<0.001"], checks: ["rate>0.999"], dropped_iterations: ["count<1"] };
  for (const kind of kinds) limits[`http_req_duration{kind:${kind}}`] = [`p(99)<${p99[kind] || p99}`];
  return limits;
}

export const trendStats = ["med", "p(90)", "p(99)", "p(99.9)", "max", "count"];

// Labels and the number of a series, as the fleets of these scripts have them.
export function labels(index, more = {}) {
  const methods = ["GET", "POST", "PUT", "DELETE"];
  return { handler: `/api/v1/items/${String(index).padStart(6, "0")}`, method: methods[index % 4], zone: "eu-central-1", ...more };
}

function labelText(pairs) {
  return Object.entries(pairs).map(([name, value]) => `${name}="${value}"`).join(",");
}

export const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

// A family of one type in the text format; values(index) is a number, or for histograms the counts of the buckets.
export function textFamily(name, type, count, values, more = {}) {
  const lines = [`# TYPE ${name} ${type}`];
  for (let index = 0; index < count; index++) {
    const pairs = labelText(labels(index, more));
    if (type !== "histogram") {
      lines.push(`${name}{${pairs}} ${values(index)}`);
      continue;
    }
    const counts = values(index);
    bounds.forEach((bound, at) => lines.push(`${name}_bucket{${pairs},le="${bound}"} ${counts[at]}`));
    const total = counts[counts.length - 1];
    lines.push(`${name}_bucket{${pairs},le="+Inf"} ${total}`);
    lines.push(`${name}_sum{${pairs}} ${total / 4}`, `${name}_count{${pairs}} ${total}`);
  }
  return lines.join("\n") + "\n";
}

// Text for the terminal, and everything as JSON in a file.
export function summary(name) {
  return (data) => {
    const lines = ["", name];
    for (const [metric, { type, values, thresholds: limits }] of Object.entries(data.metrics).sort()) {
      const isOurs = /^(http_req_duration|http_req_failed|checks|iterations|dropped_iterations|page_)/.test(metric);
      if ((!isOurs && !limits) || metric.includes("{expected_response")) continue;
      lines.push(`  ${metric.padEnd(34)}${told(type, values)}${verdict(limits)}`);
    }
    const files = { stdout: lines.join("\n") + "\n" };
    if (summaryFile) files[summaryFile] = JSON.stringify(data, null, 2) + "\n";
    return files;
  };
}

function told(type, values) {
  if (type === "rate") return `${(100 * values.rate).toFixed(3)} %`;
  if (type === "counter") return `${values.count} (${values.rate.toFixed(1)}/s)`;
  const names = ["med", "p(90)", "p(99)", "p(99.9)", "max"];
  return names.filter((name) => name in values).map((name) => `${name} ${values[name].toFixed(2)}`).join("  ");
}

function verdict(limits) {
  if (!limits) return "";
  return Object.entries(limits).map(([limit, { ok }]) => `  [${ok ? "holds" : "BROKEN"}: ${limit}]`).join("");
}
