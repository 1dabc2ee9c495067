#include "daemon/exec/process_order.hpp"

#include <utility>

#include "common/kept_output.hpp"

namespace stint::exec {
namespace {

using namespace worker;

void put_input(Begin& begin, const StdinSource& source) {
  if (const auto* bytes = std::get_if<StdinSource::Bytes>(&source.source)) {
    begin.input = InputKind::bytes;
    begin.input_data = bytes->bytes;
  } else if (const auto* file = std::get_if<StdinSource::File>(&source.source)) {
    begin.input = InputKind::file;
    begin.input_data = file->path;
  } else if (source.is_stream()) {
    begin.input = InputKind::stream;
  }
}

OutputOrder output_order(const OutputTarget& target) {
  if (const auto* file = std::get_if<OutputTarget::File>(&target.target)) return {OutputKind::file, file->path, file->append};
  if (std::holds_alternative<OutputTarget::Null>(target.target)) return {OutputKind::null, {}, false};
  if (std::holds_alternative<OutputTarget::ToStdout>(target.target)) return {OutputKind::to_stdout, {}, false};
  return {OutputKind::capture, {}, false};
}

std::optional<OutputContent> content_of(std::optional<KeptStream>&& kept) {
  if (!kept) return std::nullopt;
  return OutputContent{{kept->bytes, kept->truncated}, std::move(kept->content), kept->in_file};
}

}  // namespace

Begin make_begin(const Order& order) {
  const JobSpec& spec = *order.spec;
  Begin begin;
  begin.run = {order.id, order.attempt};
  if (spec.shell) {
    begin.argv = {"/bin/sh", "-c", *spec.shell};
  } else if (order.item) {
    begin.argv = expand_command(*spec.command, spec.item_marker, *order.item);
  } else {
    begin.argv = *spec.command;
  }
  begin.env.reserve(spec.env.size());
  for (const auto& [name, value] : spec.env) begin.env.push_back({name, value});
  begin.clean_env = spec.clean_env;
  begin.cwd = spec.cwd;
  if (spec.umask) begin.umask = spec.umask->bits;
  begin.name = spec.name;
  begin.group = spec.group;
  if (order.item) begin.item = item_text(*order.item);
  put_input(begin, spec.stdin_source);
  begin.out = output_order(spec.stdout_target);
  begin.err = output_order(spec.stderr_target);
  begin.output_limit = spec.output_limit;
  begin.timeout = spec.timeout;
  begin.grace = spec.grace;
  begin.leftovers = spec.leftovers;
  begin.durable = spec.durable;
  return begin;
}

EndReport make_lost_report(const BegunRun& begun, std::string message, const std::string& out_dir) {
  const auto content = [&](const std::optional<KeptStream>& noted, StreamName of) -> std::optional<OutputContent> {
    if (!noted || !noted->in_file) return std::nullopt;
    // A ring that never came round holds all that passed through it, unless the machine stopped and lost some.
    const auto bytes =
        found_bytes(output_path(out_dir, begun.run.job, begun.run.attempt, of), noted->truncated ? noted->bytes : 0);
    if (!bytes) return std::nullopt;
    return OutputContent{{*bytes, noted->truncated}, {}, true};
  };
  EndReport report;
  report.ending = EndReport::Lost{std::move(message)};
  report.stdout_content = content(begun.out, StreamName::out);
  report.stderr_content = content(begun.err, StreamName::err);
  report.finished_at = wall_now();
  return report;
}

EndReport make_report(RunEnded ended) {
  EndReport report;
  switch (ended.ending) {
    case Ending::exited: report.ending = EndReport::Exited{ended.code}; break;
    case Ending::signalled: report.ending = EndReport::Signalled{ended.code}; break;
    case Ending::not_started: report.ending = EndReport::Failed{{"spawn", std::move(ended.message)}, ended.code}; break;
  }
  report.timed_out = ended.timed_out;
  report.stopped = ended.stopped;
  if (ended.ending != Ending::not_started) report.usage = Usage{ended.user, ended.system, ended.max_rss};
  report.stdout_content = content_of(std::move(ended.out));
  report.stderr_content = content_of(std::move(ended.err));
  report.finished_at = ended.finished_at;
  return report;
}

}  // namespace stint::exec
