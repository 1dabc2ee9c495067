#include "daemon/worker/runner.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <exception>
#include <list>
#include <map>
#include <system_error>
#include <thread>
#include <utility>

#include "common/open_files_limit.hpp"
#include "common/packet_link.hpp"
#include "daemon/worker/environment.hpp"
#include "daemon/worker/pools.hpp"
#include "daemon/worker/process_setup.hpp"
#include "daemon/worker/program.hpp"
#include "daemon/worker/spawned_programs.hpp"
#include "daemon/worker/unrecorded_ends.hpp"
#include "daemon/worker/worker_folder.hpp"

namespace stint::worker {
namespace {

using namespace std::chrono_literals;

/// How soon it is tried again to begin what waits, where the disk has no room to note it.
constexpr Clock::duration room_pause = 100ms;

/// How long ends may wait to be told together, while there is more to run here: each message wakes the daemon and costs a
/// commit there.
constexpr Clock::duration report_delay = 10ms;

/// Connections that have not said who they are. One more pushes out the oldest.
constexpr std::size_t callers_max = 8;

class Runner final : public PoolHost {
 public:
  Runner(WorkerPlace place, Adopter& adopter);
  void run();

  EventLoop& loop() override { return loop_; }
  const Hello& hello() override { return hello_; }
  void write_slot(std::size_t slot, const SlotRecord& record) override;
  void want_scan(Clock::duration delay) override;
  bool orphans_alive() override { return adopter_.orphans_alive(); }
  std::uint64_t orphans_ended() override { return adopter_.ended() + orphans_ended_; }
  void send(const RunStarted& frame) override { report(frame); }
  void send(const RunStopping& frame) override { post(frame); }
  void send(const Done& frame) override { post(frame); }
  void send(const Piece& frame) override { post(frame); }
  void secure(const Begin& order, RunEnded& ended) override { unrecorded_.secure(order, ended); }
  void on_program_ended(Program& program, RunEnded ended) override;

  Program* launch(ProgramHost& owner, Begin order, std::size_t slot, WorkerPipes& pipes) override;
  void retire(Program& program) override;
  std::optional<std::size_t> take_slot() override { return slots_.take(); }
  void free_slot(std::size_t slot) override;
  void send(const RunReturned& frame) override { post(frame); }
  void send(const PoolAnswered& frame) override { post(frame); }
  void send(const PoolProgress& frame) override { post(frame); }

 private:
  /// Somebody who has connected: the daemon, or one that has yet to say so.
  struct Peer {
    PacketLink link;
    std::unique_ptr<Watch> watch;
  };

  void on_connect();
  void on_peer(Peer& peer, std::uint32_t events);
  void on_frame(Peer& peer, const FrameView& frame);
  void on_hello(Peer& peer, const FrameView& frame);
  void drop(Peer& peer);
  template <class Frame>
  void post(const Frame& frame) {
    report(frame);
    reports_wait_ = false;
  }
  /// Posts what may wait for company.
  template <class Frame>
  void report(const Frame& frame) {
    if (daemon_ != nullptr) daemon_->link.post(frame);
  }
  void on_begin(Begin order);
  /// Takes it out of those that wait for a slot; false where it does not wait (any more).
  bool give_back(const Run& run);
  void on_recorded(const Run& run);
  void begin_waiting();
  Program& begin(ProgramHost& owner, Begin order, std::size_t slot, WorkerPipes* pipes = nullptr);
  void on_child_signal();
  void scan();
  void end_of_turn();
  void flush();
  /// What is to be told are starts and ends only, and the daemon need not hear of them yet.
  [[nodiscard]] bool may_wait();
  /// The daemon is gone, or only the connection: the same one may come back, and is told how all has ended.
  void go_on_alone();
  /// Nobody is served and nothing is left to do or to keep.
  [[nodiscard]] bool is_over() const;
  Program* find(const Run& run);
  template <class Question>
  void refuse_unknown(const Question& question);

