#include "daemon/output_sweep.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/kept_output.hpp"

namespace stint {
namespace {

/// Jobs that the store is asked for at once: it commits nothing meanwhile.
constexpr std::size_t jobs_a_question = 64;

struct Words {
  std::string_view rest;

  [[nodiscard]] std::string_view next() {
    const std::size_t end = std::min(rest.find('.'), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return word;
  }
};

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

OutputSweep::OutputSweep(const core::Scheduler& scheduler, db::Store& store, std::filesystem::path folder, JobId below,
                         Offload offload)
    : scheduler_(scheduler), store_(store), folder_(std::move(folder)), below_(below), offload_(std::move(offload)) {}

void OutputSweep::begin() {
  const auto found = std::make_shared<std::vector<File>>();
  offload_([folder = folder_, below = below_, found] { *found = list(folder, below); },
           [this, found] {
             files_.assign(std::make_move_iterator(found->begin()), std::make_move_iterator(found->end()));
             next_page();
           });
}

std::vector<OutputSweep::File> OutputSweep::list(const std::filesystem::path& folder, JobId below) {
  std::vector<File> files;
  std::error_code error;  // a folder that cannot be read keeps what it has
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    File file;
    file.name = entry->path().filename().string();
    Words words{file.name};
    const auto job = number_in<JobId>(words.next());
    const auto attempt = number_in<Attempt>(words.next());
    const std::string_view stream = words.next();
    if (!job || !attempt || (stream != "stdout" && stream != "stderr") || *job >= below) continue;
    file.job = *job;
    file.attempt = *attempt;
    file.of = stream == "stdout" ? StreamName::out : StreamName::err;
    const std::string head = output_path({}, file.job, file.attempt, file.of).substr(1);
    if (file.name == head || file.name == output_tail_path(head)) files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.job < b.job; });
  return files;
}

void OutputSweep::next_page() {
  std::vector<JobId> ids;
  std::vector<File> files;
  for (; !files_.empty() && ids.size() < jobs_a_question; files_.pop_front()) {
    File& file = files_.front();
    if (scheduler_.find(file.job) != nullptr) continue;  // not finished, or just so: the next start looks again
    if (ids.empty() || ids.back() != file.job) ids.push_back(file.job);
    files.push_back(std::move(file));
  }
  if (ids.empty()) return;
  store_.get(ids, [this, ids, files = std::move(files)](const std::vector<db::Found>& rows) {
    auto doomed = std::make_shared<std::vector<std::filesystem::path>>();
    for (const File& file : files) {
      const auto row = std::lower_bound(ids.begin(), ids.end(), file.job) - ids.begin();
      if (!is_named(file, rows[static_cast<std::size_t>(row)])) doomed->push_back(folder_ / file.name);
    }
    offload_(
        [doomed] {
          for (const auto& path : *doomed) ::unlink(path.c_str());
        },
        [this] { next_page(); });
  });
}

bool OutputSweep::is_named(const File& file, const db::Found& row) {
  if (!row.job) return false;
  if (file.attempt != row.job->attempt) return file.attempt < row.job->attempt;  // those go with the record
  const auto& content = file.of == StreamName::out ? row.job->end.stdout_content : row.job->end.stderr_content;
  if (content) return content->in_file;
  // Ended in the wait for another attempt: what the last one wrote is named by that attempt's own end.
  const auto* const lost = std::get_if<EndReport::Lost>(&row.job->end.ending);
  return lost != nullptr && lost->message.empty();
}

}  // namespace stint
