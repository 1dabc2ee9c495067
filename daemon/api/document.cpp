// What the method table says of itself: the OpenRPC document and docs/protocol.md.
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

std::string type_text(const nlohmann::json& schema) {
  if (schema.contains("enum")) {
    std::string out;
    for (const auto& value : schema["enum"]) out += (out.empty() ? "`" : ", `") + value.get<std::string>() + "`";
    return out;
  }
  if (schema.contains("oneOf")) {
    std::string out;
    for (const auto& one : schema["oneOf"]) out += (out.empty() ? "" : " or ") + type_text(one);
    return out;
  }
  if (!schema.contains("type")) return "any";
  std::string type = schema["type"];
  if (type == "array") return "list of " + type_text(schema["items"]);
  if (type == "object" && schema.contains("properties") && !schema["properties"].contains("shell")) {
    std::string out;
    for (const auto& [name, child] : schema["properties"].items()) out += (out.empty() ? "{" : ", ") + name;
    return out + "}";
  }
  if (type == "object" && schema.contains("properties")) return "[job](#a-job)";
  return type;
}

std::string range_text(const nlohmann::json& schema) {
  for (const auto& [low, high, unit] :
       {std::tuple("minimum", "maximum", ""), std::tuple("minLength", "maxLength", " bytes"),
        std::tuple("minItems", "maxItems", " elements"), std::tuple("minProperties", "maxProperties", " entries")}) {
    if (!schema.contains(low) && !schema.contains(high)) continue;
    std::string out = schema.contains(low) ? schema[low].dump() : "";
    out += schema.contains(high) ? "…" + schema[high].dump() : "…";
    return out + unit;
  }
  return {};
}

bool is_required(const nlohmann::json& schema, const std::string& name) {
  if (!schema.contains("required")) return false;
  const auto& names = schema["required"];
  return std::ranges::find(names, nlohmann::json(name)) != names.end();
}

std::string field_table(const nlohmann::json& schema, bool with_required) {
  std::string out = with_required ? "| field | type | range | | meaning |\n|---|---|---|---|---|\n"
                                  : "| field | type | meaning |\n|---|---|---|\n";
  for (const auto& [name, field] : schema["properties"].items()) {
    out += "| `" + name + "` | " + type_text(field) + " | ";
    if (with_required) out += range_text(field) + " | " + (is_required(schema, name) ? "required" : "") + " | ";
    out += field.value("description", std::string()) + " |\n";
  }
  return out;
}

std::string flag_text(const Method& method) {
  std::string out;
  const auto add = [&out](std::string_view text) {
    if (!out.empty()) out += "; ";
    out += text;
  };
  if ((method.flags & mutates) != 0) add("changes something");
  if ((method.flags & submits) != 0) add("refused while draining");
  if ((method.flags & waits) != 0) add("waits: not in a batch");
  if ((method.flags & streams) != 0) add("streams: not in a batch");
  if ((method.flags & may_stream) != 0) add("streams where asked to: then not in a batch");
  return out;
}

std::string method_section(const Method& method) {
  std::string out = "### " + std::string(method.name) + "\n\n" + std::string(method.summary) + "\n\n";
  if (const auto flags = flag_text(method); !flags.empty()) out += "*(" + flags + ")*\n\n";
  const nlohmann::json params = method.describe();
  out += params["properties"].empty() ? "No parameters.\n\n" : field_table(params, true) + "\n";
  if (method.describe_result == nullptr) return out + "Answer: " + std::string(method.result) + ".\n\n";
  return out + "Answer:\n\n" + field_table(method.describe_result(), false) + "\n";
}

constexpr std::string_view preface = R"(# The stint protocol, version 1

<!-- Made from the daemon's method table by the target protocol_doc; a test compares them. Do not edit. -->

A Unix socket carries JSON-RPC 2.0, one message a line of UTF-8. `params` is always an object; an unknown field is an
error. A line may be a batch (an array), answered by one line. A request without `id` is never answered; without one,
a method that waits or streams does nothing, but for `job.run`. Requests take effect in the order sent; answers may cross. Half-closing the connection means "no more requests": what is pending is
answered, streams run to their end, then the connection closes.

Times are seconds since the epoch, durations seconds, sizes bytes. Bounds stand in `daemon.info`.

A method that streams answers `{"stream": S}`, then sends notifications: `stream.item` with `{"stream": S, "item": …}`, and
last `stream.end` with `{"stream": S, "reason": "complete"|"cancelled"|"timed_out"|"draining"|"error", "error": …}`.

## What survives the end of the daemon

| | an orderly stop or a crash, then a new daemon |
|---|---|
| durable jobs, their records, idempotency keys | are there; what runs on as `detach` says |
| jobs with `durable: false` | are gone |
| channels opened with `durable` | are there, with every item whose put was answered and which nobody took; an item is handed over at most once: who was being answered when the daemon died may miss it |
| other channels | are gone: calls answer `not_found` until they are opened again |
| events that are set | are set |
| pools | are there, with what is queued in them; a message that a worker had begun is `lost`, for the workers end with the daemon. Pools that were bound to a connection are gone: their jobs are `cancelled` |
| semaphores | have their sizes |
| permits and locks of running jobs | stay held until the job's processes are gone |
| leases of a connection | stay held for `lease.reclaim` (10 s): their holders bind them anew with `lease.resume`; then they are given back |
| leases of a job that was entered | stay held until the job ends; `lease.resume` from a connection that has entered it |
| `job.enter` | ends with its connection; the slot counts again |
| calls that wait, streams | end with their connection; who waits asks again |

