#include "daemon/exec/executor.hpp"

namespace stint::exec {
namespace {

Error not_a_program() { return {ErrorKind::conflict, "the job is no program of its own: it has no signals, input or output"}; }

}  // namespace

void Executor::signal(JobId, Attempt, int, DoneCallback done) { done(not_a_program()); }
void Executor::write_input(JobId, Attempt, InputPiece, DoneCallback done) { done(not_a_program()); }
void Executor::read_output(OutputQuery, OutputCallback done) { done(not_a_program(), {}); }

}  // namespace stint::exec
