// Frames as daemon and worker read them from each other: each kind either decodes and encodes to the same bytes, or is
// refused with an Error; the walk over several frames takes every byte or leaves a beginning.
#include <cstdint>
#include <string>
#include <string_view>

#include "common/error.hpp"
#include "common/pool_protocol.hpp"
#include "common/zygote_protocol.hpp"
#include "tests/fuzz/require.hpp"

namespace {

using namespace stint;
using namespace stint::worker;

template <class Frame>
void try_frame(const FrameView& view) {
  if (view.kind != Frame::kind) return;
  std::string once;
  try {
    encode(once, decode<Frame>(view));
  } catch (const Error& error) {
    FUZZ_REQUIRE(error.kind() == ErrorKind::internal_error);
    return;
  }
  std::string_view bytes = once;
  const auto again = next_frame(bytes);
  FUZZ_REQUIRE(again && again->kind == view.kind && bytes.empty());
  FUZZ_REQUIRE(again->payload == view.payload);
}

template <class... Frames>
void try_all(const FrameView& view) {
  (try_frame<Frames>(view), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    while (const auto frame = next_frame(bytes)) {
      try_all<Hello, Welcome, Begin, RunStarted, RunStopping, RunEnded, StopRun, SignalRun, FeedInput, ReadOutput, Done, Piece,
              Grant, SlotsFree, RecallRun, RunReturned, RunRecorded, SpawnWorker, Spawned, Died, Sweep, Swept, ClearWorker,
              RemoveWorker, SetPool, DropPool, PoolMessage, PoolAnswered, PoolProgress>(*frame);
    }
  } catch (const Error& error) {
    FUZZ_REQUIRE(error.kind() == ErrorKind::internal_error);
  }
  return 0;
}
