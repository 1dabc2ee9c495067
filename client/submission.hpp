// A submit that may be sent twice: it carries a random key, by which the daemon knows that it has these jobs already.
//
// Only durable jobs get a key, because a key lives as long as the record of its job. A daemon that does not serve keys
// refuses the first one and is asked again without: then an answer that is lost stays unknown. Values; `call` blocks. Main
// thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "client/connection.hpp"
#include "common/job.hpp"

namespace stint::cli {

/// 32 hexadecimal digits from the kernel; throws Failure where it has none.
[[nodiscard]] std::string random_word();

/// What to say where a job was handed over and no answer came, because of `cause`.
[[nodiscard]] std::string unanswered_submit(const std::string& cause);

class Submission {
 public:
  /// job.submit.
  explicit Submission(const JobSpec& spec);
  /// job.submit_many; `params` is its JSON object, not empty.
  Submission(std::string params, bool keyed);

  [[nodiscard]] std::string_view method() const { return method_; }
  [[nodiscard]] std::string params() const;
  /// It may be sent again.
  [[nodiscard]] bool keyed() const { return !key_.empty(); }
  /// True where the daemon has refused nothing but the key: it is to be asked again, without.
  [[nodiscard]] bool drop_key(const RpcError& error);

  /// Asks until there is an answer, over new connections where the one breaks. Throws RpcError, and ConnectionLost where it
  /// has no key or no daemon comes back.
  [[nodiscard]] nlohmann::json call(Connection& connection);

 private:
  std::string_view method_;
  std::string_view key_field_;
  std::size_t key_at_;  // where in params_ the key's member goes: behind a brace, before another member
  std::string params_;
  std::string key_;
};

}  // namespace stint::cli
