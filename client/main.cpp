// stint: the command line client. Turns failures into messages and exit codes; everything else is in the verbs.

#include <csignal>
#include <new>
#include <string>
#include <vector>

#include "client/failure.hpp"
#include "client/terminal.hpp"
#include "client/verb.hpp"
#include "common/error.hpp"

int main(int argc, char** argv) {
  using namespace stint::cli;
  try {
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    return run_command_line(arguments);
  } catch (const Failure& failure) {
    if (failure.code() != exit_code::signalled + SIGPIPE) note(failure.what());
    return failure.code();
  } catch (const ConnectionLost& lost) {
    note(lost.what());
    return exit_code::no_daemon;
  } catch (const stint::Error& error) {
    note(error.message());
    return exit_code::bad_job;
  } catch (const std::exception& error) {
    note(std::string("internal error: ") + error.what());
    return exit_code::not_finished;
  }
}
