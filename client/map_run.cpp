#include "client/map_run.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "client/item_template.hpp"
#include "client/record.hpp"
#include "client/terminal.hpp"
#include "common/protocol.hpp"

namespace stint::cli {
namespace {

// A line above 256 KiB is decoded off the daemon's I/O thread, which costs it a turn.
constexpr std::size_t items_bytes_max = 128U << 10U;
constexpr std::uint64_t batch_items_max = 5'000;
constexpr std::size_t item_width_max = 200;

}  // namespace

MapRun::MapRun(Connection connection, MapPlan plan, Items items)
    : session_(std::move(connection), exit_code::not_finished, interrupts_),
      plan_(std::move(plan)),
      spec_json_(json::encode_text(plan_.spec)),
      items_(std::move(items)),
      renderer_(plan_.form, result_columns(), Renderer::Pace::live, false),
      output_(session_.connection.path(), plan_.quiet, exit_code::not_finished, interrupts_, [this] { handle_signals(); }),
      progress_(plan_.progress && !plan_.quiet) {}

int MapRun::run() {
  while (!done()) {
    try {
      submit_some();
      if (!stream_open_ && outstanding_ > 0) open_results();
      if (draining_ && outstanding_ == 0 && ready_.empty()) {
        throw Failure(exit_code::try_again, "the daemon is draining and takes no new work; items from " +
                                                std::to_string(in_flight_->index + 1) + " on have not run");
      }
      wait_for_news();
      handle_signals();
      hand_out();
    } catch (const ConnectionLost&) {
      recover();
    }
  }
  if (plan_.form.chosen()) renderer_.finish();
  progress_.hide();
  return result_code();
}

bool MapRun::done() const {
  return items_.exhausted() && !in_flight_ && outstanding_ == 0 && ready_.empty() && by_index_.empty() && strays_.empty();
}

void MapRun::wait_for_news() {
  progress_.set({done_count_, failed_count_, items_.seen(), items_.complete()});
  progress_.tick();
  std::array<pollfd, 2> others{pollfd{interrupts_.fd(), POLLIN, 0}, pollfd{items_.wants(), POLLIN, 0}};
  session_.connection.pump(others, ready_.empty() ? progress_.due_ms() : 0);
  if (others[1].revents != 0) items_.read_some();
}

void MapRun::submit_some() {
  if (in_flight_ || !items_.has_next() || outstanding_ >= plan_.window) return;
  Batch batch{next_index_, 0};
  std::string params = R"({"group":)";
  json::append_string(params, plan_.group);
  if (plan_.spec.command) {
    params += R"(,"marker":)";
    json::append_string(params, plan_.marker);
  }
  params += R"(,"template":)" + spec_json_ + R"(,"items":[)";
  const std::size_t begin = params.size();
  const std::uint64_t room = std::min(plan_.window - outstanding_, batch_items_max);
  while (batch.count < room && items_.has_next() && params.size() - begin < items_bytes_max) {
    if (batch.count > 0) params += ',';
    params += item_json(items_.take(), !plan_.spec.is_program(), plan_.args, plan_.marker).text;
    ++batch.count;
  }
  params += "]}";
  next_index_ += batch.count;
  in_flight_ = batch;
  submission_.emplace(std::move(params), keys_ && plan_.spec.durable);
  send_batch();
}

void MapRun::send_batch() {
  draining_ = false;
  session_.connection.request(
      submission_->method(), submission_->params(), [this](const Json& answer) { on_submitted(answer); },
      [this](const RpcError& error) { on_refused(error); });
}

void MapRun::on_refused(const RpcError& error) {
  if (submission_->drop_key(error)) {
    keys_ = false;
    send_batch();
  } else if (error.kind() == "draining") {
    // It may be on its way down, and another one takes it then.
    draining_ = true;
  } else {
    throw error;
  }
}

void MapRun::on_submitted(const Json& answer) {
  const JobId first = answer.at("first").get<JobId>();
  outstanding_ += in_flight_->count;
  batches_.emplace(first, *in_flight_);
  in_flight_.reset();
  place_strays();
}

void MapRun::open_results() {
  protocol::ResultsRequest request;
  request.group = plan_.group;
  request.since = since_;
  request.output = !plan_.form.chosen() || plan_.form.format;
  stream_open_ = true;
  session_.connection.open_stream(
      "job.results", json::encode_text(request),
      {[this](Json record) { take_in(std::move(record)); }, [this](const Json& end) { on_stream_end(text_at(end, "reason")); }},
      [this](const RpcError& error) {
        // A daemon on its way down; the loss of the connection tells the rest.
        if (error.kind() == "draining") return;
        if (error.kind() == "not_found" && session_.restarted()) lose_jobs();
        throw error;
      });
}

void MapRun::on_stream_end(const std::string& reason) {
  if (reason == "draining") return;
  // It ends whenever nothing of the group is unfinished; more may be on its way.
  stream_open_ = false;
  if (session_.restarted() && (!in_flight_ || draining_) && outstanding_ > 0) lose_jobs();
}

void MapRun::lose_jobs() const {
  throw Failure(exit_code::not_finished, std::to_string(outstanding_) + " jobs of group " + plan_.group +
                                             " did not survive the restart of the daemon: what is not durable ends with it");
}

std::optional<std::uint64_t> MapRun::index_of(JobId id) const {
  const auto after = batches_.upper_bound(id);
  if (after == batches_.begin()) return std::nullopt;
  const auto& [first, batch] = *std::prev(after);
  if (id - first >= batch.count) return std::nullopt;
  return batch.index + (id - first);
}

void MapRun::take_in(Json record) {
  since_ = std::max(since_, number_at(record, "seq"));
  const auto index = index_of(number_at(record, "id"));
  if (!index) {
    // Answers may cross: its submit has not been answered, or it joined the group from elsewhere.
    if (in_flight_) strays_.push_back(std::move(record));
    return;
  }
  --outstanding_;
  ++done_count_;
  if (exit_code_of(record) != exit_code::success) on_failed(record);
  if (!plan_.keep_order) {
    ready_.push_back(std::move(record));
    return;
  }
  by_index_.emplace(*index, std::move(record));
  for (auto first = by_index_.begin(); first != by_index_.end() && first->first == next_out_; first = by_index_.begin()) {
    ready_.push_back(std::move(first->second));
    by_index_.erase(first);
    ++next_out_;
  }
}

void MapRun::place_strays() {
  for (auto& record : std::exchange(strays_, {})) take_in(std::move(record));
}

void MapRun::on_failed(const Json& record) {
  ++failed_count_;
  if (cancelled_) return;
  if (!first_failure_) first_failure_ = exit_code_of(record);
  if (plan_.fail_fast) cancel_all();
}

void MapRun::hand_out() {
  while (!ready_.empty()) {
    const Json record = std::move(ready_.front());
    ready_.pop_front();
    print_record(record);
    handle_signals();
  }
}

void MapRun::print_record(const Json& record) {
  if (is_terminal(STDOUT_FILENO) || is_terminal(STDERR_FILENO)) progress_.hide();
  if (plan_.form.chosen()) {
    renderer_.add(record);
    return;
  }
  if (output_.print(record) == Written::reader_gone) {
    // Nobody wants the rest.
    cancel_all();
    session_.connection.flush();
    throw Failure(exit_code::signalled + SIGPIPE, "the reader of the results has gone");
  }
  const bool unwanted = cancelled_ && text_at(record, "outcome") == "cancelled";
  if (exit_code_of(record) == exit_code::success || plan_.quiet || unwanted) return;
  note("job " + text_at(record, "id") + ", item " + printable(shortened(text_at(record, "item"), item_width_max)) + ": " +
       ending_of(record));
}

void MapRun::cancel_all() {
  if (cancelled_) return;
  cancelled_ = true;
  items_.stop();
  if (std::exchange(draining_, false)) in_flight_.reset();  // the daemon has not taken it
  std::string params = R"({"group":)";
  json::append_string(params, plan_.group);
  session_.connection.request("job.cancel", params + "}", {}, [](const RpcError&) {});
}

void MapRun::handle_signals() {
  while (const auto signal = interrupts_.take()) {
    interrupted_ = true;
    if (*signal == SIGINT && interrupts_.is_second()) {
      session_.connection.flush();
      progress_.hide();
      throw Failure(exit_code::not_finished,
                    "left; what still runs is in the group " + plan_.group + ": stint list --group " + plan_.group);
    }
    cancel_all();
  }
  session_.connection.flush();
}

void MapRun::recover() {
  progress_.hide();
  // Once something of it is with a daemon, that daemon's end is somebody's decision.
  const bool nothing_taken = in_flight_ && !draining_ && batches_.empty();
  session_.recover(nothing_taken ? Purpose::submit : Purpose::wait);
  stream_open_ = false;
  if (!in_flight_) return;
  if (draining_ || submission_->keyed()) {
    send_batch();
  } else {
    look_for_batch();
  }
}

void MapRun::look_for_batch() {
  // Was the last batch taken before the connection broke? Ids grow: it is what lies above all that is known.
  const JobId above = batches_.empty() ? 0 : batches_.rbegin()->first + batches_.rbegin()->second.count - 1;
  protocol::ListRequest request;
  request.group = plan_.group;
  request.since_id = above;
  Json page;
  do {
    page = session_.resuming([&](Connection& connection) { return connection.call("job.list", json::encode_text(request)); });
    request.since_id = number_at(page, "next");
  } while (page.at("jobs").empty() && request.since_id != 0);
  if (page.at("jobs").empty()) {
    throw Failure(exit_code::not_finished, "the connection broke while " + std::to_string(in_flight_->count) +
                                               " jobs were handed over, and the daemon did not get them; items from " +
                                               std::to_string(in_flight_->index + 1) + " on have not run");
  }
  on_submitted({{"first", page.at("jobs").front().at("id")}});
}

int MapRun::result_code() const {
  if (interrupted_) return exit_code::not_finished;
  if (plan_.fail_fast && first_failure_) return *first_failure_;
  return failed_count_ == 0 ? exit_code::success : exit_code::some_failed;
}

}  // namespace stint::cli
