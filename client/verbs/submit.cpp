// `stint submit`: hands one job over, or with --batch a job a line of JSON, and prints ids.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "client/record.hpp"
#include "client/render.hpp"
#include "client/spec_options.hpp"
#include "client/submission.hpp"
#include "client/terminal.hpp"
#include "client/verbs/actions.hpp"
#include "client/whole_input.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

constexpr std::size_t batch_bytes_max = 1U << 20U;
constexpr std::uint64_t batch_jobs_max = 10'000;

class Submit : public Action {
 public:
  void declare(Options& options) override {
    spec_.declare(options);
    options.flag("--stdin", stdin_, "the job reads what is on standard input now, all of it");
    options.heading("Many jobs");
    options.text("--batch", batch_,
                 "a job specification (JSON object) a line, from FILE or - for standard input; "
                 "of the other options only --group counts. Jobs without cwd and umask get these ones",
                 "FILE");
    options.heading("Output");
    options.flag("--json", json_, "the whole answer as JSON");
    options.heading("Daemon");
    options.flag("--no-start", no_start_, "do not start a personal daemon where none can be reached");
    options.exclusive({"--stdin", "--stdin-file"});
  }

  int run(const std::vector<std::string>& words) override {
    Target where = target();
    where.may_start = !no_start_;
    if (batch_) {
      if (!words.empty()) throw UsageError("--batch takes its jobs from the file: no program beside it");
      return submit_batch(where);
    }
    JobSpec job = spec_.build_one(words);
    if (stdin_) job.stdin_source.source = StdinSource::Bytes{read_whole(STDIN_FILENO, limits::input_chunk_bytes_max)};
    Connection connection = connect(where);
    print_answer(submit_one(connection, job));
    return exit_code::success;
  }

 private:
  static nlohmann::json submit_one(Connection& connection, const JobSpec& job) {
    Submission submission(job);
    try {
      return submission.call(connection);
    } catch (const ConnectionLost&) {
      throw Failure(exit_code::not_finished, unanswered_submit("the connection broke"));
    }
  }

  void print_answer(const nlohmann::json& answer) const {
    if (json_) {
      print_document(answer);
    } else {
      print(text_at(answer, "id") + "\n");
    }
  }

  struct Job {
    std::string json;
    std::optional<std::string> group;
    bool durable = true;
  };
  struct Lines {
    std::string json;  // the jobs, separated by commas
    std::uint64_t count = 0;
    std::optional<std::string> group;
    bool durable = true;
  };

  int submit_batch(const Target& where) {
    UniqueFd file;
    if (*batch_ != "-") {
      file.reset(::open(batch_->c_str(), O_RDONLY | O_CLOEXEC));
      if (!file) throw UsageError(*batch_ + ": " + std::strerror(errno));
    }
    LineReader reader(file ? file.get() : STDIN_FILENO, limits::line_bytes_max / 2);
    Connection connection = connect(where);
    Lines lines;
    std::uint64_t line_number = 0;
    while (const auto line = reader.next()) {
      ++line_number;
      if (line->find_first_not_of(" \t\r") == std::string::npos) continue;
      const Job job = read_job(*line, line_number);
      const bool full = lines.count == batch_jobs_max || lines.json.size() > batch_bytes_max;
      // A call has one group; jobs that name another one begin the next call.
      if (full || (lines.count > 0 && job.group != lines.group)) submit_lines(connection, lines);
      if (lines.count > 0) lines.json += ',';
      lines.json += job.json;
      lines.group = job.group;
      lines.durable = lines.durable && job.durable;
      line_numbers_.push_back(line_number);
      ++lines.count;
    }
    submit_lines(connection, lines);
    return exit_code::success;
  }

  [[nodiscard]] Job read_job(const std::string& line, std::uint64_t number) const {
    const auto job = nlohmann::json::parse(line, nullptr, false);
    if (!job.is_object()) {
      throw Failure(exit_code::bad_job, "line " + std::to_string(number) + " is not a JSON object");
    }
    Job read{line, spec_.group(), field_at(job, "durable") != false};
    if (const auto& group = field_at(job, "group"); group.is_string()) read.group = group.get<std::string>();
    if (!job.empty() && !job.contains("task") && !job.contains("pool")) read.json = completed(line, job);
    return read;
  }

  /// The line with our cwd and umask where it names a program and none of them. The rest of it stays as it was written:
  /// what is wrong with it is the daemon's to say.
  static std::string completed(const std::string& line, const nlohmann::json& job) {
    std::string out = line.substr(0, line.rfind('}'));
    const auto add = [&](const char* key, const std::string& value) {
      if (!job.contains(key)) out += std::string(",\"") + key + "\":" + value;
    };
    add("cwd", nlohmann::json(current_directory()).dump());
    add("umask", json::encode_text(current_umask()));
    return out + "}";
  }

  void submit_lines(Connection& connection, Lines& lines) {
    if (lines.count == 0) return;
    std::string params = R"({"jobs":[)" + lines.json + "]";
    if (lines.group) {
      params += R"(,"group":)";
      json::append_string(params, *lines.group);
    }
    nlohmann::json answer;
    Submission submission(params + "}", lines.durable);
    try {
      answer = submission.call(connection);
    } catch (const RpcError& error) {
      throw Failure(error.code(), located(error));
    } catch (const ConnectionLost&) {
      throw Failure(exit_code::not_finished,
                    "the connection broke before the daemon answered: whether it took the jobs of lines " +
                        std::to_string(line_numbers_.front()) + " to " + std::to_string(line_numbers_.back()) +
                        " is not known; later ones were not submitted");
    }
    std::string text;
    if (json_) {
      text = answer.dump() + "\n";
    } else {
      const std::uint64_t first = number_at(answer, "first");
      for (std::uint64_t i = 0; i < lines.count; ++i) text += std::to_string(first + i) + "\n";
    }
    print(text);
    lines = {};
    line_numbers_.clear();
  }

  /// The daemon counts jobs of the call, people count lines.
  [[nodiscard]] std::string located(const RpcError& error) const {
    const std::string field = text_at(error.json(), "data.field");
    const std::string message = error.what();
    if (!field.starts_with("jobs[")) return message + "; the jobs of this and of later lines were not submitted";
    const auto index = std::strtoull(field.c_str() + std::strlen("jobs["), nullptr, 10);
    const std::uint64_t line = index < line_numbers_.size() ? line_numbers_[index] : 0;
    return "line " + std::to_string(line) + ": " + message + "; lines from " + std::to_string(line_numbers_.front()) +
           " on were not submitted";
  }

  SpecOptions spec_;
  std::optional<std::string> batch_;
  std::vector<std::uint64_t> line_numbers_;  // of the jobs of this call
  bool stdin_ = false;
  bool json_ = false;
  bool no_start_ = false;
};

}  // namespace

std::unique_ptr<Action> make_submit() { return std::make_unique<Submit>(); }

}  // namespace stint::cli
