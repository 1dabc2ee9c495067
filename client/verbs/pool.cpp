// `stint pool set|list|remove`: pools of long-lived workers.

#include <array>

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/spec_options.hpp"
#include "client/verbs/actions.hpp"
#include "common/nearest.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

std::string pool_name(const nlohmann::json& pool) { return text_at(pool, "name"); }
std::string pool_size(const nlohmann::json& pool) { return text_at(pool, "size"); }
std::string pool_queued(const nlohmann::json& pool) { return text_at(pool, "queued"); }
std::string pool_running(const nlohmann::json& pool) { return text_at(pool, "running"); }
std::string pool_command(const nlohmann::json& pool) {
  std::string text;
  for (const auto& word : field_at(pool, "command")) text += (text.empty() ? "" : " ") + word.get<std::string>();
  return text;
}

constexpr std::array pool_columns{Column{"POOL", pool_name}, Column{"SIZE", pool_size}, Column{"QUEUED", pool_queued},
                                  Column{"RUNNING", pool_running}, Column{"COMMAND", pool_command}};
constexpr std::array<std::string_view, 3> pool_actions{"set", "list", "remove"};

class Pool : public Action {
 public:
  void declare(Options& options) override {
    options.heading("Of set");
    options.number("--size", size_, "workers at most; default 1", 1, limits::pool_size_max);
    options.text("--cwd", cwd_, "their working directory; default: this one", "DIR");
    options.list("--env", env_, "set a variable of theirs; may be repeated", "NAME=VALUE");
    options.number("--max-jobs", max_jobs_, "replace a worker after so many answers", 1,
                   static_cast<std::uint64_t>(limits::pool_jobs_max));
    options.duration("--idle-timeout", idle_timeout_, "end a worker that has had nothing to do for so long");
    options.heading("Of remove");
    options.flag("--force", force_, "cancel its unfinished jobs");
    options.heading("Of list");
    form_.declare(options);
  }

  int run(const std::vector<std::string>& words) override {
    if (words.empty()) throw UsageError("what? set NAME -- PROGRAM, list, or remove NAME");
    const std::vector<std::string> rest(words.begin() + 1, words.end());
    if (words.front() == "set") return set(rest);
    if (words.front() == "list") return list(rest);
    if (words.front() == "remove") return remove(rest);
    const auto near = nearest_name(words.front(), pool_actions);
    throw UsageError("unknown action '" + words.front() + "'" + (near ? "; did you mean '" + *near + "'?" : ""));
  }

 private:
  int set(const std::vector<std::string>& words) {
    if (words.size() < 2) throw UsageError("pool set NAME -- PROGRAM [ARGUMENT…]");
    PoolSpec pool;
    pool.name = words.front();
    pool.command.assign(words.begin() + 1, words.end());
    pool.size = static_cast<std::uint32_t>(size_.value_or(1));
    pool.cwd = cwd_ ? absolute_path(*cwd_) : current_directory();
    for (const std::string& entry : env_) {
      const auto equals = entry.find('=');
      if (equals == std::string::npos) throw UsageError("--env " + entry + ": NAME=VALUE");
      pool.env[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    pool.max_jobs = max_jobs_;
    pool.idle_timeout = idle_timeout_;
    connect(target()).call("pool.set", json::encode_text(pool));
    return exit_code::success;
  }

  int list(const std::vector<std::string>& words) {
    require_no_words(words);
    const auto answer = connect(target()).call("pool.list", "{}");
    Renderer renderer(form_, pool_columns, Renderer::Pace::paged, quiet());
    for (const auto& pool : field_at(answer, "pools")) renderer.add(pool);
    renderer.finish();
    return exit_code::success;
  }

  int remove(const std::vector<std::string>& words) {
    if (words.size() != 1) throw UsageError("pool remove NAME");
    connect(target()).call("pool.remove", json::encode_text(protocol::PoolRemoveRequest{words.front(), force_}));
    return exit_code::success;
  }

  OutputForm form_;
  std::optional<std::uint64_t> size_;
  std::optional<std::string> cwd_;
  std::vector<std::string> env_;
  std::optional<std::uint64_t> max_jobs_;
  std::optional<Duration> idle_timeout_;
  bool force_ = false;
};

}  // namespace

std::unique_ptr<Action> make_pool() { return std::make_unique<Pool>(); }

}  // namespace stint::cli
