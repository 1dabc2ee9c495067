#include "client/options.hpp"

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cmath>

#include "client/failure.hpp"
#include "client/time_units.hpp"
#include "common/limits.hpp"
#include "common/nearest.hpp"

namespace stint::cli {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

/// A number followed by one of `units` (the first has no name needed); nothing where it is not.
std::optional<double> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{} || !(value >= 0)) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (unit.empty()) return value;
  for (const auto& known : units) {
    if (known.name == unit) return value * known.factor;
  }
  return std::nullopt;
}

constexpr double kibi = 1024;
constexpr std::array duration_units{Unit{"s", 1}, Unit{"ms", 1e-3}, Unit{"m", minute}, Unit{"h", hour}, Unit{"d", day}};
constexpr std::array size_units{Unit{"B", 1},          Unit{"K", kibi},
                                Unit{"M", kibi* kibi}, Unit{"G", kibi* kibi* kibi},
                                Unit{"k", kibi},       Unit{"T", kibi* kibi* kibi* kibi}};

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  const auto seconds = parse_with_unit(text, duration_units);
  if (!seconds || *seconds > limits::duration_seconds_max) return std::nullopt;
  return from_seconds(*seconds);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto bytes = parse_with_unit(text, size_units);
  if (!bytes || *bytes > static_cast<double>(limits::id_max)) return std::nullopt;
  return static_cast<std::uint64_t>(std::llround(*bytes));
}

namespace {

/// CLI11's own Range writes itself into the help.
template <class T>
CLI::Validator within(T min, T max) {
  return {[min, max](const std::string& text) {
            T value{};
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            if (error == std::errc{} && end == text.data() + text.size() && value >= min && value <= max) return std::string();
            return "'" + text + "' is not a whole number from " + std::to_string(min) + " to " + std::to_string(max);
          },
          ""};
}

/// Without the notes on exclusions and repetitions, which the texts give in words.
class Formatter : public CLI::Formatter {
 public:
  [[nodiscard]] std::string make_option_opts(const CLI::Option* option) const override {
    const bool valued = option->get_items_expected_max() > 0;
    return valued ? " " + option->get_type_name() : std::string();
  }
};

}  // namespace

struct Options::Cli11 {
  CLI::App app;
};

Options::Options(Words words) : cli11_(std::make_unique<Cli11>()), words_(words), heading_("Options") {
  cli11_->app.set_help_flag();
  cli11_->app.fallthrough(false);
}
Options::~Options() = default;

void Options::heading(const std::string& title) { heading_ = title; }

void Options::flag(const std::string& names, bool& target, const std::string& doc) {
  cli11_->app.add_flag(names, target, doc)->group(heading_);
}

void Options::text(const std::string& names, std::optional<std::string>& target, const std::string& doc,
                   const std::string& placeholder) {
  const auto store = [&target](const std::string& value) { target = value; };
  cli11_->app.add_option_function<std::string>(names, store, doc)->type_name(placeholder)->group(heading_);
}

void Options::list(const std::string& names, std::vector<std::string>& target, const std::string& doc,
                   const std::string& placeholder) {
  const auto store = [&target](const std::vector<std::string>& values) { target = values; };
  cli11_->app.add_option_function<std::vector<std::string>>(names, store, doc)
      ->allow_extra_args(false)
      ->type_name(placeholder)
      ->group(heading_);
}

void Options::number(const std::string& names, std::optional<std::uint64_t>& target, const std::string& doc, std::uint64_t min,
                     std::uint64_t max) {
  const auto store = [&target](const std::uint64_t& value) { target = value; };
  cli11_->app.add_option_function<std::uint64_t>(names, store, doc)->check(within(min, max))->type_name("N")->group(heading_);
}

void Options::integer(const std::string& names, std::optional<std::int64_t>& target, const std::string& doc, std::int64_t min,
                      std::int64_t max) {
  const auto store = [&target](const std::int64_t& value) { target = value; };
  cli11_->app.add_option_function<std::int64_t>(names, store, doc)->check(within(min, max))->type_name("N")->group(heading_);
}

void Options::duration(const std::string& names, std::optional<Duration>& target, const std::string& doc) {
  const auto store = [&target](const std::string& value) { target = parse_duration(value); };
  const CLI::Validator check(
      [](const std::string& value) {
        return parse_duration(value) ? std::string() : "'" + value + "' is not a time: seconds, or 250ms, 90s, 5m, 2h, 1d";
      },
      "");
  cli11_->app.add_option_function<std::string>(names, store, doc)->check(check)->type_name("TIME")->group(heading_);
}

void Options::size(const std::string& names, std::optional<std::uint64_t>& target, const std::string& doc) {
  const auto store = [&target](const std::string& value) { target = parse_size(value); };
  const CLI::Validator check(
      [](const std::string& value) {
        return parse_size(value) ? std::string() : "'" + value + "' is not a size: bytes, or 64K, 16M, 1G";
      },
      "");
  cli11_->app.add_option_function<std::string>(names, store, doc)->check(check)->type_name("SIZE")->group(heading_);
}

