// What each standard stream is, and writing to it.
//
// Colour, width and progress are decided per stream: NO_COLOR, COLUMNS and TERM=dumb are honoured. Writing handles
// short writes, interruptions and non-blocking descriptors that a parent left us. Main thread; throws Failure where a
// stream cannot be written (a full disk), never for a reader that has gone: that is a result.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace stint::cli {

[[nodiscard]] bool is_terminal(int fd);
/// Escape sequences may be written: a terminal that is not dumb. `NO_COLOR` forbids colour only.
[[nodiscard]] bool takes_escapes(int fd);
[[nodiscard]] bool takes_colour(int fd);
/// Width of a terminal: COLUMNS, else what the terminal says, else 80.
[[nodiscard]] std::size_t columns(int fd);

/// `text` with control characters, backslashes and broken UTF-8 made visible, so that a name can neither drive the
/// terminal nor break a line or a column.
[[nodiscard]] std::string printable(std::string_view text);
/// Columns that `text` takes: characters, not bytes.
[[nodiscard]] std::size_t display_width(std::string_view text);
/// At most `width` characters of `text`, the last one an ellipsis where something was cut off.
[[nodiscard]] std::string shortened(std::string_view text, std::size_t width);

enum class Written { all, reader_gone };

/// Writes all of `bytes`. `on_interrupt` is called when a signal arrives meanwhile; it may throw to give up.
Written write_all(int fd, std::string_view bytes, const std::function<void()>& on_interrupt = {});

/// Standard output for everything but job output; throws Failure when its reader has gone and SIGPIPE is ignored.
void print(std::string_view text);
/// "stint: " + text + newline on standard error; what cannot be written there is dropped.
void note(std::string_view text);

}  // namespace stint::cli
