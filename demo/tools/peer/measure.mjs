// What the pages that measure other engines share: repetitions, clocks and reports, as
// webllm_py/bench/core.py has them.
//
// Query of each page: model    address of the model, relative to the page
//                     bench    JSON: fields of webllm_py.bench.BenchOptions
//                     context  tokens of the longest request
// Progress and results go to /report/step, /report/done and /report/error.

const LONG_SECONDS = 30;

export const query = new URLSearchParams(location.search);
export const options = JSON.parse(query.get("bench"));

// As Bench.repeated: results of the runs after the first.
export async function repeated(measure) {
  const start = performance.now();
  const results = [await measure()];
  while (
    results.length < 2 ||
    (results.length <= options.runs && seconds(start) < LONG_SECONDS)
  ) {
    results.push(await measure());
  }
  return results.slice(1);
}

export function seconds(since) {
  return (performance.now() - since) / 1000;
}

export function expect(runs, what, tokens) {
  const wrong = runs.find((run) => run[what] !== tokens);
  if (wrong) throw new Error(`${what} tokens: ${wrong[what]} instead of ${tokens}`);
}

export async function report(type, message) {
  document.querySelector("#state").textContent = message.text ?? message.message ?? type;
  await fetch(`/report/${type}`, { method: "POST", body: JSON.stringify(message) });
}
