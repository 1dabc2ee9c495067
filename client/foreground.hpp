// A job in the foreground: its output to our descriptors as it comes, our standard input to it, signals handed on.
//
// One poll loop over the socket, standard input and signals. The next chunk of input is read when the last one was
// taken. Main thread. Throws Failure: 125 where the user leaves the job, or its daemon is gone.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "client/interrupts.hpp"
#include "client/session.hpp"
#include "common/job.hpp"

namespace stint::cli {

class Foreground {
 public:
  Foreground(Connection connection, bool quiet);

  /// Submits, follows to the end, and returns the exit code.
  int run(const JobSpec& spec);
  /// Follows a job that somebody else has submitted, from `attempt` on (0: the newest); `streams` as in --stdout and --stderr.
  /// Returns its exit code.
  int follow(JobId id, stint::Attempt attempt, std::array<bool, 2> streams, std::uint64_t offset);

 private:
  struct Stream {
    stint::Attempt attempt = 0;  // 0: the newest when it is opened
    std::uint64_t offset = 0;
    bool wanted = false;
    bool ended = true;
    bool reader_gone = false;
  };

  std::optional<int> submit(const JobSpec& spec);
  int follow_to_end();
  void recover();
  void open_streams();
  void ask_for_end();
  [[noreturn]] void refuse(const RpcError& error) const;
  void on_chunk(StreamName name, const nlohmann::json& chunk);
  void read_input();
  void send_input(std::string bytes, bool end);
  /// `again`: it may have come already.
  void post_input(bool again);
  void handle_signals();
  void handle_signal(int signal);
  void on_interrupt();
  void cancel();
  [[noreturn]] void detach();
  [[nodiscard]] bool done() const;
  int report();

  Interrupts interrupts_;
  Session session_;
  bool quiet_;
  bool owner_ = false;  // we have submitted it: signals are for the job
  bool task_ = false;
  JobId id_ = 0;
  std::array<Stream, 2> streams_;
  bool input_open_ = false;
  std::optional<InputPiece> unanswered_input_;
  std::uint64_t input_offset_ = 0;  // of that piece, or of the next
  bool input_cut_ = false;          // the job may have got less than there was
  std::optional<nlohmann::json> record_;
};

}  // namespace stint::cli
