// The table of verbs, the help made from it, and the way from the command line to an action.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "client/failure.hpp"
#include "client/terminal.hpp"
#include "client/verb.hpp"
#include "client/verbs/actions.hpp"
#include "common/limits.hpp"
#include "common/nearest.hpp"

namespace stint::cli {
namespace {

constexpr std::array table{
    Verb{"run", "[--] PROGRAM [ARGUMENT…]", "run a job in the foreground: live output, its exit code",
         "stint run -- make -j8\n"
         "tar c src | stint run -- xz -9 > src.tar.xz\n"
         "stint run --timeout 5m --shell 'make && make test'\n"
         "stint run --task digest --args '{\"file\": \"/etc/passwd\"}'",
         Words::last, make_run},
    Verb{"submit", "[--] PROGRAM [ARGUMENT…]", "hand a job over and print its id, nothing else",
         "id=$(stint submit -- make); stint wait $id\n"
         "stint submit --name nightly --tag backup --shell 'tar c /home | zstd > /backup/home.tar.zst'\n"
         "jq -c '{command: [\"convert\", .]}' files.json | stint submit --group pictures --batch -",
         Words::last, make_submit},
    Verb{"map", "[--] PROGRAM [ARGUMENT…] [::: ITEM…]", "run a job for each item; results as they complete",
         "stint map gzip -9 {} ::: *.log\n"
         "find . -name '*.png' -print0 | stint map -0 -j4 optipng\n"
         "stint map --keep-order --shell 'wc -c < \"$STINT_ITEM\"' ::: a b c\n"
         "find \"$PWD\" -type f | stint map --task digest --args '{\"file\": \"{}\"}'",
         Words::last, make_map},
    Verb{"results", "[ID…]", "results as jobs complete: of these, of a group, or all of mine",
         "stint results --group pictures\n"
         "stint results --group pictures --keep-order --output\n"
         "stint results --jsonl | while read -r result; do …; done",
         Words::mixed, make_results},
    Verb{"wait", "[ID…]", "wait for jobs; prints `id code` lines and exits with the code",
         "stint wait 17\n"
         "stint wait --group pictures --timeout 10m\n"
         "stint wait --any 17 18 19",
         Words::mixed, make_wait},
    Verb{"list", "", "list jobs",
         "stint list --state running\n"
         "stint list --group pictures --outcome failed --format '{id} {code} {item}'",
         Words::mixed, make_list},
    Verb{"show", "ID", "everything known of one job", "stint show 17\nstint show 17 --json", Words::mixed, make_show},
    Verb{"output", "ID", "what a job wrote, to the same descriptors",
         "stint output 17\n"
         "stint output -f 17\n"
         "stint output --attempt 1 17\n"
         "stint output 17 --stderr 2> errors.txt",
         Words::mixed, make_output},
    Verb{"why", "ID", "why a job does not run", "stint why 17", Words::mixed, make_why},
    Verb{"cancel", "[ID…]", "cancel jobs: queued ones never start, running ones are stopped",
         "stint cancel 17 18\nstint cancel --group pictures\nstint cancel --force 17", Words::mixed, make_cancel},
    Verb{"signal", "SIGNAL ID…", "send a signal to the process group of running jobs",
         "stint signal HUP 17\nstint signal STOP 17 18", Words::mixed, make_signal},
    Verb{"forget", "[ID…]", "drop finished records and their output",
         "stint forget 17\nstint forget --group pictures\nstint forget --older-than 2h", Words::mixed, make_forget},
    Verb{"status", "", "the daemon and what it is doing; exits with 69 where none can be reached",
         "stint status\nstint status --format '{info.pid} {stats.states.running}'", Words::mixed, make_status},
    Verb{"tasks", "", "the registered tasks", "stint tasks", Words::mixed, make_tasks},
    Verb{"pool", "set NAME -- PROGRAM [ARGUMENT…] | list | remove NAME", "pools of long-lived workers",
         "stint pool set --size 4 resize -- python3 resize_worker.py\n"
         "stint submit --pool resize '{\"file\": \"a.png\", \"width\": 200}'\n"
         "stint map --pool resize --args '{\"file\": \"{}\", \"width\": 200}' ::: *.png\n"
         "stint pool list\n"
         "stint pool remove resize",
         Words::mixed, make_pool},
    Verb{"call", "METHOD [JSON|-]", "call a method of the protocol and print its result; streams print a line an item",
         "stint call daemon.info --format '{capabilities}'     # the methods that there are\n"
         "stint call job.get '{\"id\": 17}'\n"
         "stint call feed.subscribe '{\"kinds\": [\"job.finished\"]}'",
         Words::mixed, make_call},
    Verb{"lock", "NAME -- PROGRAM [ARGUMENT…]", "run a program while holding a lock",
         "stint lock backup -- rsync -a /home /backup\n"
         "stint lock db --timeout 0 -- ./migrate || test $? = 75    # 75: somebody else has it\n"
         "stint submit --lock db -- ./migrate                       # a job that waits for it in the queue",
         Words::mixed, make_lock},
    Verb{"sem", "set NAME N | acquire NAME -- PROGRAM… | list", "semaphores: so many at once, over jobs and scripts",
         "stint sem set gpu 2\n"
         "stint sem acquire gpu -- ./train\n"
         "stint map --semaphore gpu ./train {} ::: *.conf\n"
         "stint sem list; stint sem list --locks",
         Words::mixed, make_sem},
    Verb{"channel", "open|put|get|close|remove|list [NAME] [ITEM…]", "bounded queues between jobs and scripts",
         "stint channel open materials --capacity 10\n"
         "stint channel put materials wood iron          # waits while it is full\n"
         "seq 100 | stint channel put materials          # an item a line\n"
         "while item=$(stint channel get materials); do …; done    # ends with 1 when it is closed and empty\n"
         "stint channel close materials\n"
         "stint channel get materials --timeout 5 || test $? = 75  # 75: nothing came in time",
         Words::mixed, make_channel},
    Verb{"event", "set|clear|wait|list [NAME]", "named flags that running work can wait for",
         "stint event wait go --timeout 1m && ./begin    # 75: it was not set in time\n"
         "stint event set go\n"
         "until stint event wait stop --timeout 0 -q; do ./step; done",
         Words::mixed, make_event},
    Verb{"drain", "", "take no new work, and wait until what runs has ended",
         "stint drain; stint shutdown; …; stintd &\nstint drain --queued --timeout 10m || stint undrain", Words::mixed,
         make_drain},
    Verb{"undrain", "", "end a drain: the daemon takes and starts work again", "stint undrain", Words::mixed, make_undrain},
    Verb{"shutdown", "", "stop the daemon",
         "stint shutdown                  # programs go on; the next daemon takes them over\n"
         "stint shutdown --jobs drain\n"
         "stint shutdown --jobs cancel",
         Words::mixed, make_shutdown},
};

const Verb* find_verb(std::string_view name) {
  for (const auto& verb : table) {
    if (verb.name == name) return &verb;
  }
  return nullptr;
}

const Verb& require_verb(const std::string& name) {
  if (const Verb* verb = find_verb(name)) return *verb;
  std::array<std::string_view, table.size()> names{};
  for (std::size_t i = 0; i < table.size(); ++i) names[i] = table[i].name;
  std::string message = "unknown verb '" + printable(name) + "'";
  if (const auto near = nearest_name(name, names)) message += "; did you mean '" + *near + "'?";
  throw UsageError(message);
}

std::string overview() {
  std::string text =
      "stint: work for an executor daemon, in the foreground, in the background, or by the thousand\n\n"
      "Usage: stint VERB [OPTIONS] …\n\nVerbs:\n";
  for (const auto& verb : table) {
    text += "  " + std::string(verb.name) + std::string(10 - verb.name.size(), ' ') + std::string(verb.summary) + "\n";
  }
  text +=
      "\n`stint VERB --help` shows options and examples; `--socket PATH` before or after the verb names the daemon.\n"
      "Exit codes: the job's own; 124 its timeout, 125 cancelled or lost, 126/127 not executable/not found, 128+n signal n;\n"
      "64 usage, 65 bad job, 66 no such job, 69 no daemon, 75 try again, 77 not allowed, 78 bad configuration.\n";
  return text;
}

std::string help_of(const Verb& verb, const Options& options) {
  std::string text = "Usage: stint " + std::string(verb.name) + " [OPTIONS]";
  if (!verb.words_usage.empty()) text += " " + std::string(verb.words_usage);
  text += "\n" + std::string(verb.summary) + "\n" + options.describe() + "\nExamples:\n";
  std::string_view examples = verb.examples;
  while (!examples.empty()) {
    const auto end = examples.find('\n');
    text += "  " + std::string(examples.substr(0, end)) + "\n";
    examples.remove_prefix(end == std::string_view::npos ? examples.size() : end + 1);
  }
  return text;
}

int run_verb(const Verb& verb, std::span<const std::string> arguments, std::optional<std::string> socket) {
  const auto action = verb.make();
  action->set_socket(std::move(socket));
  Options options(verb.words);
  action->declare(options);
  action->declare_common(options);
  std::vector<std::string> words;
  try {
    words = options.parse(arguments);
  } catch (const UsageError& error) {
    throw UsageError(std::string(error.what()) + " (see `stint " + std::string(verb.name) + " --help`)");
  }
  if (options.help_wanted()) {
    print(help_of(verb, options));
    return exit_code::success;
  }
  return action->run(words);
}

}  // namespace

std::span<const Verb> verbs() { return table; }

void Action::declare_common(Options& options) {
  options.heading("Common");
  options.text("--socket", socket_, "the daemon's socket; default: $STINT_SOCKET, the personal ones, the service's", "PATH");
  options.flag("-q,--quiet", quiet_, "say less; listings print ids only");
}

int run_command_line(std::span<const std::string> arguments) {
  std::optional<std::string> socket;
  while (!arguments.empty()) {
    const std::string& first = arguments.front();
    if (first == "--socket" && arguments.size() > 1) {
      socket = arguments[1];
      arguments = arguments.subspan(2);
    } else if (first.starts_with("--socket=")) {
      socket = first.substr(first.find('=') + 1);
      arguments = arguments.subspan(1);
    } else if (first == "--version" || first == "-V") {
      print("stint " STINT_VERSION "\n");
      return exit_code::success;
    } else if (first == "--help" || first == "-h" || first == "help") {
      if (first == "help" && arguments.size() > 1) {
        const std::array<std::string, 1> wanted{"--help"};
        return run_verb(require_verb(arguments[1]), wanted, std::nullopt);
      }
      print(overview());
      return exit_code::success;
    } else if (first.starts_with('-')) {
      throw UsageError("unknown option '" + printable(first) +
                       "' before the verb; a verb's own options stand after it (see `stint --help`)");
    } else {
      return run_verb(require_verb(first), arguments.subspan(1), std::move(socket));
    }
  }
  throw UsageError("no verb given\n\n" + overview());
}

std::vector<std::uint64_t> ids_of(std::span<const std::string> words) {
  std::vector<std::uint64_t> ids;
  for (const auto& word : words) {
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc{} || end != word.data() + word.size() || id == 0 || id > limits::id_max) {
      throw UsageError("'" + printable(word) + "' is not a job's id");
    }
    ids.push_back(id);
  }
  return ids;
}

std::uint64_t id_of(std::span<const std::string> words) {
  if (words.size() != 1) throw UsageError(words.empty() ? "a job's id is missing" : "one job's id, not several");
  return ids_of(words).front();
}

void require_ids_or_group(bool has_ids, bool has_group) {
  if (has_ids && has_group) throw UsageError("ids or --group, not both");
  if (!has_ids && !has_group) throw UsageError("which jobs? Give their ids, or --group NAME");
}

const std::string& action_of(std::span<const std::string> words, std::span<const std::string_view> actions) {
  std::string all;
  for (const auto action : actions) all += (all.empty() ? "" : ", ") + std::string(action);
  if (words.empty()) throw UsageError("what is to be done is missing: one of " + all);
  if (std::find(actions.begin(), actions.end(), words.front()) != actions.end()) return words.front();
  std::string message = "'" + printable(words.front()) + "' is not one of " + all;
  if (const auto near = nearest_name(words.front(), actions)) message += "; did you mean '" + *near + "'?";
  throw UsageError(message);
}

void require_no_words(std::span<const std::string> words) {
  if (!words.empty()) throw UsageError("unexpected '" + printable(words.front()) + "'");
}

}  // namespace stint::cli
