#include "client/output_copy.hpp"

#include <unistd.h>

#include "client/failure.hpp"
#include "client/record.hpp"
#include "common/base64.hpp"
#include "common/protocol.hpp"

namespace stint::cli {

int descriptor_of(StreamName name) { return name == StreamName::out ? STDOUT_FILENO : STDERR_FILENO; }

std::string bytes_of(const nlohmann::json& object) {
  std::string data = text_at(object, "data");
  if (text_at(object, "encoding") != "base64") return data;
  auto bytes = base64_decode(data);
  if (!bytes) throw Failure(exit_code::not_finished, "the daemon sent output that is not base64");
  return std::move(*bytes);
}

std::string output_request(JobId id, StreamName of, std::uint64_t offset, bool follow, stint::Attempt attempt) {
  protocol::OutputRequest request;
  request.id = id;
  request.of = of;
  request.offset = offset;
  request.follow = follow;
  if (attempt > 0) request.attempt = attempt;
  return json::encode_text(request);
}

Written copy_output(Connection& connection, JobId id, StreamName of, std::uint64_t& offset, stint::Attempt attempt) {
  while (true) {
    nlohmann::json chunk;
    try {
      chunk = connection.call("job.output", output_request(id, of, offset, false, attempt));
    } catch (const RpcError& error) {
      if (error.kind() == "conflict") return Written::all;
      throw;
    }
    const std::string bytes = bytes_of(chunk);
    if (write_all(descriptor_of(of), bytes) == Written::reader_gone) return Written::reader_gone;
    const std::uint64_t next = number_at(chunk, "next");
    if (chunk.value("end", true) || next <= offset) return Written::all;
    offset = next;
  }
}

}  // namespace stint::cli
