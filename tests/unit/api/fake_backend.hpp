// A Backend on the House: jobs run only when the test finishes them; output and input are scripted by the test.
#pragma once

#include <nlohmann/json.hpp>

#include "daemon/api/dispatch.hpp"
#include "daemon/feed/exchange.hpp"
#include "tests/unit/feed/house.hpp"

namespace stint::fakes {

class FakeBackend final : public api::Backend, public feed::Ledger {
 public:
  [[nodiscard]] const core::Scheduler& scheduler() const override { return house.scheduler; }
  [[nodiscard]] db::Store& store() override { return house.store; }
  [[nodiscard]] feed::Feed& feed() override { return house.feed; }
  [[nodiscard]] feed::Exchange& exchange() override { return rooms; }
  [[nodiscard]] const TaskRegistry& tasks() const override { return registry; }
  void step(const std::function<void(core::Step&)>& work) override {
    {
      core::Step step = house.scheduler.step(house.now, house.effects);
      work(step);
    }
    house.perform();
  }
  [[nodiscard]] core::PersistNumber newest() const override { return house.scheduler.newest_persist(); }
  [[nodiscard]] nlohmann::json info() const override { return {{"instance", "here"}}; }
  [[nodiscard]] nlohmann::json stats() const override { return nlohmann::json::object(); }
  void when_durable(core::PersistNumber number, std::function<void(std::optional<Error>)> done) override {
    if (number <= house.durable) return done(std::nullopt);
    waiting.emplace_back(number, std::move(done));
  }
  void when_seen(core::PersistNumber number, std::function<void(bool)> done) override {
    when_durable(number, [done = std::move(done)](const std::optional<Error>& refused) { done(!refused); });
  }
  api::Submitted submit(std::vector<NewJob> jobs, std::shared_ptr<const core::User> user, std::string_view,
                        std::optional<core::SubmitKey> key, std::optional<JobId> parent) override {
    std::vector<core::Submission> all;
    const bool durable = jobs.front().spec->durable;
    for (auto& job : jobs)
      all.push_back({std::move(job.spec), std::move(job.item), job.index, ExecutorKind::coroutine, core::Lane::coroutine});
    const JobId first =
        house.scheduler.on_submit(std::move(all), std::move(user), parent, house.now, house.effects, std::move(key));
    house.perform();
    if (finish_at_once) house.finish(first);
    return {first, durable ? house.scheduler.newest_persist() : 0};
  }
  core::CancelResult cancel(std::span<const JobId> ids, bool force) override {
    auto result = house.scheduler.on_cancel(ids, force, house.now, house.effects);
    house.perform();
    return result;
  }
  core::CancelResult cancel_group(std::string_view group, bool force) override {
    auto result = house.scheduler.on_cancel_group(group, force, house.now, house.effects);
    house.perform();
    return result;
  }
  core::PersistNumber forget(std::vector<JobId> ids) override {
    const auto number = house.scheduler.on_forget(std::move(ids), house.effects);
    house.perform();
    return number;
  }
  void lend(JobId, Attempt, bool) override {}
  void progress(JobId, Attempt, double, std::string) override {}
  core::Changed set_semaphore(const std::string&, std::uint64_t) override { return {}; }
  void acquire(core::Acquire, std::optional<Duration>, AcquireDone done) override { done(std::nullopt, 1); }
  core::PersistNumber release_lease(core::LeaseId, core::Holder) override { return 0; }
  core::PersistNumber resume_lease(core::LeaseId, core::Holder) override { return 0; }
  void begin_wait(core::JobWait) override {}
  void end_wait(std::uint64_t) override {}
  void connection_gone(std::uint64_t) override {}
  void signal(JobId, int number, std::function<void(std::optional<Error>)> done) override {
    signalled = number;
    done(std::nullopt);
  }
  void write_input(JobId, InputPiece piece, std::function<void(std::optional<Error>)> done) override {
    input += piece.bytes;
    done(std::nullopt);
  }
  void read_output(OutputQuestion question, std::function<void(std::optional<Error>, api::OutputPiece)> done) override {
    if (!question.wait) {
      api::OutputPiece piece;
      piece.bytes = output.substr(std::min<std::size_t>(question.offset, output.size()), question.limit);
      piece.offset = question.offset;
      piece.next = question.offset + piece.bytes.size();
      piece.end = piece.next == output.size();
      return done(std::nullopt, std::move(piece));
    }
    questions.emplace_back(question, std::move(done));
  }
  core::PersistNumber set_pool(PoolSpec spec, std::shared_ptr<const core::User> user) override {
    house.scheduler.on_pool_set(std::make_shared<const PoolSpec>(std::move(spec)), std::move(user), house.now, house.effects);
    house.perform();
    return house.scheduler.newest_persist();
  }
  core::PersistNumber remove_pool(const std::string& name) override {
    house.scheduler.on_pool_remove(name, house.now, house.effects);
    house.perform();
    return house.scheduler.newest_persist();
  }
  void drain(core::DrainScope scope) override {
    house.scheduler.on_drain(scope, house.now, house.effects);
    house.perform();
  }
  void undrain() override {
    house.scheduler.on_undrain(house.now, house.effects);
    house.perform();
  }
  void shutdown(ShutdownMode mode) override { shut_down = mode; }
  void offload(std::function<void()> work, std::function<void()> done) override {
    house.store.later([work = std::move(work), done = std::move(done)] {
      work();
      done();
    });
  }

