// The daemon itself: what it is, how it does, what it offers, and its end.
#include <unistd.h>

#include "common/task_info.hpp"
#include "daemon/api/methods.hpp"

namespace stint::api {
namespace {

Reply document(const nlohmann::json& value) {
  Reply reply;
  reply.result = json::from_nlohmann(value).text;
  return reply;
}

nlohmann::json bounds(const Options& options) {
  return {{"line_bytes_max", limits::line_bytes_max},
          {"batch_requests_max", limits::batch_requests_max},
          {"depth_levels_max", limits::depth_levels_max},
          {"connections_max", options.connections_max},
          {"answer_bytes_max", limits::answer_bytes_max},
          {"pending_requests_max", limits::pending_requests_max},
          {"waiting_requests_max", limits::waiting_requests_max},
          {"request_id_bytes_max", limits::request_id_bytes_max},
          {"name_bytes_max", limits::name_bytes_max},
          {"tags_max", limits::tags_max},
          {"command_elements_max", limits::command_elements_max},
          {"command_bytes_max", limits::command_bytes_max},
          {"env_entries_max", limits::env_entries_max},
          {"env_bytes_max", limits::env_bytes_max},
          {"path_bytes_max", limits::path_bytes_max},
          {"retries_max", limits::retries_max},
          {"submit_jobs_max", limits::submit_jobs_max},
          {"wait_ids_max", limits::wait_ids_max},
          {"list_jobs_max", limits::list_jobs_max},
          {"output_limit_bytes_max", limits::output_limit_bytes_max},
          {"output_inline_bytes_max", limits::output_inline_bytes_max},
          {"output_chunk_bytes_max", limits::output_chunk_bytes_max},
          {"input_chunk_bytes_max", limits::input_chunk_bytes_max},
          {"record_payload_bytes_max", limits::record_payload_bytes_max},
          {"result_bytes_max", limits::result_bytes_max},
          {"locks_max", limits::locks_max},
          {"permits_max", limits::permits_max},
          {"semaphores_max", limits::semaphores_max},
          {"listed_waiters_max", limits::listed_waiters_max},
          {"lent_max", limits::lent_max},
          {"channels_max", limits::channels_max},
          {"channel_items_max", limits::channel_items_max},
          {"channel_item_bytes_max", limits::channel_item_bytes_max},
          {"channel_bytes_max", limits::channel_bytes_max},
          {"channel_get_items_max", limits::channel_get_items_max},
          {"events_max", limits::events_max},
          {"pools_max", limits::pools_max},
          {"pool_size_max", limits::pool_size_max},
          {"pool_answer_bytes_max", limits::pool_answer_bytes_max}};
}

}  // namespace

Reply on_daemon_info(Context& context, protocol::Nothing&&) {
  auto info = context.backend.info();
  info["name"] = "stint";
  info["version"] = STINT_VERSION;
  info["protocol"] = protocol_version;
  info["pid"] = ::getpid();
  info["bounds"] = bounds(context.options);
  auto& capabilities = info["capabilities"] = nlohmann::json::array();
  for (const Method& one : method_table()) capabilities.push_back(std::string(one.name));
  return document(info);
}

Reply on_daemon_stats(Context& context, protocol::Nothing&&) {
  auto stats = context.backend.stats();
  stats["connections"] = {{"open", context.stats.connections},
                          {"accepted", context.stats.accepted},
                          {"refused", context.stats.refused},
                          {"max", context.options.connections_max}};
  stats["requests"] = context.stats.requests;
  stats["streams"] = context.backend.feed().open_count();
  return document(stats);
}

Reply on_daemon_shutdown(Context& context, protocol::ShutdownRequest&& request) {
  // The answer goes into the outbox first: the shutdown may end this conversation.
  const Ticket ticket = context.defer();
  ticket.result("{}");
  context.backend.shutdown(request.jobs);
  return Reply::later();
}

Reply on_discover(Context&, protocol::Nothing&&) { return document(openrpc_document()); }

Reply on_task_list(Context& context, protocol::Nothing&&) {
  TaskListAnswer answer;
  for (const auto& [name, task] : context.backend.tasks().all()) answer.tasks.push_back(describe_task(task));
  return reply(answer);
}

}  // namespace stint::api
