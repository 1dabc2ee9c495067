#include "client/submission.hpp"

#include <sys/random.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>

#include "client/connect.hpp"
#include "client/record.hpp"
#include "client/spec_options.hpp"

namespace stint::cli {

std::string random_word() {
  std::array<std::uint64_t, 2> random{};
  if (::getrandom(random.data(), sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    throw Failure(exit_code::not_finished, "the kernel gives no random numbers");
  }
  std::array<char, 33> text{};
  std::snprintf(text.data(), text.size(), "%016lx%016lx", static_cast<unsigned long>(random[0]),
                static_cast<unsigned long>(random[1]));
  return text.data();
}

std::string unanswered_submit(const std::string& cause) {
  return cause + " before the daemon answered: whether it took the job is not known (`stint list` shows what it has)";
}

Submission::Submission(const JobSpec& spec)
    : method_("job.submit"),
      key_field_("job.key"),
      key_at_(std::string_view(R"({"job":{)").size()),
      params_(submit_request(spec)),
      key_(spec.durable ? random_word() : std::string()) {}

Submission::Submission(std::string params, bool keyed)
    : method_("job.submit_many"),
      key_field_("key"),
      key_at_(1),
      params_(std::move(params)),
      key_(keyed ? random_word() : std::string()) {}

std::string Submission::params() const {
  if (key_.empty()) return params_;
  return params_.substr(0, key_at_) + R"("key":")" + key_ + R"(",)" + params_.substr(key_at_);
}

bool Submission::drop_key(const RpcError& error) {
  if (key_.empty() || error.kind() != "unavailable" || text_at(error.json(), "data.field") != key_field_) return false;
  key_.clear();
  return true;
}

nlohmann::json Submission::call(Connection& connection) {
  const auto peer = std::make_shared<Peer>();
  connection.request("daemon.info", "{}", [peer](const nlohmann::json& info) { peer->take(info); });
  while (true) {
    try {
      return connection.call(method_, params());
    } catch (const RpcError& error) {
      if (!drop_key(error)) throw;
    } catch (const ConnectionLost&) {
      if (!keyed()) throw;
      Interrupts interrupts;
      try {
        connection = reconnect(connection, Purpose::submit, *peer, exit_code::not_finished, interrupts);
      } catch (const Failure& failure) {
        throw ConnectionLost(failure.what());
      }
    }
  }
}

}  // namespace stint::cli