  WorkerPlace place_;
  Adopter& adopter_;
  EventLoop loop_;
  UserBasics basics_ = user_basics();
  UniqueFd null_;
  rlimit open_files_{};
  std::array<char, 16> boot_ = boot_id();
  SlotFile slots_;
  Hello hello_;
  std::list<Peer> peers_;
  Peer* daemon_ = nullptr;     // of the peers; null without one
  bool given_up_ = false;      // no daemon has ever come, and none will
  std::deque<Begin> waiting_;  // for a slot
  std::uint32_t free_slots_ = 0;
  std::map<Run, std::unique_ptr<Program>> programs_;
  UnrecordedEnds unrecorded_{loop_, slots_, hello_};
  SpawnedPrograms spawned_{loop_, [this](const Run& run) { return find(run); }};
  Timer room_timer_{loop_, [this] { begin_waiting(); }};
  bool reports_wait_ = true;  // of what is unsent, all may
  std::size_t ends_unsent_ = 0;
  Timer report_timer_{loop_, [this] { reports_wait_ = false; }};
  std::vector<Program*> ended_;  // to be destroyed at the end of the turn
  Pools pools_{*this, boot_};
  std::uint64_t orphans_ended_ = 0;  // and reaped by this thread
  UniqueFd child_signals_;
  Timer scan_timer_{loop_, [this] { scan(); }};
  Clock::time_point scan_due_{};
  std::unique_ptr<Watch> child_watch_;
  std::unique_ptr<Watch> listen_watch_;
  std::unique_ptr<Watch> parent_watch_;  // until the first daemon comes
};

UniqueFd open_null() {
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) throw std::system_error(errno, std::generic_category(), "/dev/null");
  return null;
}

Runner::Runner(WorkerPlace place, Adopter& adopter)
    : place_(std::move(place)),
      adopter_(adopter),
      null_(open_null()),
      open_files_(raise_open_files_limit()),
      slots_(place_.folder + "/slots"),
      child_signals_(child_signal_fd()) {
  child_watch_ = std::make_unique<Watch>(loop_, child_signals_.get(), EPOLLIN, [this](std::uint32_t) { on_child_signal(); });
  listen_watch_ = std::make_unique<Watch>(loop_, place_.listener.get(), EPOLLIN, [this](std::uint32_t) { on_connect(); });
  parent_watch_ = std::make_unique<Watch>(loop_, place_.parent.get(), EPOLLIN, [this](std::uint32_t) { given_up_ = true; });
}

void Runner::run() {
  loop_.run([this] { end_of_turn(); });
}

void Runner::on_connect() {
  UniqueFd socket(::accept4(place_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  ucred caller{};
  socklen_t size = sizeof caller;
  const bool known = ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &caller, &size) == 0;
  if (!known || (caller.uid != 0 && caller.uid != ::geteuid())) return;
  if (peers_.size() >= callers_max) {
    drop(*std::find_if(peers_.begin(), peers_.end(), [this](const Peer& peer) { return &peer != daemon_; }));
  }
  Peer& peer = peers_.emplace_back();
  peer.link = PacketLink(std::move(socket));
  peer.watch =
      std::make_unique<Watch>(loop_, peer.link.fd(), EPOLLIN, [this, &peer](std::uint32_t events) { on_peer(peer, events); });
}

void Runner::on_peer(Peer& peer, std::uint32_t events) {
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  try {
    const auto received = peer.link.receive([this, &peer](const FrameView& frame) { on_frame(peer, frame); });
    if (received == PacketLink::Receive::closed) drop(peer);
  } catch (const Error&) {
    drop(peer);  // it speaks another language: as good as gone
  }
}

/// It stays in the list until the end of the turn, for it may be what is being read.
void Runner::drop(Peer& peer) {
  if (!peer.watch) return;
  peer.watch.reset();
  peer.link.close();
  if (&peer == daemon_) {
    daemon_ = nullptr;
    go_on_alone();
  } else if (hello_.epoch == 0) {
    given_up_ = true;
  }
}

void Runner::on_frame(Peer& peer, const FrameView& frame) {
  if (&peer != daemon_) return on_hello(peer, frame);
  switch (frame.kind) {
    case FrameKind::begin: return on_begin(decode<Begin>(frame));
    case FrameKind::stop: {
      const auto stop = decode<StopRun>(frame);
      if (Program* program = find(stop.run)) {
        program->stop(stop.force);
      } else if (!pools_.stop(stop.run, stop.force)) {
        give_back(stop.run);
      }
      return;
    }
    case FrameKind::grant: free_slots_ += decode<Grant>(frame).slots; return;
    case FrameKind::recall: {
      const Run run = decode<RecallRun>(frame).run;
      if (!pools_.recall(run)) give_back(run);
      return;
    }
    case FrameKind::recorded: {
      const Run run = decode<RunRecorded>(frame).run;
      if (!pools_.recorded(run)) on_recorded(run);
      return;
    }
    case FrameKind::set_pool: return pools_.set(decode<SetPool>(frame));
    case FrameKind::drop_pool: return pools_.drop(decode<DropPool>(frame).number);
    case FrameKind::message: return pools_.take(decode<PoolMessage>(frame));
    case FrameKind::signal: {
      const auto question = decode<SignalRun>(frame);
      Program* program = find(question.run);
      return program != nullptr ? program->signal(question) : refuse_unknown(question);
    }
    case FrameKind::input: {
      auto question = decode<FeedInput>(frame);
      Program* program = find(question.run);
      return program != nullptr ? program->feed(std::move(question)) : refuse_unknown(question);
    }
    case FrameKind::read_output: {
      const auto question = decode<ReadOutput>(frame);
      Program* program = find(question.run);
      return program != nullptr ? program->read(question) : refuse_unknown(question);
    }
    default: throw Decoder::malformed();
  }
}

void Runner::on_hello(Peer& peer, const FrameView& frame) {
  if (frame.kind != FrameKind::hello) throw Decoder::malformed();
  auto hello = decode<Hello>(frame);
  // The same daemon may come back when its connection is gone.
  const bool same = hello.epoch == hello_.epoch && hello.epoch != 0 && daemon_ == nullptr;
  if (hello.epoch <= hello_.epoch && !same) return drop(peer);
  if (daemon_ != nullptr) drop(*daemon_);
  // This ends with the last of their workers: that end and the slot file tell the next daemon what had begun.
  if (pools_.abandoned()) return;
  if (hello_.epoch == 0) {
    note_instance(place_.folder, hello.instance);
  } else {
    hello.instance = hello_.instance;
  }
  hello_ = std::move(hello);
  daemon_ = &peer;
  parent_watch_.reset();
  place_.parent.reset();
  unrecorded_.daemon_came();
  free_slots_ = 0;
  peer.link.set_epoch(hello_.epoch);
  for (const auto& [run, program] : programs_) program->introduce();
  unrecorded_.each([this](const RunEnded& ended) { post(ended); });
  post(Welcome{::getpid(), runner_revision});
}

void Runner::on_begin(Begin order) {
  if (programs_.contains(order.run) || unrecorded_.contains(order.run)) throw Decoder::malformed();
  if (order.with_slot) ++free_slots_;
  waiting_.push_back(std::move(order));
  begin_waiting();  // at once: the next frame may be about it
}

bool Runner::give_back(const Run& run) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const Begin& order) { return order.run == run; });
  if (found == waiting_.end()) return false;
  waiting_.erase(found);
  post(RunReturned{run});
  return true;
}

