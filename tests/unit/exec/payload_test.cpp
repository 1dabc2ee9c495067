// What passes between daemon and host: sealed payloads, messages with a descriptor, frames. Nothing wrong is believed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <limits>
#include <random>

#include "common/error.hpp"
#include "common/fd_message.hpp"
#include "common/host_protocol.hpp"
#include "common/shared_payload.hpp"

namespace stint {
namespace {

/// A memory file as a peer might send it.
UniqueFd memory_file(std::string_view bytes, int seals) {
  UniqueFd file(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, seals), 0);
  return file;
}

std::pair<UniqueFd, UniqueFd> socket_pair() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

TEST(SharedPayload, CarriesTheBytes) {
  std::string bytes(12U << 20U, '\0');
  std::mt19937_64 random(1);
  for (char& byte : bytes) byte = static_cast<char>(random());
  const UniqueFd file = share_payload(bytes);
  const SharedPayload payload(file, bytes.size(), bytes.size());
  EXPECT_TRUE(payload.bytes() == bytes);
}

TEST(SharedPayload, CannotBeChangedByItsWriter) {
  const UniqueFd file = share_payload("fixed");
  EXPECT_EQ(::ftruncate(file.get(), 0), -1);
  EXPECT_EQ(::ftruncate(file.get(), 100), -1);
  EXPECT_EQ(::pwrite(file.get(), "x", 1, 0), -1);
  EXPECT_EQ(::mmap(nullptr, 5, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0), MAP_FAILED);
}

TEST(SharedPayload, RefusesWhatIsNotAsPromised) {
  constexpr int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  EXPECT_NO_THROW(SharedPayload(memory_file("five!", all), 5, 5));
  for (const int missing : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL}) {
    EXPECT_THROW(SharedPayload(memory_file("five!", all & ~missing), 5, 5), Error) << missing;
  }
  EXPECT_THROW(SharedPayload(memory_file("five!", all), 4, 5), Error);
  EXPECT_THROW(SharedPayload(memory_file("five!", all), 6, 6), Error);
  EXPECT_THROW(SharedPayload(memory_file("five!", all), 5, 4), Error);
  EXPECT_THROW(SharedPayload(memory_file("", all), 0, 5), Error);
  EXPECT_THROW(SharedPayload(UniqueFd(), 5, 5), Error);
  EXPECT_THROW(SharedPayload(UniqueFd(::open("/dev/zero", O_RDONLY | O_CLOEXEC)), 5, 5), Error);
}

