// For the author of a plug-in: makes the tasks of a shared object known to stintd.
//
//     void register_tasks(stint::TaskRegistry& tasks) { tasks.add(…); }
//     STINT_PLUGIN(register_tasks)
//
// C++ types cross the border, so daemon and plug-in must be built alike: the same task API, compiler, standard library, Boost
// and nlohmann/json. `plugin_abi` says how; a plug-in that was built otherwise is refused before anything of it is called.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/version.hpp>
#include <cstdint>

#include "common/task_api.hpp"

/// Grows whenever what plug-ins and daemon share changes its layout or its meaning.
#define STINT_TASK_API 1

#define STINT_TEXT(word) #word
#define STINT_TEXT_OF(macro) STINT_TEXT(macro)

#if defined(__clang__)
#define STINT_ABI_COMPILER "clang++ " STINT_TEXT_OF(__clang_major__)
#else
#define STINT_ABI_COMPILER "g++ " STINT_TEXT_OF(__GNUC__)
#endif
#if defined(_GLIBCXX_DEBUG)
#define STINT_ABI_CONTAINERS " (_GLIBCXX_DEBUG)"
#else
#define STINT_ABI_CONTAINERS ""
#endif
// Each of these gives Asio's objects other members.
#if defined(BOOST_ASIO_HAS_THREADS) && defined(BOOST_ASIO_HAS_EPOLL) && !defined(BOOST_ASIO_HAS_IO_URING) && \
    !defined(BOOST_ASIO_ENABLE_HANDLER_TRACKING) && !defined(BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT)
#define STINT_ABI_ASIO ""
#else
#define STINT_ABI_ASIO " (with another configuration of Asio)"
#endif
#define STINT_ABI_JSON                       \
  STINT_TEXT_OF(NLOHMANN_JSON_VERSION_MAJOR) \
  "." STINT_TEXT_OF(NLOHMANN_JSON_VERSION_MINOR) "." STINT_TEXT_OF(NLOHMANN_JSON_VERSION_PATCH)

namespace stint {

/// How this was built, for people too.
inline constexpr char plugin_abi[] =
    "task API " STINT_TEXT_OF(STINT_TASK_API) ", " STINT_ABI_COMPILER ", libstdc++ " STINT_TEXT_OF(
        _GLIBCXX_RELEASE) " with C++11 ABI " STINT_TEXT_OF(_GLIBCXX_USE_CXX11_ABI) STINT_ABI_CONTAINERS
    ", Boost " BOOST_LIB_VERSION STINT_ABI_ASIO ", nlohmann/json " STINT_ABI_JSON;

/// Sizes of what crosses the border: macros that no version names (JSON_DIAGNOSTICS, for one) change them.
struct PluginLayout {
  std::uint32_t task = sizeof(Task);
  std::uint32_t task_context = sizeof(TaskContext);
  std::uint32_t task_registry = sizeof(TaskRegistry);
  std::uint32_t json = sizeof(nlohmann::json);
  std::uint32_t io_context = sizeof(boost::asio::io_context);
  bool operator==(const PluginLayout&) const = default;
};

/// What a plug-in exports, as `stint_plugin`. `abi` stays the first member for ever; the others are read only where it is the
/// daemon's own.
struct PluginEntry {
  const char* abi;
  PluginLayout layout;
  void (*register_tasks)(TaskRegistry& tasks);
  /// True on a thread that runs `io`, where the plug-in's Asio has its state in common with the daemon's.
  bool (*shares_asio)(boost::asio::io_context& io);
};

inline bool plugin_shares_asio(boost::asio::io_context& io) { return io.get_executor().running_in_this_thread(); }

}  // namespace stint

/// Once a plug-in, at namespace scope: `function` is void(stint::TaskRegistry&), called at each loading. What it throws, its
/// message goes into the log, and the plug-in is refused.
#define STINT_PLUGIN(function)                                                                                 \
  extern "C" {                                                                                                 \
  extern const ::stint::PluginEntry stint_plugin __attribute__((visibility("default")));                       \
  const ::stint::PluginEntry stint_plugin{::stint::plugin_abi, {}, &(function), &::stint::plugin_shares_asio}; \
  }
