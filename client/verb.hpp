// What a verb is, and the one table of them: parsing, help, suggestions and exit codes come from its rows.
//
// A verb lives in client/verbs/NAME.cpp as an Action; the table (client/verbs.cpp) names it once. Main thread only;
// actions throw Failure, which `main` turns into a message and an exit code.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/connect.hpp"
#include "client/options.hpp"

namespace stint::cli {

/// One call of one verb: declares its options, then runs.
class Action {
 public:
  virtual ~Action() = default;
  virtual void declare(Options& options) = 0;
  /// Returns the exit code. `words` is what is not an option.
  virtual int run(const std::vector<std::string>& words) = 0;

  /// The options that every verb has.
  void declare_common(Options& options);
  void set_socket(std::optional<std::string> path) { socket_ = std::move(path); }

 protected:
  [[nodiscard]] Target target() const { return {socket_, false, quiet_}; }
  [[nodiscard]] bool quiet() const { return quiet_; }

 private:
  std::optional<std::string> socket_;
  bool quiet_ = false;
};

struct Verb {
  std::string_view name;
  std::string_view words_usage;  ///< what follows the options in the usage line
  std::string_view summary;
  std::string_view examples;
  Words words;
  std::unique_ptr<Action> (*make)();
};

[[nodiscard]] std::span<const Verb> verbs();

/// The whole program, less argv and the outermost catch: returns the exit code.
[[nodiscard]] int run_command_line(std::span<const std::string> arguments);

/// Ids among the words; throws UsageError where one is none.
[[nodiscard]] std::vector<std::uint64_t> ids_of(std::span<const std::string> words);
/// Exactly one id.
[[nodiscard]] std::uint64_t id_of(std::span<const std::string> words);
/// Ids or a group, not both, not neither.
void require_ids_or_group(bool has_ids, bool has_group);
/// The first word, which must be one of these; throws UsageError with the nearest one.
[[nodiscard]] const std::string& action_of(std::span<const std::string> words, std::span<const std::string_view> actions);
/// Refuses words where a verb has none.
void require_no_words(std::span<const std::string> words);

}  // namespace stint::cli