TEST(FdMessage, CarriesBytesAndADescriptor) {
  const auto [here, there] = socket_pair();
  const UniqueFd file = share_payload("inside");
  ASSERT_EQ(send_message(here.get(), "first"), MessageStatus::done);
  ASSERT_EQ(send_message(here.get(), "second", file.get()), MessageStatus::done);
  ReceivedMessage first = receive_message(there.get(), 100);
  EXPECT_EQ(first.bytes, "first");
  EXPECT_FALSE(first.attached);
  ReceivedMessage second = receive_message(there.get(), 100);
  EXPECT_EQ(second.bytes, "second");
  ASSERT_TRUE(second.attached);
  EXPECT_NE(::fcntl(second.attached.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(SharedPayload(second.attached, 6, 6).bytes(), "inside");
}

TEST(FdMessage, TellsWhatCannotBe) {
  auto [here, there] = socket_pair();
  EXPECT_EQ(receive_message(there.get(), 100).status, MessageStatus::would_block);
  ASSERT_EQ(send_message(here.get(), std::string(101, 'x')), MessageStatus::done);
  EXPECT_TRUE(receive_message(there.get(), 100).truncated);
  while (send_message(here.get(), std::string(1'000, 'x')) == MessageStatus::done) {
  }
  EXPECT_EQ(send_message(here.get(), "more"), MessageStatus::would_block);
  there.reset();
  EXPECT_EQ(send_message(here.get(), "more"), MessageStatus::closed);
  EXPECT_EQ(receive_message(here.get(), 100).status, MessageStatus::closed);
}

namespace frames {

using namespace host_protocol;

std::vector<Frame> all() {
  const Payload inlined{Payload::Kind::inlined, R"({"a":1})", 0};
  const Payload shared{Payload::Kind::shared, {}, 12U << 20U};
  const Payload longest{Payload::Kind::inlined, std::string(limits::shared_payload_bytes_min, 'x'), 0};
  const PluginFile longest_path{std::string(limits::path_bytes_max, 'p'), std::string(limits::path_bytes_max, 'h')};
  return {Run{limits::id_max, 3, Time{Duration{17}}, "task", {}, inlined},
          Run{1, 1, std::nullopt, std::string(limits::name_bytes_max, 't'), {}, Payload{}},
          Run{1, 1, std::nullopt, "t", PluginFile{"/a.so", "/proc/1/fd/3"}, shared},
          Run{1, 1, std::nullopt, std::string(limits::name_bytes_max, 't'), longest_path, longest},
          Stop{7, 8},
          Progress{1, 2, 1.0, std::string(limits::progress_text_bytes_max, 'p')},
          Returned{1, 2, inlined},
          Returned{1, 2, shared},
          Failed{1, 2, {"kind", std::string(limits::task_error_bytes_max, 'm')}}};
}

}  // namespace frames

TEST(HostProtocol, EveryFrameComesBackTheSame) {
  for (const auto& frame : frames::all()) {
    const std::string bytes = host_protocol::encode(frame);
    EXPECT_LE(bytes.size(), host_protocol::frame_bytes_max);
    const auto back = host_protocol::decode(bytes);
    ASSERT_TRUE(back.has_value()) << frame.index();
    EXPECT_TRUE(*back == frame) << frame.index();
  }
}

TEST(HostProtocol, RefusesEveryOtherLength) {
  for (const auto& frame : frames::all()) {
    const std::string bytes = host_protocol::encode(frame);
    for (std::size_t length = 0; length < bytes.size(); length += length < 64 ? 1 : 997) {
      EXPECT_FALSE(host_protocol::decode(std::string_view(bytes).substr(0, length)).has_value()) << length;
    }
    EXPECT_FALSE(host_protocol::decode(bytes + '\0').has_value());
  }
}

TEST(HostProtocol, RefusesWhatIsPastABound) {
  using namespace host_protocol;
  EXPECT_FALSE(decode(encode(host_protocol::Run{1, 1, {}, std::string(limits::name_bytes_max + 1, 't'), {}, {}})).has_value());
  const std::string path(limits::path_bytes_max + 1, 'p');
  EXPECT_FALSE(decode(encode(host_protocol::Run{1, 1, {}, "t", PluginFile{path, "h"}, {}})).has_value());
  EXPECT_FALSE(decode(encode(host_protocol::Run{1, 1, {}, "t", PluginFile{"p", path}, {}})).has_value());
  EXPECT_FALSE(decode(encode(Progress{1, 1, 0.5, std::string(limits::progress_text_bytes_max + 1, 'p')})).has_value());
  EXPECT_FALSE(decode(encode(Progress{1, 1, 1.5, ""})).has_value());
  EXPECT_FALSE(decode(encode(Progress{1, 1, std::numeric_limits<double>::quiet_NaN(), ""})).has_value());
  EXPECT_FALSE(decode(encode(Failed{1, 1, {"k", std::string(limits::task_error_bytes_max + 1, 'm')}})).has_value());
  EXPECT_FALSE(decode(encode(Returned{1, 1, Payload{}})).has_value());
  std::string of_another_version = encode(Stop{1, 1});
  of_another_version[0] = static_cast<char>(version + 1);
  EXPECT_FALSE(decode(of_another_version).has_value());
}

TEST(HostProtocol, SurvivesNoise) {
  std::mt19937_64 random(static_cast<std::uint64_t>(::testing::UnitTest::GetInstance()->random_seed()));
  std::vector<std::string> seeds;
  for (const auto& frame : frames::all()) seeds.push_back(host_protocol::encode(frame).substr(0, 300));
  int accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string bytes = seeds[random() % seeds.size()];
    for (std::uint64_t flips = random() % 4 + 1; flips > 0; --flips) bytes[random() % bytes.size()] = static_cast<char>(random());
    // What is accepted must be a frame that means the same when it is sent on.
    if (const auto frame = host_protocol::decode(bytes)) {
      ++accepted;
      EXPECT_EQ(host_protocol::encode(*frame), bytes);
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace stint
