#include "tests/conformance/pool_subject.hpp"

#include <unistd.h>

#include <atomic>

namespace stint::test {
namespace {

constexpr const char* worker_script = R"(
answer() { printf '{"id":%s,"%s":%s}\n' "$id" "$1" "$2"; }
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  args=${line#*\"args\":}; args=${args%,\"deadline\"*}
  words=${args#\"}; words=${words%\"}
  set -- $words
  case $1 in
    fail) answer error '{"message":"no luck"}' ;;
    sleep) sleep "$2"; answer result null ;;
    ignore) trap '' TERM; sleep "$2"; answer result null ;;
    big) printf '{"id":%s,"result":"' "$id"; head -c "$2" /dev/zero | tr '\0' x; printf '"}\n' ;;
    crash) kill -SEGV $$ ;;
    report)
      printf '{"id":%s,"progress":0.25}\n{"id":%s,"progress":0.5,"text":"half"}\n' "$id" "$id"
      answer result null ;;
    *) answer result "$args" ;;
  esac
done
)";

JobSpec message(const std::string& words) {
  JobSpec spec;
  spec.pool = "shell";
  spec.args = json::Raw{"\"" + words + "\""};
  return spec;
}

const json::Raw* result_of(const EndReport& end) {
  const auto* returned = std::get_if<EndReport::Returned>(&end.ending);
  return returned == nullptr ? nullptr : &returned->result;
}

}  // namespace

PoolSubject::PoolSubject(boost::asio::io_context& io, exec::Observer& observer) {
  static std::atomic<int> count = 0;
  std::filesystem::create_directory(folder_.path() / "out");
  workers_ = std::make_unique<exec::ZygoteWorkers>(io, STINT_TEST_WORKER, folder_.path());
  workers_->survey([](const exec::Survey&) {});
  exec::PoolOptions options;
  options.hello.epoch = 1;
  options.hello.instance = "pool-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
  options.hello.socket_path = folder_.path() / "stint.sock";
  options.hello.out_dir = folder_.path() / "out";
  executor_ = std::make_unique<exec::PoolExecutor>(io, *workers_, observer, options);
  PoolSpec pool;
  pool.name = "shell";
  pool.command = {"/bin/sh", "-c", worker_script};
  pool.size = 6;
  executor_->define(std::make_shared<const PoolSpec>(std::move(pool)));
}

JobSpec PoolSubject::says(const std::string& text) const { return message(text); }
std::string PoolSubject::said(const EndReport& end) const {
  const json::Raw* result = result_of(end);
  return result == nullptr ? "(it failed)" : item_text(*result);
}
JobSpec PoolSubject::fails() const { return message("fail"); }
JobSpec PoolSubject::sleeps(double seconds) const { return message("sleep " + std::to_string(seconds)); }
JobSpec PoolSubject::ignores_stop(double seconds) const { return message("ignore " + std::to_string(seconds)); }
JobSpec PoolSubject::produces(std::size_t bytes) const { return message("big " + std::to_string(bytes)); }
std::size_t PoolSubject::produced(const EndReport& end) const {
  const json::Raw* result = result_of(end);
  return result == nullptr ? 0 : result->text.size() - 2;
}
std::optional<JobSpec> PoolSubject::crashes() const { return message("crash"); }
std::optional<JobSpec> PoolSubject::reports() const { return message("report"); }

std::vector<SubjectMaker> pool_subjects() {
  return {{"pool",
           [](boost::asio::io_context& io, exec::Observer& observer) { return std::make_unique<PoolSubject>(io, observer); }}};
}

}  // namespace stint::test
