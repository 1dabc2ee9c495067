// Starts the zygote, the only process that the daemon itself starts (but for the probes of plug-ins before it serves), through
// Boost.Process v2.
//
// To be called before the daemon has threads; later only to replace a zygote that was killed. The child inherits one
// end of a socket pair and nothing else (it closes the rest). Throws Error `unavailable` that names what is missing.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "common/unique_fd.hpp"

namespace stint::exec {

class Zygote {
 public:
  /// `open_files`: what the child has as RLIMIT_NOFILE, and by it the programs of jobs.
  Zygote(boost::asio::io_context& io, const std::string& program, const std::string& state_dir, const rlimit& open_files);
  ~Zygote();  ///< kills it if it still runs, and reaps it
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;

  [[nodiscard]] pid_t pid() const;
  /// Readable when it has ended.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  /// Our end, SOCK_SEQPACKET.
  [[nodiscard]] UniqueFd take_control() { return std::move(control_); }

 private:
  struct Process;
  std::unique_ptr<Process> process_;
  UniqueFd pidfd_;
  UniqueFd control_;
};

}  // namespace stint::exec