## Errors

`{"code": …, "message": "…", "data": {"kind": "…", "retryable": bool, …}}`; `kind` is stable. Further members of `data`, where they
apply: `field`, `expected`, `nearest`, `reason`, `limit`, `value`, `setting`, `incident`, `offset`, `circle`.

`retryable`: the same call may succeed later. Where `field` is given it is `false`, whatever the kind: its value will not do.

| code | kind | retryable |
|---|---|---|
)";

constexpr std::string_view pools_chapter = R"(## Pools

A pool is a program of which up to `size` workers live on, each doing one message at a time: a job with `pool` and `args` costs a line
each way and no process. It is set by `pool.set`, or stands in the configuration as `[pools.NAME]`. A worker is started when a message
finds none idle, with `cwd` (default the home) and `env` over PATH HOME USER LOGNAME SHELL LANG TZ; in its environment stand
`STINT_SOCKET`, `STINT_INSTANCE` and `STINT_POOL`, and no `STINT_JOB_ID`: the job is the message's `id`.

It reads one line a message from standard input, and writes one line an answer to standard output; each is flushed at once:

    {"id": 17, "attempt": 1, "args": …, "deadline": 1700000000.5}
    {"id": 17, "result": …}
    {"id": 17, "error": {"message": "…", "kind": "…", "data": …}}
    {"id": 17, "progress": 0.4, "text": "…"}

- `args` is `null` where the job has none; the item where it comes from a template. `deadline` is `null` without a `timeout`.
- Any number of `progress` lines may stand before the answer. Members that are not named here, and empty
  lines, are ignored.
- `error` makes the job `failed`: its `error` is this, with `kind` `failed` where none is given (at most 256 bytes; the message at most
  4 KiB, the rest is cut). `data`, like `result`, is any JSON; above 4 KiB both are left out of the record and stand in `job.spec`.
- A line has at most 16 MiB, is UTF-8 and JSON (no NaN), at most 64 levels deep.
- What it writes to standard error between a message and its answer is the job's `stderr`, the only output that the job has. While the job
  runs it cannot be read yet; `job.output` with `follow` gives it when the job has ended. A program that prints should
  move the descriptor 1 away first and let 2 stand for it.
- The next message comes when the answer was read, at once if one waits. A worker gets no message while one is unanswered.
- At the end of its input a worker is no longer needed (`max_jobs`, `idle_timeout`, another `pool.set`, the end of the pool): it has 5 s to
  end, then it is killed.

Where a worker fails, only its own message suffers: the job is `failed`, and the worker's whole process tree is gone before that is told.
`error.kind` says which: `crashed` (it died, or ended, before it answered), `bad_answer` (a line that is no answer to this message, too long,
or its output closed), `spawn` (it could not be started; `exit_code` 126 or 127). `job.cancel` and `timeout` stop the message by stopping
its worker: SIGTERM to its tree, SIGKILL after the job's `grace`. What a message has started stays with its worker and is killed with it.
A line that nobody asked for costs the worker, and no message. A message that lies unread before a worker that dies after it has answered
others goes to another worker.

A pool that is bound to its connection (`"bind": "connection"`) is gone as soon as that is closed: what is queued and runs in it is
`cancelled`. It can be set again and removed through this connection alone; jobs for it may come from any.

)";

std::string error_table() {
  std::string out;
  for (int i = 0; i <= static_cast<int>(ErrorKind::purged); ++i) {
    const auto kind = static_cast<ErrorKind>(i);
    out += "| " + std::to_string(error_code(kind)) + " | `" + std::string(error_name(kind)) + "` | " +
           (error_retryable(kind) ? "yes" : "no") + " |\n";
  }
  return out;
}

}  // namespace

nlohmann::json openrpc_document() {
  nlohmann::json methods = nlohmann::json::array();
  for (const Method& method : method_table()) {
    const nlohmann::json schema = method.describe();
    nlohmann::json params = nlohmann::json::array();
    for (const auto& [name, field] : schema["properties"].items()) {
      params.push_back({{"name", name},
                        {"description", field.value("description", "")},
                        {"required", is_required(schema, name)},
                        {"schema", field}});
    }
    nlohmann::json result{{"name", "result"}};
    result["schema"] = method.describe_result != nullptr ? method.describe_result() : nlohmann::json::object();
    if (!method.result.empty()) result["description"] = std::string(method.result);
    methods.push_back({{"name", std::string(method.name)},
                       {"summary", std::string(method.summary)},
                       {"paramStructure", "by-name"},
                       {"params", std::move(params)},
                       {"result", std::move(result)},
                       {"x-mutates", (method.flags & mutates) != 0},
                       {"x-waits", (method.flags & waits) != 0},
                       {"x-streams", (method.flags & (streams | may_stream)) != 0}});
  }
  return {{"openrpc", "1.2.6"}, {"info", {{"title", "stint"}, {"version", STINT_VERSION}}}, {"methods", std::move(methods)}};
}

std::string protocol_markdown() {
  std::string out(preface);
  out += error_table();
  out += "\n## A job\n\nExactly one of `command`, `shell`, `task` and `pool`. The other fields are optional.\n\n";
  out += field_table(stint::json::describe<JobSpec>(), true);
  out += "\n";
  out += pools_chapter;
  out += "## Methods\n\n";
  for (const Method& method : method_table()) out += method_section(method);
  out.pop_back();
  return out;
}

}  // namespace stint::api