void Runner::on_recorded(const Run& run) {
  if (const auto slot = unrecorded_.take(run)) slots_.give_back(*slot);
}

void Runner::begin_waiting() {
  for (; free_slots_ > 0 && !waiting_.empty(); --free_slots_) {
    const auto slot = slots_.take();
    if (!slot) return room_timer_.arm_in(room_pause);
    Begin order = std::move(waiting_.front());
    waiting_.pop_front();
    begin(*this, std::move(order), *slot);
  }
}

/// `pipes`: what they carry is not the program's output but somebody else's business.
Program& Runner::begin(ProgramHost& owner, Begin order, std::size_t slot, WorkerPipes* pipes) {
  SpawnPlan plan;
  plan.argv = std::move(order.argv);
  plan.env = make_environment(basics_, hello_, order);
  plan.search_path = search_path(basics_, order);
  plan.cwd_given = order.cwd.has_value();
  plan.cwd = order.cwd.value_or(basics_.home);
  plan.umask = order.umask;
  plan.input = order.input;
  if (order.input == InputKind::file) plan.input_path = order.input_data;
  plan.out = order.out;
  plan.err = order.err;
  plan.open_files = open_files_;
  plan.null_fd = null_.get();

  const Run run = order.run;
  if (pipes != nullptr) order.out.output = order.err.output = OutputKind::null;
  Program& program = *programs_.emplace(run, std::make_unique<Program>(owner, std::move(order), slot, boot_)).first->second;
  program.begin();
  SpawnResult result = spawned_.spawn(program, std::move(plan));
  if (pipes != nullptr) *pipes = {std::move(result.input), std::move(result.out), std::move(result.err)};
  program.on_spawned(std::move(result));
  return program;
}

Program* Runner::launch(ProgramHost& owner, Begin order, std::size_t slot, WorkerPipes& pipes) {
  return &begin(owner, std::move(order), slot, &pipes);
}

void Runner::retire(Program& program) {
  ended_.push_back(&program);
  free_slot(program.slot());
}

void Runner::free_slot(std::size_t slot) {
  write_slot(slot, SlotRecord{});
  slots_.give_back(slot);
}

void Runner::on_child_signal() {
  std::array<signalfd_siginfo, 16> infos{};
  while (::read(child_signals_.get(), infos.data(), sizeof infos) == sizeof infos) {
  }
  orphans_ended_ += spawned_.reap();
  if (scan_timer_.is_armed() && !orphans_alive()) {
    for (const auto& [run, program] : programs_) program->on_no_orphans();
  }
}