void Options::choice(const std::string& names, std::optional<std::string>& target, const std::string& doc,
                     std::span<const std::string_view> values) {
  std::string all;
  for (const auto value : values) all += (all.empty() ? "" : "|") + std::string(value);
  const auto store = [&target](const std::string& value) { target = value; };
  const CLI::Validator check(
      [values, all](const std::string& value) {
        if (std::find(values.begin(), values.end(), value) != values.end()) return std::string();
        std::string why = "'" + value + "' is not one of " + all;
        if (const auto near = nearest_name(value, values)) why += "; did you mean '" + *near + "'?";
        return why;
      },
      "");
  cli11_->app.add_option_function<std::string>(names, store, doc)->check(check)->type_name(all)->group(heading_);
}

void Options::exclusive(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    for (const char* other : names) {
      if (name != other) cli11_->app.get_option(name)->excludes(cli11_->app.get_option(other));
    }
  }
}

namespace {

/// Walks the arguments: options with their values go to CLI11 as separate arguments, the rest are words.
class Splitter {
 public:
  Splitter(const CLI::App& app, Words mode, std::span<const std::string> arguments)
      : app_(app), mode_(mode), arguments_(arguments) {}

  void split() {
    for (; at_ < arguments_.size(); ++at_) {
      const std::string& argument = arguments_[at_];
      if (argument == "--") {
        take_words(at_ + 1);
        return;
      }
      if (argument.starts_with("--")) {
        long_option(argument);
      } else if (argument.size() > 1 && argument.front() == '-') {
        short_options(argument);
      } else if (mode_ == Words::last) {
        take_words(at_);
        return;
      } else {
        words.push_back(argument);
      }
    }
  }

  std::vector<std::string> options;
  std::vector<std::string> words;
  bool help = false;

 private:
  void take_words(std::size_t from) {
    const auto rest = arguments_.subspan(from);
    words.insert(words.end(), rest.begin(), rest.end());
  }

  [[noreturn]] void unknown(const std::string& name) const {
    std::vector<std::string> names{"--help"};
    for (const auto* option : app_.get_options()) {
      for (const auto& known : option->get_lnames()) names.push_back("--" + known);
    }
    const std::vector<std::string_view> views(names.begin(), names.end());
    std::string message = "unknown option '" + name + "'";
    if (const auto near = nearest_name(name, views)) message += "; did you mean '" + *near + "'?";
    throw UsageError(message);
  }

  static bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

  void add(const std::string& name, const CLI::Option& option, const std::optional<std::string>& attached) {
    options.push_back(name);
    if (!takes_value(option)) {
      if (attached) throw UsageError("option '" + name + "' takes no value");
    } else if (attached) {
      options.push_back(*attached);
    } else if (at_ + 1 < arguments_.size()) {
      options.push_back(arguments_[++at_]);
    } else {
      throw UsageError("option '" + name + "' needs a value");
    }
  }

  void long_option(const std::string& argument) {
    const auto equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    if (name == "--help") {
      help = true;
      return;
    }
    const CLI::Option* option = app_.get_option_no_throw(name);
    if (option == nullptr) unknown(name);
    std::optional<std::string> attached;
    if (equals != std::string::npos) attached = argument.substr(equals + 1);
    add(name, *option, attached);
  }

  void short_options(const std::string& argument) {
    for (std::size_t i = 1; i < argument.size(); ++i) {
      const std::string name = std::string("-") + argument[i];
      if (name == "-h") {
        help = true;
        continue;
      }
      const CLI::Option* option = app_.get_option_no_throw(name);
      if (option == nullptr) unknown(name);
      if (!takes_value(*option)) {
        add(name, *option, std::nullopt);
        continue;
      }
      std::optional<std::string> attached;
      if (i + 1 < argument.size()) attached = argument.substr(i + 1);
      add(name, *option, attached);
      return;
    }
  }

  const CLI::App& app_;
  Words mode_;
  std::span<const std::string> arguments_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<std::string> Options::parse(std::span<const std::string> arguments) {
  Splitter splitter(cli11_->app, words_, arguments);
  splitter.split();
  help_wanted_ = splitter.help;
  if (help_wanted_) return {};
  try {
    // CLI11 takes a vector in reverse.
    cli11_->app.parse(std::vector<std::string>(splitter.options.rbegin(), splitter.options.rend()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  return std::move(splitter.words);
}

std::string Options::describe() const {
  std::string text = Formatter().make_groups(&cli11_->app, CLI::AppFormatMode::Sub);
  // CLI11 puts two empty lines between groups.
  for (auto at = text.find("\n\n\n"); at != std::string::npos; at = text.find("\n\n\n", at)) text.erase(at, 1);
  return text;
}

}  // namespace stint::cli