  /// The newest Persist is new work for which there is no room.
  void refuse() {
    house.scheduler.on_refused(house.scheduler.newest_persist(), house.now, house.effects);
    rooms.on_refused(house.scheduler.newest_persist());
    house.commit();
    for (const auto& [number, done] : std::exchange(waiting, {})) done(unavailable("the disk is full", "the disk is full"));
  }
  void commit() {
    house.commit();
    const auto due = std::exchange(waiting, {});
    for (const auto& [number, done] : due) done(std::nullopt);
    rooms.on_durable(house.durable);
  }

  House house;
  feed::Exchange rooms{house.feed, *this};
  TaskRegistry registry;
  bool finish_at_once = false;
  std::vector<std::pair<core::PersistNumber, std::function<void(std::optional<Error>)>>> waiting;
  std::vector<std::pair<OutputQuestion, std::function<void(std::optional<Error>, api::OutputPiece)>>> questions;
  std::string output;
  std::string input;
  int signalled = 0;
  std::optional<ShutdownMode> shut_down;
};

/// One connection to a dispatcher, without a socket.
class Peer {
 public:
  explicit Peer(FakeBackend& backend, std::uint32_t uid = 1'000)
      : backend_(backend),
        options_(options()),
        dispatcher_(backend, stats_, options_),
        conversation(std::make_shared<api::Conversation>(std::make_shared<const core::User>(core::User{uid, "me"}), dispatcher_,
                                                         backend.feed())) {}

  void bytes(std::string_view text) {
    const auto space = conversation->space(text.size());
    std::ranges::copy(text, space.begin());
    conversation->received(text.size());
  }
  void say(const std::string& line) { bytes(line + "\n"); }
  /// Sends all that is there and returns the lines.
  std::vector<nlohmann::json> hear(bool settle = true) {
    if (settle) backend_.house.settle();
    conversation->proceed();
    std::string text;
    while (conversation->wants().send) {
      const auto piece = conversation->to_send();
      text += piece;
      conversation->sent(piece.size());
      if (settle) backend_.house.settle();
    }
    std::vector<nlohmann::json> lines;
    std::size_t from = 0;
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', from)) {
      lines.push_back(nlohmann::json::parse(text.substr(from, at - from)));
      from = at + 1;
    }
    return lines;
  }
  /// One request and its only answer.
  nlohmann::json call(const std::string& method, const nlohmann::json& params = nlohmann::json::object()) {
    say(nlohmann::json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}}.dump());
    auto lines = hear();
    return lines.empty() ? nlohmann::json() : lines.front();
  }
  std::string error_kind(const std::string& line) {
    say(line);
    const auto lines = hear();
    return lines.size() == 1 && lines[0].contains("error") ? lines[0]["error"]["data"]["kind"].get<std::string>() : "none";
  }

 private:
  static api::Options options() {
    api::Options out;
    out.daemon_uid = 500;
    return out;
  }

  FakeBackend& backend_;
  api::Stats stats_;
  api::Options options_;
  api::Dispatcher dispatcher_;

 public:
  std::shared_ptr<api::Conversation> conversation;
};

}  // namespace stint::fakes