void Runner::on_program_ended(Program& program, RunEnded ended) {
  ended_.push_back(&program);
  ++free_slots_;
  ++ends_unsent_;
  report(ended);
  const Begin& order = program.order();
  unrecorded_.add(program.slot(), order, std::move(ended));
}

void Runner::write_slot(std::size_t slot, const SlotRecord& record) {
  // The room for it is there. A disk that fails makes a later take-over less exact; the programs themselves go on.
  static_cast<void>(slots_.write(slot, record));
}

void Runner::want_scan(Clock::duration delay) {
  const auto due = Clock::now() + delay;
  if (scan_timer_.is_armed() && scan_due_ <= due) return;
  scan_due_ = due;
  scan_timer_.arm(due);
}

void Runner::scan() {
  std::vector<Program*> wanting;
  std::vector<TreeMarks> wanted;
  std::vector<TreeMarks> others;
  if (!orphans_alive()) {
    for (const auto& [run, program] : programs_) program->on_no_orphans();
  }
  for (const auto& [run, program] : programs_) {
    if (program->wants_scan()) {
      wanting.push_back(program.get());
      wanted.push_back(program->marks());
    } else if (program->pid() != 0) {
      others.push_back(program->marks());
    }
  }
  if (wanting.empty()) return;
  const auto found = find_trees(wanted, others, Reach::adopted);
  for (std::size_t i = 0; i < wanting.size(); ++i) wanting[i]->on_scan(found[i]);
}

void Runner::end_of_turn() {
  for (Program* program : ended_) {
    spawned_.forget(*program);
    programs_.erase(program->run());
  }
  ended_.clear();
  pools_.end_of_turn();
  begin_waiting();
  if (daemon_ != nullptr && free_slots_ > 0 && waiting_.empty()) post(SlotsFree{std::exchange(free_slots_, 0)});
  flush();
  if (daemon_ == nullptr || peers_.size() > 1) std::erase_if(peers_, [](const Peer& peer) { return !peer.watch; });
  if (is_over()) loop_.stop();
}

void Runner::flush() {
  if (daemon_ == nullptr || !daemon_->link.has_unsent() || may_wait()) return;
  reports_wait_ = true;
  ends_unsent_ = 0;
  report_timer_.cancel();
  switch (daemon_->link.flush()) {
    case PacketLink::Flush::done: return daemon_->watch->set_events(EPOLLIN);
    case PacketLink::Flush::blocked: return daemon_->watch->set_events(EPOLLIN | EPOLLOUT);
    case PacketLink::Flush::broken: return drop(*daemon_);
  }
}

// The daemon has to hear of ends early enough to send more: when half of what was here has ended.
bool Runner::may_wait() {
  if (!reports_wait_ || ends_unsent_ >= waiting_.size()) return false;
  if (!report_timer_.is_armed()) report_timer_.arm_in(report_delay);
  return true;
}

void Runner::go_on_alone() {
  waiting_.clear();  // the next daemon learns that they never began: nobody tells it of them
  free_slots_ = 0;
  pools_.abandon();
  for (const auto& [run, program] : programs_) {
    program->forget_askers();
    if (!program->order().durable) program->stop(true);
  }
  unrecorded_.daemon_gone();
}

bool Runner::is_over() const {
  if (daemon_ != nullptr) return false;
  if (hello_.epoch == 0) return given_up_;
  return programs_.empty() && !unrecorded_.is_trying();
}

Program* Runner::find(const Run& run) {
  const auto found = programs_.find(run);
  return found == programs_.end() ? nullptr : found->second.get();
}

template <class Question>
void Runner::refuse_unknown(const Question& question) {
  post(Done{question.question, Refusal{ErrorKind::not_found, "the job does not run here (any more)"}});
}

}  // namespace

int runner_main(WorkerPlace place) {
  become_subreaper();
  reset_signals({SIGCHLD});
  ::umask(0);  // modes are given where files are made; each program has its own mask
  ::prctl(PR_SET_NAME, "stint-runner");
  Adopter adopter;
  int code = 0;
  // All that a runner does, but for adopting, is done on this thread; the first one has nothing but the orphans.
  std::thread loop([&] {
    const std::string folder = place.folder;
    try {
      Runner(std::move(place), adopter).run();
    } catch (const std::exception& error) {
      say("runner " + folder + ": " + error.what());
      code = 1;
    }
    adopter.stop();
  });
  adopter.serve();
  loop.join();
  return code;
}

}  // namespace stint::worker
