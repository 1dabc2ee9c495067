#include "client/record_output.hpp"

#include <unistd.h>

#include "client/connect.hpp"
#include "client/record.hpp"
#include "client/terminal.hpp"

namespace stint::cli {

std::string task_result(Connection& connection, const nlohmann::json& record) {
  if (const auto& result = field_at(record, "result"); !result.is_null()) return result.dump();
  const auto spec = connection.call("job.spec", R"({"id":)" + text_at(record, "id") + "}");
  return field_at(spec, "result").dump();
}

Session& RecordOutput::fetcher() {
  if (!fetcher_) fetcher_.emplace(connect({path_, false, true}), lost_code_, interrupts_);
  return *fetcher_;
}

Written RecordOutput::print(const nlohmann::json& record) {
  const bool of_pool = !field_at(record, "pool").is_null();
  if (of_pool) {
    if (const Written err = print_stream(record, StreamName::err); err != Written::all) return err;
  }
  if (of_pool || !field_at(record, "task").is_null()) {
    if (exit_code_of(record) != exit_code::success) return Written::all;
    const auto& result = field_at(record, "result");
    const auto ask = [&record](Connection& connection) { return task_result(connection, record); };
    const std::string text = result.is_null() ? fetcher().resuming(ask) : result.dump();
    return write_all(STDOUT_FILENO, text + "\n", on_interrupt_);
  }
  const Written out = print_stream(record, StreamName::out);
  return out == Written::all ? print_stream(record, StreamName::err) : out;
}

Written RecordOutput::print_stream(const nlohmann::json& record, StreamName name) {
  const auto& stream = field_at(record, json::enum_name(name));
  if (number_at(stream, "bytes") == 0) return Written::all;
  const JobId id = number_at(record, "id");
  if (!quiet_ && stream.value("truncated", false)) {
    note("job " + std::to_string(id) + ": only head and tail of its output are kept; --output-limit raises that");
  }
  if (stream.contains("data")) return write_all(descriptor_of(name), bytes_of(stream), on_interrupt_);
  std::uint64_t offset = 0;
  return fetcher().resuming([&](Connection& connection) { return copy_output(connection, id, name, offset); });
}

}  // namespace stint::cli
