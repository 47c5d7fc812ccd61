// The bench page: starts the worker with what the address asks for, and shows what it finds.
//
// Query: model    address of the model, relative to the site; none for the pocket model
//        bench    JSON: fields of webllm_py.bench.BenchOptions
//        load     JSON: quantize, kv_dtype, context_length, f16, subgroups, power_preference, host_profile
//        check    JSON: what to compare with another engine; see demo/tools/agreement.py
//        report   POST progress and results to /report/step, /report/done and /report/error

const query = new URLSearchParams(location.search);
const state = document.querySelector("#state");
const table = document.querySelector("#table");

const worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
worker.onmessage = ({ data }) => show(data);
worker.onerror = (event) => show({ type: "error", message: event.message });
worker.postMessage({
  model: query.get("model") && new URL(query.get("model"), new URL("../", location.href)).href,
  bench: query.get("bench") ?? "{}",
  load: query.get("load") ?? "{}",
  check: query.get("check") ?? "null",
});

async function show(message) {
  if (message.type === "done") {
    state.textContent = "done";
    table.textContent = message.table;
  } else {
    state.textContent = message.type === "error" ? message.message : `${message.text} ...`;
  }
  document.body.dataset.state = message.type;
  if (query.has("report")) {
    await fetch(`/report/${message.type}`, { method: "POST", body: JSON.stringify(message) });
  }
}
