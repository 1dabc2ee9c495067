// `stint signal`: a signal to the process group of running jobs.

#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

/// The wire form of a number, or of a name with or without SIG, in any case.
json::Raw signal_of(const std::string& word) {
  std::string name;
  for (const char c : word) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  const bool number = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
  json::Raw raw{number ? name : "\"" + name + "\""};
  try {
    static_cast<void>(protocol::signal_number(raw));
  } catch (const std::exception&) {
    throw UsageError("'" + printable(word) +
                     "' is not a signal: a number, 1 to 64, or a name like TERM; the signal stands before the ids");
  }
  return raw;
}

class Signal : public Action {
 public:
  void declare(Options&) override {}

  int run(const std::vector<std::string>& words) override {
    if (words.size() < 2) throw UsageError("a signal and at least one job's id, for example: stint signal HUP 17");
    protocol::SignalRequest request;
    request.signal = signal_of(words.front());
    const auto ids = ids_of(std::span(words).subspan(1));
    Connection connection = connect(target());
    int code = exit_code::success;
    for (const JobId id : ids) {
      request.id = id;
      try {
        connection.call("job.signal", json::encode_text(request));
      } catch (const RpcError& error) {
        const bool unknown = error.code() == exit_code::no_such_job;
        note(unknown ? "there is no job " + std::to_string(id) : "job " + std::to_string(id) + ": " + error.what());
        code = ids.size() == 1 ? error.code() : exit_code::some_failed;
      }
    }
    return code;
  }
};

}  // namespace

std::unique_ptr<Action> make_signal() { return std::make_unique<Signal>(); }

}  // namespace stint::cli
